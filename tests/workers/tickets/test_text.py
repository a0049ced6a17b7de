import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.tickets.text import plain_text, same_words, words

markup = st.lists(
    st.sampled_from(
        [
            "<",
            ">",
            "</",
            "<!--",
            "-->",
            "<!",
            "<?",
            "<![",
            "'",
            '"',
            "=",
            "&",
            "#",
            ";",
            "/",
            " ",
            "\n",
            "a",
            "script",
            "p",
        ]
    )
).map("".join)

HOSTILE = [
    *(
        "<",
        "</",
        "<!--",
        "<!",
        "<?",
        "<![",
        "<!--x--",
        "<a>",
        "<a",
        "<a ",
        "<a/",
        "<a b=",
        "<a b='",
        '<a b="',
    ),
    *("<script>", "<script></", "<style></ ", " b='>", "'>", "=\"'", "&", "&#", "&#1", "&amp"),
    *("\u0315\u0300", "\u00a8"),
]


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("", ""),
        ("  \n\n", ""),
        ("<p></p>", ""),
        ("It burns.\n\n", "it burns."),
        ("<p>It <b>burns</b>.</p>", "it burns."),
        ("<p>one</p><p>two</p>", "one two"),
        ("one<br>two<BR/>three", "one two three"),
        ("in<b>ter</b>nal<wbr>ly", "internally"),
        ("<td>1</td><td>2</td>", "1 2"),
        ("Tom &amp; Jerry&#39;s &nbsp; &lt;b&gt;", "tom & jerry's <b>"),
        ("1 < 2 and 3 > 2", "1 < 2 and 3 > 2"),
        ("i <3 you", "i <3 you"),
        ("write x <y", "write x <y"),
        ("a<!-- hidden > -->b", "ab"),
        ("<!DOCTYPE html><html><head><title>No</title></head><body>Yes</body></html>", "yes"),
        ("<STYLE>p { color: red }</Style>Yes<script>if (a</b) {}</script >no", "yes no"),
        ("a<script>b", "a"),
        ("a<!-- b", "a"),
        ('<a href="x" title="1 > 0">link</a>', "link"),
        ("<a title='it\"s > 0'>link</a>", "link"),
        ("<p don't>shown isn't</p>", "shown isn't"),
        ('<a title="never closed>text', "text"),
        ("Straße \uff21\uff22\uff23 \ufb01n", "strasse abc fin"),
        ("Cafe\u0301 CAFÉ", "café café"),
        ("zero\u200bwidth soft\u00adhyphen", "zerowidth softhyphen"),
        ("<![if !mso]>x<![endif]>", "x"),
        ("</p", "</p"),
        ("&#" + "1" * 5000 + ";", "&#" + "1" * 5000 + ";"),
    ],
    ids=lambda text: text[:40],
)
def test_a_message_is_read_as_a_person_reads_it(text: str, read: str) -> None:
    assert words(text) == tuple(read.split())


def test_a_text_and_its_html_have_the_same_words() -> None:
    text = "Dear Sam,\n\nit's 3 > 2 & done.\n\nAda\n\n"
    html = "<html><body><p>Dear <b>Sam</b>,</p><div>it&#x27;s 3 &gt; 2 &amp; done.</div><br/>Ada</body></html>"
    assert words(text) == words(html)


@pytest.mark.parametrize(
    ("ours", "theirs", "same"),
    [
        ("", "", True),
        ("", "hello", False),
        ("hello", "", False),
        ("thank you", "thank you", True),
        ("thank you", "thank you very much", False),
        ("we are on", "we are on", True),
        ("we are on", "we are on it", True),
        ("we are on it", "we are on", False),
        ("we are on", "now we are on", False),
        ("we are on", "we are one", False),
    ],
)
def test_three_or_more_words_may_be_followed_by_others(ours: str, theirs: str, same: bool) -> None:
    assert same_words(words(ours), words(theirs)) is same


@given(markup | st.text())
def test_words_of_any_text_have_no_spaces(text: str) -> None:
    assert all(word and not any(c.isspace() for c in word) for word in words(text))


@given(st.text(st.characters(exclude_characters="<&"), max_size=30))
def test_composed_and_decomposed_texts_have_the_same_words(text: str) -> None:
    assert words(unicodedata.normalize("NFC", text)) == words(unicodedata.normalize("NFD", text))


@pytest.mark.parametrize("piece", HOSTILE)
@pytest.mark.parametrize("ending", ["", ">", "'>", "-->", "</script>"])
def test_the_time_to_read_hostile_text_is_proportional_to_its_length(piece: str, ending: str) -> None:
    # A quadratic reader would need minutes for these; the suite's own time limit would end it.
    words("<a x" + piece * (300_000 // len(piece)) + ending)
    words(piece * (300_000 // len(piece)) + ending)


def test_plain_text_keeps_what_a_person_reads() -> None:
    assert plain_text("<p>1 &lt; 2<br>and so on</p><script>alert()</script>").strip() == "1 < 2 and so on"
    assert plain_text(f"&#{'9' * 5000};") == f"&#{'9' * 5000};"
