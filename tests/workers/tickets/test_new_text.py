"""What a person has newly written in a message: no quoted history, signature or styles."""

# ruff: noqa: RUF001 - the words are in many scripts

import pytest

from workers.tickets.folding import unify
from workers.tickets.new_text import new_text

SAYS = "Please cancel it."


def quoted(text: str) -> str:
    return "\n".join(f"> {line}" for line in text.split("\n"))


HISTORIES = [
    "On Mon, Jan 5, 2026 at 10:00 AM Acme Support <help@acme.example> wrote:\n\n> You want a refund?\n> Yes or no?",
    "On Mon, Jan 5, 2026 at 10:00 AM Acme Support\n<help@acme.example> wrote:\n> A refund?",
    "On 5 Jan 2026, at 10:00, Acme <help@acme.example> wrote:\n\nA refund, you say?\nWe do that.",
    "Am 05.01.2026 um 10:00 schrieb Acme Support <help@acme.example>:\n> Wollen Sie einen Refund?",
    "Am Mo., 5. Jan. 2026 um 10:00\u00a0Uhr schrieb Acme <help@acme.example>:\nRefund",
    "Le lun. 5 janv. 2026 à 10:00, Acme <help@acme.example> a écrit\u00a0:\n> refund",
    "El lun, 5 ene 2026 a las 10:00, Acme (<help@acme.example>) escribió:\n> refund",
    "Em seg., 5 de jan. de 2026 às 10:00, Acme <help@acme.example> escreveu:\n> refund",
    "Il giorno lun 5 gen 2026 alle ore 10:00 Acme <help@acme.example> ha scritto:\n> refund",
    "Op ma 5 jan 2026 om 10:00 schreef Acme <help@acme.example>:\n> refund",
    "pon., 5 sty 2026 o 10:00 Acme <help@acme.example> napisał(a):\n> refund",
    "Den mån 5 jan. 2026 kl 10:00 skrev Acme <help@acme.example>:\n> refund",
    "пн, 5 янв. 2026 г. в 10:00, Acme <help@acme.example>:\n> refund",
    "5 янв. 2026 г. 10:00 Acme <help@acme.example> пишет:\n> refund",
    "2026年1月5日(月) 10:00 Acme <help@acme.example>のメール:\n> refund",
    "Acme <help@acme.example> 于2026年1月5日周一 10:00写道：\n> refund",
    "-----Original Message-----\nFrom: Acme Support\nSent: Monday\nTo: Sam\nSubject: refund\n\nA refund?",
    "-----Ursprüngliche Nachricht-----\nVon: Acme\nGesendet: Montag\nAn: Sam\nBetreff: refund\n\nrefund",
    "________________________________\nFrom: Acme <a@acme.example>\nSent: Monday\nTo: Sam\nSubject: refund\n\nrefund",
    "From: Acme <help@acme.example>\nDate: Monday, 5 January 2026\nTo: Sam <sam@x.example>\nSubject: refund\n\nrefund",
    "De : Acme\nEnvoyé : lundi 5 janvier 2026\nÀ : Sam\nObjet : refund\n\nrefund",
    "*From:* Acme <help@acme.example>\n*Sent:* Monday\n*To:* Sam\n*Subject:* refund",
    "##- Please type your reply above this line -##\nYou asked for a refund.",
    quoted("You asked for a refund"),
]

SIGNATURES = [
    "-- \nSam Reed\nRefund department",
    "--\nSam Reed, Refund Ltd.",
    "Best regards,\nSam Reed\nHead of Refund\n\nThis email about a refund is confidential.",
    "Kind regards, Sam\nRefund Ltd.",
    "Mit freundlichen Grüßen\n\nSam Reed\nRefund GmbH",
    "Cordialement,\nSam\nService refund",
    "Saludos,\nSam\nrefund",
    "Thanks,\nSam Reed\nRefund Ltd.",
    "Sent from my refund phone",
    "Get Outlook for iOS<https://refund.example>",
    "Von meinem Refund-Telefon gesendet",
]


@pytest.mark.parametrize("history", HISTORIES)
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_quoted_history_is_left_out(history: str, ending: str) -> None:
    assert unify(new_text(f"Hello,\n\n{SAYS}\n\n{history}\n".replace("\n", ending))) == f"Hello,\n{SAYS}"


@pytest.mark.parametrize("signature", SIGNATURES)
def test_a_signature_is_left_out(signature: str) -> None:
    assert unify(new_text(f"Hello,\n\n{SAYS}\n\n{signature}\n\n")) == f"Hello,\n{SAYS}"
    assert unify(new_text(f"{SAYS}\n\n{signature}\n\n{HISTORIES[0]}")) == SAYS


@pytest.mark.parametrize(
    ("html", "read"),
    [
        ("<p>Hello,</p><p>Please <b>cancel</b> it.</p>", "Hello,\nPlease cancel it."),
        ("<style>.refund { color: red }</style><p>Hello</p><script>refund()</script>", "Hello"),
        ("<html><head><title>refund</title><style>refund</style></head><body>Hello</body></html>", "Hello"),
        ("Hello<!-- refund --><br>you", "Hello\nyou"),
        (
            "<div>Hello</div><blockquote type='cite'><div>refund<blockquote>refund</blockquote></div></blockquote>",
            "Hello",
        ),
        (
            "<div>Hello</div><div class='gmail_quote'><div class='gmail_attr'>On Mon, Jan 5, 2026 at 10:00 AM Acme"
            " &lt;<a href='mailto:x'>help@acme.example</a>&gt; wrote:<br></div><blockquote>refund</blockquote></div>",
            "Hello",
        ),
        (
            "<p>Hello</p><div id='divRplyFwdMsg'><b>From:</b> Acme<br><b>Sent:</b> Monday<br><b>To:</b> Sam<br>"
            "<b>Subject:</b> refund</div><div>refund</div>",
            "Hello",
        ),
        ("<p>Hello</p><div class='gmail_signature'><div>Sam</div>refund</div><p>PS: more</p>", "Hello\nPS: more"),
        ("<p>Hello</p><div id='Signature'><p>Sam<br>refund</p></div>", "Hello"),
        ("<table><tr><td>Order</td><td>4711</td></tr><tr><td>x</td></tr></table>", "Order 4711\nx"),
        ("<p>Hello,\nyou\n\n&gt; refund\n</p>", "Hello,\nyou"),
    ],
)
def test_a_message_in_html_is_read_without_quotes_signature_and_styles(html: str, read: str) -> None:
    assert unify(new_text("", html)) == read
    assert unify(new_text("the text of the same message, with refund in its style", html)) == read


def test_styles_in_plain_text_are_left_out() -> None:
    assert (
        unify(new_text("P.refund, div { margin: 0; color: red; }\n@font-face\n{font-family: refund;}\nHello"))
        == "Hello"
    )
    assert unify(new_text("<style>.refund { color: red }</style>Hello <sam@x.example>")) == "Hello"


@pytest.mark.parametrize(
    "text",
    [
        "On Monday I wrote:\nI want a refund.",
        "From: Berlin\nI want to go to Paris.",
        "Thanks, but I want a refund.",
        "Thank you\n\nPlease note that I still want a refund of my order, as I wrote last week.",
        "Regards the refund: where is it?",
        "- refund\n- return",
        "a -- b",
        "It is 3 > 2",
        "I sent it from my phone",
        "{name: refund}",
    ],
)
def test_words_that_only_look_like_a_quote_or_a_signature_stay(text: str) -> None:
    assert unify(new_text(text)) == unify(text)


def test_answers_between_and_below_quotes_are_new() -> None:
    between = "> Do you want a refund?\n\nYes.\n\n> And a voucher?\n\nNo."
    assert unify(new_text(between)) == "Yes.\nNo."
    below = f"On Mon, Jan 5, 2026 at 10:00 AM Acme <help@acme.example> wrote:\n> A refund?\n\n{SAYS}"
    assert unify(new_text(below)) == SAYS


def test_a_postscript_is_new() -> None:
    text = f"{SAYS}\n\nBest regards,\nSam, Refund Ltd.\n\nP.S. And the invoice, please."
    assert unify(new_text(text)) == f"{SAYS}\nP.S. And the invoice, please."


@pytest.mark.parametrize(
    "marker",
    [
        "---------- Forwarded message ---------",
        "Begin forwarded message:",
        "-------- Weitergeleitete Nachricht --------",
    ],
)
def test_a_forwarded_message_is_new(marker: str) -> None:
    text = f"FYI\n\n{marker}\nFrom: Sam\nDate: Monday\nSubject: refund\nTo: Acme\n\nI want a refund\n> I do"
    assert "I want a refund" in new_text(text)
    assert "I do" in new_text(text)


def test_a_message_of_quotes_alone_has_nothing_new_unless_it_opens_the_ticket() -> None:
    text = "From: Sam\nSent: Monday\nTo: Acme\nSubject: refund\n\nI want a refund"
    assert new_text(quoted(text)).strip() == ""
    assert "I want a refund" in new_text(quoted(text), opening=True)
    assert "I want a refund" in new_text(text, opening=True)


@pytest.mark.parametrize(
    "piece", ["> a\n", "On 1:\n", "From: 1\n", "-- \n", "Thanks,\n", "{", "a{", "<blockquote>", "<div>", "\n"]
)
def test_the_time_to_read_hostile_text_is_proportional_to_its_length(piece: str) -> None:
    # A quadratic reader would need minutes for these; the suite's own time limit would end it.
    new_text(piece * (200_000 // len(piece)))
    new_text("", piece * (200_000 // len(piece)))
    new_text("", "<div class='gmail_signature'>" + piece * (200_000 // len(piece)))
