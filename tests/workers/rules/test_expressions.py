"""Expressions match what a person reads as the same, and their word filter never hides a match."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from workers.rules.expressions import expression
from workers.tickets.folding import fold, unify


def matches(pattern: str, text: str) -> bool:
    return expression(pattern).matches(unify(text), fold(text))


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("charge back", "a charge\nback"),
        ("charge back", "a charge \r\n  back"),
        ("charge back", "charge\u00a0back"),
        ("charge back", "charge  \tback"),
        ("charge\u202fback", "charge back"),
        (r"order \d+", "order\n4711"),
        (r"order\s+\d+", "order \n 4711"),
        (r"order\s{2,}no", "order    no"),
        (r"order(?: |-)no", "order\u2011no"),
        (r"order[ -]no", "order\u00a0no"),
        (r"order[ \u2013]no", "order\u2014no"),
        (r"order[\u2010-\u2015]no", "order\u2013no"),
        (r"don[\u2018-\u201d]t", "don\u2019t"),
        (r"order\u00a0no", "order no"),
        (r"a\N{NO-BREAK SPACE}b", "a b"),
        ("cancel.*subscription", "please cancel\nmy subscription"),
        ("don't", "I don\u2019t"),
        ("don\u2019t", "I don't"),
        ("don't", "I don\u00b4t"),
        (r"don\u2019t", "I don't"),
        ('"urgent"', "\u201eurgent\u201c"),
        ("e-mail", "e\u2011mail"),
        ("e\u2013mail", "e-mail"),
        ("caf\u00e9", "cafe\u0301"),
        ("cafe\u0301", "caf\u00e9"),
        ("refund", "re\u200bfu\u00adnd"),
        ("re\u200bfund", "refund"),
        ("istanbul", "\u0130stanbul"),
        ("istanbul", "I\u0307STANBUL"),
        ("ISTANBUL", "\u0131stanbul"),
        ("stra\u00dfe", "STRASSE"),
        ("strasse", "Stra\u00dfe"),
        ("refund", "\uff32\uff25\uff26\uff35\uff2e\uff24"),
        ("office", "o\ufb03ce"),
        ("wait...", "wait\u2026"),
        ("wait\u2026", "wait..."),
        (r"(?m)^priority: high$", "Name: Sam\nPriority: High\nEnd"),
        (r"Name: \w+\r?\n+Priority", "Name: Sam\n\nPriority: High"),
        (r"(?P<word>ha) (?P=word)", "ha\nha"),
        (r"\\s", "a\\s"),
    ],
)
def test_an_expression_matches_as_people_read(pattern: str, text: str) -> None:
    assert matches(pattern, text)


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("charge back", "chargeback"),
        ("cafe", "caf\u00e9"),
        (r"[ -~]", "\u00e9"),
        (r"[\u0430-\u044f]", "y"),
        (r"\x2e", "a"),
        ("wait\u2026", "wait abc"),
        (r"(?-i:URGENT)", "urgent"),
        ("^refund$", "no\nrefund"),
    ],
)
def test_an_expression_does_not_match_what_is_different(pattern: str, text: str) -> None:
    assert not matches(pattern, text)


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("refund", ("refund",)),
        (r"e\u2011mail", ()),
        ("Refund|charge back", ("refund", "charge back")),
        (r"\brefunds?\b", ("refund",)),
        ("re.?fund", ("fund",)),
        ("colou?r", ("colo",)),
        ("no+w", ("no",)),
        (r"\d+|refund", ()),
        ("(refund|x)y", ()),
        ("re[fg]und", ()),
        ("a{3}", ()),
        ("refund|", ()),
        (r"a\+b", ("a",)),
    ],
)
def test_the_words_of_every_match_are_known(pattern: str, words: tuple[str, ...]) -> None:
    assert expression(pattern).words == words


LETTERS = "abiIkKsSßéÉς\u017f\u212a\u0130\u0131\u03c3\u0301\u0307\u2019'\u2011\u00a0\u200b\ufb01"
PIECES = st.sampled_from([*LETTERS, *".?*+|()[]\\", r"\b", r"\w", r"\u2019", r"\x41", r"\n", r"\s", "\n", "ref", " "])


@given(st.lists(PIECES, max_size=8).map("".join), st.lists(PIECES, max_size=12).map("".join))
@example("i", "İ")
@example("I", "\u0131")
@example("ab*c", "xACx")
@example("a|b", "B")
def test_the_word_filter_never_hides_a_match(pattern: str, text: str) -> None:
    try:
        compiled = expression(pattern)
    except ValueError:
        return
    unified = unify(text)
    assert compiled.matches(unified, fold(text)) is (compiled.pattern.search(unified) is not None)
