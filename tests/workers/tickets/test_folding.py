"""Folding removes what a person does not see, in linear time."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.tickets.folding import fold, unify


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Refund", "REFUND"),
        ("charge back", "charge\n back"),
        ("charge back", "charge\u00a0\u2009back"),
        (" vip\t", "vip"),
        ("caf\u00e9", "CAFE\u0301"),
        ("don't", "don\u2019t"),
        ("don't", "don\u00b4t"),
        ("don't", "don`t"),
        ('"x"', "\u201ex\u201c"),
        ('"x"', "\u00abx\u00bb"),
        ("a-b", "a\u2011b"),
        ("a - b", "a \u2014 b"),
        ("vip", "\u200bv\u00adip\ufeff"),
        ("istanbul", "\u0130stanbul"),
        ("istanbul", "\u0131stanbul"),
        ("strasse", "Stra\u00dfe"),
        ("abc fi", "\uff21\uff22\uff23 \ufb01"),
    ],
)
def test_what_a_person_reads_as_the_same_is_the_same(one: str, other: str) -> None:
    assert fold(one) == fold(other)


@pytest.mark.parametrize(("one", "other"), [("vip", "vip2"), ("a b", "ab"), ("cafe", "caf\u00e9"), ("", "x")])
def test_what_differs_stays_different(one: str, other: str) -> None:
    assert fold(one) != fold(other)


@given(st.text(max_size=30))
def test_folding_twice_changes_nothing(text: str) -> None:
    assert fold(fold(text)) == fold(text)
    assert unify(unify(text)) == unify(text)


@given(st.text(max_size=30))
def test_composed_and_decomposed_texts_are_equal(text: str) -> None:
    assert fold(unicodedata.normalize("NFC", text)) == fold(unicodedata.normalize("NFD", text))


def test_unified_text_keeps_case_and_line_breaks() -> None:
    assert unify("  Dear\u00a0 Sam,\r\n\r\n it\u2019s  done \n") == "Dear Sam,\nit's done"


@pytest.mark.parametrize("piece", ["\u0315\u0300", "\u0344", "\u1fee", "\u0130", "\u1e9e", "\u00a0", "a\u0300\u0315"])
def test_the_time_to_fold_hostile_text_is_proportional_to_its_length(piece: str) -> None:
    # A quadratic algorithm would need minutes for these; the suite's own time limit would end it.
    fold(piece * (300_000 // len(piece)))
