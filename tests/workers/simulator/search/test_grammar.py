import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.simulator.search.grammar import Term, parse, values


@pytest.mark.parametrize(
    ("q", "terms"),
    [
        ("", []),
        ("fire Printer", [Term("", ("fire",)), Term("", ("printer",))]),
        ('"fire printer"', [Term("", ("fire", "printer"))]),
        ('status:"In Progress","New" tag:a,b', [Term("status", ("In Progress", "New")), Term("tag", ("a", "b"))]),
        ('"Field 2":"value 2" Field1:x', [Term("Field 2", ("value 2",)), Term("Field1", ("x",))]),
        ("contact: x", [Term("", ("contact:",)), Term("", ("x",))]),
        ('created-on:"2019/01/25"', [Term("created-on", ("2019/01/25",))]),
        ("id:DC00000001,2", [Term("id", ("DC00000001", "2"))]),
    ],
)
def test_a_search_is_read_term_by_term(q: str, terms: list[Term]) -> None:
    assert parse(q) == terms


words = st.text("abcXYZ019 -/é", min_size=1).filter(lambda word: word == word.strip())


@given(st.lists(st.tuples(words, st.lists(words, min_size=1)), max_size=4))
def test_what_is_quoted_comes_back(terms: list[tuple[str, list[str]]]) -> None:
    q = " ".join(f'"{name}":' + ",".join(f'"{value}"' for value in several) for name, several in terms)
    assert parse(q) == [Term(name, tuple(several)) for name, several in terms]


@given(st.text())
def test_any_text_is_read(q: str) -> None:
    parse(q)
    values(q)
