import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from workers.rules.expression import expression, fold


@pytest.mark.parametrize(
    ("pattern", "words", "plain"),
    [
        ("refund", ("refund",), True),
        ("Refund|charge back", ("refund", "charge back"), True),
        (r"\brefunds?\b", ("refund",), False),
        ("re.?fund", ("fund",), False),
        ("colou?r", ("colo",), False),
        ("no+w", ("no",), False),
        (r"\d+|refund", (), False),
        ("(refund|x)y", (), False),
        ("re[fg]und", (), False),
        ("a{3}", (), False),
        ("refund|", (), False),
        (r"a\+b", ("a",), False),
    ],
)
def test_the_words_that_must_occur_are_found(pattern: str, words: tuple[str, ...], plain: bool) -> None:
    assert (expression(pattern).words, expression(pattern).plain) == (words, plain)


PIECES = st.sampled_from([*"abiIkKsSßéÉς\u017f\u212a\u0130\u0131\u03c3", *".?*+|()[]\\", r"\b", r"\w", "ref", " "])


@given(st.lists(PIECES, max_size=8).map("".join), st.lists(PIECES, max_size=12).map("".join))
@example("i", "İ")
@example("I", "\u0131")
@example("ab*c", "xACx")
@example("a|b", "B")
def test_what_the_expression_matches_is_found(pattern: str, text: str) -> None:
    try:
        compiled = expression(pattern)
    except ValueError:
        return
    if compiled.pattern.search(text):
        assert compiled.found(text, fold(text))
    elif text.isascii() and pattern.isascii():
        assert not compiled.found(text, fold(text))
