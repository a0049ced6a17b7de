"""Automatic messages: what an auto-responder looks like in a ticket, and what a person does not."""

# ruff: noqa: RUF001 - the subjects are in many scripts

from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.turns import ADA, BOT, SAM, ticket, update
from workers.tickets.emails import AMBIGUOUS, SUBJECTS, automatic_address, automatic_subject, is_automatic, mailbox
from workers.tickets.model import TicketRead, read_ticket

ABSENT = "I am out of the office until Monday and will answer your message then."
OURS = "Thank you for your message, we will get back to you within one working day."


def automatic(read: TicketRead) -> list[int]:
    return [each.id for each in read.history if is_automatic(each, read, staff=7)]


def message(number: int, by: dict[str, Any], text: str, after: int = 0, **more: Any) -> Any:
    """Return a public message ``after`` seconds past ten o'clock."""
    made = update(number, by, text)
    made["timestamp"] = str(datetime(2026, 3, 1, 10) + timedelta(seconds=after))
    made["message"] |= more
    return made


def opened(**members: Any) -> TicketRead:
    return read_ticket({**ticket().raw, **members})


@pytest.mark.parametrize(
    "subject",
    [
        *(
            "Automatic reply: Your order",
            "Out of Office",
            "AUTO: out",
            "Undeliverable: Re: Your order",
            "[Autoreply] x",
        ),
        *("Re: Automatic reply: x", "RE: [#DC00000003] Out of office: x", "Automatische Antwort: Rechnung"),
        *("Unzustellbar: AW: Rechnung", "Réponse automatique : Facture", "Respuesta automática: factura"),
        *("Resposta automática: pedido", "Risposta automatica: ordine", "Automatisch antwoord: vraag"),
        *("Automatyczna odpowiedź: pytanie", "Automatiskt svar: fråga", "Automaattinen vastaus: kysymys"),
        *(
            "Автоматический ответ: вопрос",
            "Otomatik yanıt: soru",
            "自動応答: 質問",
            "自动回复：问题",
            "자동 회신: 질문",
        ),
        *("  Delivery   Status Notification (Failure)", "Mail delivery failed: returning message to sender"),
        *("Undelivered Mail Returned to Sender", "Returned mail: see transcript for details", "failure notice"),
        *(
            "Returned mail: User unknown",
            "Delivery Failure",
            "Undeliverable",
            "Non remis : RE: Facture",
            "Delivery Incomplete",
        ),
        *("DELIVERY FAILURE: User sam (sam@example.com) not listed in Domino Directory", "[Auto-Reply] x"),
        *("AUTO: Sam Jones is out of the office (returning 01/02/2026)", "Out of the office until Monday"),
        *("Out of Office AutoReply: Your order", "Abwesenheitsnotiz: Rechnung", "Abwesenheit: AW: Rechnung"),
        *("Delivery failure: Re: Your order", "Auto: [#DC00000003] Your order", "Afwezig: RE: vraag"),
    ],
)
def test_subjects_of_automatic_messages_are_known_in_many_languages(subject: str) -> None:
    assert automatic_subject(subject)
    assert automatic(opened(subject=subject)) == [1]


@pytest.mark.parametrize(
    "subject",
    [
        *("", "Question about automatic replies", "How do I set an out of office message?", "Order not delivered"),
        *("Parcel could not be delivered", "No entregado", "Paket nicht zustellbar laut DHL", "Re: Printer on fire"),
        *("Auto: Schaden melden", "Delivery incomplete - one shoe missing", "Delivery failure: parcel 33"),
        *(
            "Afwezig product in doos",
            "Returned mail order 17",
            "Failure notice on washing machine",
            "Auto: outer mirror",
        ),
        *(
            "Absence du bureau de poste",
            "Auto reply feature request",
            "Abwesenheit: Ersatztermin",
            "Auto",
            "Abwesenheit",
        ),
        *("Returned mail: order 17", "Zustellung fehlgeschlagen: Paket 33", "Mancato recapito: pacco"),
        *(
            "Frånvaro: mitt barn",
            "Undeliverable parcel",
            "Mail delivery failed: order 5",
            "Mail delivery system is down",
            "Out of office chairs",
        ),
        *(
            "不在通知: ヤマト",
            "Delivery status notification for my parcel",
            "Nieobecność kuriera",
            "Automatic reply is off",
        ),
        *("Automation", "Auto insurance", "Office chair out of stock", "Delivery failed twice, where is my parcel?"),
    ],
)
def test_a_customers_subject_is_not_automatic(subject: str) -> None:
    assert not automatic_subject(subject)
    assert automatic(opened(subject=subject)) == []


#: What people write about parcels and about automatic messages, as bounces and automatic messages begin.
BY_PEOPLE = [
    *("Undeliverable: parcel 33", "Undelivered mail: my letter of May", "Message undeliverable: what now?"),
    *(
        "Undeliverable mail: order 5",
        "Delivery status notification: where is my parcel?",
        "Delivery failure: 500 g tea",
    ),
    *("Message delivery delayed: order 8", "Delivery status notification (parcel 33)", "Out of office - does it work?"),
    *("Unzustellbar: Paket 33", "Non remis : colis 33", "Non distribuable : colis 33", "No entregado: pedido 33"),
    *("No se puede entregar: pedido 33", "Mensaje no entregado: pedido", "Não entregue: pedido 33"),
    *("Não foi possível entregar: pedido 33", "Falha na entrega da mensagem: pedido", "Non recapitabile: pacco 33"),
    *("Notifica di mancato recapito: pacco", "Onbestelbaar: pakket 33", "Niet-bezorgd bericht: pakket"),
    *(
        "Niedostarczalne: paczka 33",
        "Nie można dostarczyć: paczka",
        "Går inte att leverera: paket",
        "Ikke levert: pakke",
    ),
    *("Kan ikke leveres: pakke 33", "Uleverbar: pakke", "Ei voi toimittaa: paketti", "Nedoručitelné: balík 33"),
    *("Не доставлено: посылка 33", "Недоставленное сообщение: заказ", "Teslim edilemedi: paket 33"),
    *("配信できません: 荷物", "无法送达: 包裹", "배달되지 않음: 소포"),
    *("Automatic reply not working", "Auto reply does not stop", "Automatische Antwort funktioniert nicht"),
    *("Réponse automatique ne marche pas", "Respuesta automática no funciona", "Resposta automática não funciona"),
    *("Risposta automatica non funziona", "Automatisch antwoord werkt niet", "Automatyczna odpowiedź nie działa"),
    *("Automatiskt svar fungerar inte", "Автоматический ответ не работает", "Otomatik yanıt çalışmıyor"),
    *("自動返信が届かない", "自动回复不工作", "자동 회신이 안 됩니다"),
    *("Fwd: Undeliverable: Re: Your order", "WG: Automatische Antwort: Rechnung", "TR: Réponse automatique : Facture"),
]


@pytest.mark.parametrize("subject", BY_PEOPLE)
def test_a_persons_subject_that_begins_like_a_programs_is_not_automatic(subject: str) -> None:
    text = "The driver says that the parcel cannot be delivered. Please call me at 555 0123."
    read = opened(subject=subject, updates=[update(1, SAM, text)])

    assert automatic(read) == []


@pytest.mark.parametrize(
    "text",
    [
        "Final-Recipient: rfc822; sam@example.com\nAction: failed\nStatus: 5.1.1",
        "The response from the remote server was: 550 5.1.1 The email account does not exist.",
        "Remote Server returned '550-5.7.1 not allowed'",
        "Diagnostic-Code: smtp; 550 no such user",
        "#< #5.1.1 smtp;550 5.1.1 user unknown> #SMTP#",
        "Hi. This is the qmail-send program at example.com.",
        "From: Mail Delivery System <MAILER-DAEMON@example.com>",
    ],
)
@pytest.mark.parametrize("subject", ["Undeliverable: Your order", "Unzustellbar: Rechnung", "Не доставлено: заказ"])
def test_the_report_of_a_mail_server_with_such_a_subject_is_automatic(subject: str, text: str) -> None:
    assert automatic(opened(subject=subject, updates=[update(1, SAM, text)])) == [1]
    assert automatic(opened(subject="Your mail server says no", updates=[update(1, SAM, text)])) == []


def test_such_a_subject_from_the_address_of_a_mail_server_is_automatic() -> None:
    for name in ("postmaster@example.com", "Mail Delivery <MAILER-DAEMON@example.com>"):
        daemon = {**SAM, "email": name}
        assert automatic(opened(subject="Undeliverable: order", updates=[update(1, daemon, "Sorry.")])) == [1]


@pytest.mark.parametrize(
    ("address", "nobody"),
    [
        *((f"{name}@example.com", True) for name in ("MAILER-DAEMON", "no-reply", "noreply", "postmaster", "bounces")),
        *((f"{name}@example.com", True) for name in ("do_not_reply", "bounces+17=a", "no-reply-orders", "autoreply")),
        *((f"{name}@example.com", False) for name in ("sam", "norah.eply", "reply", "auto.parts", "bounceshoes")),
        *((text, False) for text in ("", "noreply", "@noreply", "sam@noreply.example")),
        *((text, True) for text in ("Mail System <Mailer-Daemon@example.com>", '"no-reply"@example.com')),
        *((text, False) for text in ("No-Reply <sam@example.com>", "postmasters@example.com")),
        ("MicrosoftExchange329e71ec88ae4615bbc36ab6ce41109e@example.com", True),
    ],
)
def test_addresses_that_no_person_uses(address: str, nobody: bool) -> None:
    assert automatic_address(address) is nobody


@pytest.mark.parametrize("address", ["(" * 1000, "\u207d" * 1000, "(a" * 500 + "@acme.example"])
def test_an_address_of_nested_comments_is_read_as_it_is(address: str) -> None:
    assert mailbox(address).startswith("(")
    assert not automatic_address(address)


@pytest.mark.parametrize(
    "spelling",
    [
        *("Anna@Bücher.example", "anna+orders@bücher.example", "Anna <ANNA@bücher.example>", " anna@bücher.example. "),
        *(
            '"anna"@bücher.example',
            "anna@xn--bcher-kva.example",
            "anna@XN--BCHER-KVA.example",
            "anna+a+b@bücher.example",
        ),
        *('"Anna B., Sales" <anna@bücher.example>', "anna@bücher\u3002example", "ａｎｎａ@bücher.example"),
        *(
            "anna@bu\u0308cher.example",
            "anna@BU\u0308CHER.example",
            "<anna@bücher.example>",
            "anna(desk)@bücher.example",
        ),
    ],
)
def test_all_spellings_of_an_address_lead_to_one_mailbox(spelling: str) -> None:
    assert mailbox(spelling) == "anna@xn--bcher-kva.example"


def test_different_mailboxes_stay_different() -> None:
    others = (
        "anna@b.example",
        "an.na@b.example",
        "ann@b.example",
        "anna@sub.b.example",
        "+anna@b.example",
        "anna-x@b.example",
    )
    assert len({*map(mailbox, others)}) == len(others)


@pytest.mark.parametrize(
    "address",
    [
        "bounce@list.example",
        "Bounce+123@list.example",
        "bounce-124@List.example",
        "bounce.4f2a-anna=b.example@list.example",
    ],
)
def test_what_programs_add_to_an_address_that_no_person_uses_does_not_count(address: str) -> None:
    assert mailbox(address) == "bounce@list.example"


def test_people_whose_addresses_differ_only_in_a_number_have_mailboxes_of_their_own() -> None:
    names = ("anna", "ben", "user1", "user2", "s1001", "s1002", "bouncer1", "bouncer2")
    people = [f"{name}@school.example" for name in names]
    assert [*map(mailbox, people)] == people


@given(st.text(max_size=400))
def test_any_text_has_a_mailbox(address: str) -> None:
    assert isinstance(mailbox(address), str)


def test_a_message_from_such_an_address_is_automatic() -> None:
    daemon = {"type": "user", "id": 5, "name": "Mail", "email": "mailer-daemon@bigcorp.example"}
    read = ticket(update(2, BOT, OURS), update(3, daemon, "Delivery failed.", minute=1), update(4, SAM, "?", minute=2))
    assert automatic(read) == [3]


def test_the_subject_of_the_message_itself_counts() -> None:
    read = ticket(message(2, SAM, "I am away.", subject="Automatic reply: help"), message(3, SAM, "Hello?", 90))
    assert automatic(read) == [2]


def test_the_tickets_subject_says_nothing_about_later_messages() -> None:
    later = [*ticket().raw["updates"], update(2, SAM, "Hello?", minute=5)]
    assert automatic(opened(subject="Automatic reply: x", updates=later)) == [1]


def test_a_message_that_begins_with_our_own_words_is_automatic() -> None:
    read = ticket(update(2, BOT, OURS), update(3, SAM, f"{OURS} Sent by the server.", minute=5))
    assert automatic(read) == [3]


def test_a_person_who_quotes_us_below_an_answer_is_not_automatic() -> None:
    read = ticket(update(2, BOT, OURS), update(3, SAM, f"Fine.\nOn Sunday Bot wrote:\n> {OURS}", minute=5))
    assert automatic(read) == []


def test_our_note_and_a_colleagues_words_are_not_our_message() -> None:
    read = ticket(
        update(2, BOT, OURS, note=True), update(3, ADA, OURS, minute=1), update(4, SAM, f"{OURS} Really?", minute=5)
    )
    assert automatic(read) == []


def test_the_same_eight_words_again_are_automatic() -> None:
    read = ticket(*(update(number, SAM, ABSENT, minute=number) for number in (2, 3, 4)))
    assert automatic(read) == [3, 4]


QUOTATIONS = (
    "\n\nOn Mon, 2 Mar 2026 at 10:0{0} Acme <desk@acme.example> wrote:\n> Thank you, this is message {0}.\n>\n> Bye",
    "\n\nOn Mon, 2 Mar 2026 at 10:0{0}, Acme Support Team <desk@acme.example>\nwrote:\n\n> Message {0}.",
    "\n\n-----Original Message-----\nFrom: Acme\nThank you, this is message {0}.",
    "\n\nVon: Acme <desk@acme.example>\nGesendet: Montag, {0}. März\n\nDanke, dies ist Nachricht {0}.",
    "\n________________________________\nThank you, this is message {0}.",
)


@pytest.mark.parametrize("quotation", QUOTATIONS)
def test_the_same_words_above_another_quotation_are_automatic(quotation: str) -> None:
    read = ticket(*(update(number, SAM, ABSENT + quotation.format(number), minute=number) for number in (2, 3, 4)))
    assert automatic(read) == [3, 4]


@pytest.mark.parametrize("quotation", QUOTATIONS)
def test_other_words_above_a_quotation_are_a_persons(quotation: str) -> None:
    texts = (f"I have sent you the {what} for this order, please look." for what in ("invoice", "photo", "receipt"))
    read = ticket(*(update(number, SAM, text + quotation.format(2)) for number, text in enumerate(texts, 2)))
    assert automatic(read) == []


def test_a_short_message_that_comes_again_is_a_persons() -> None:
    read = ticket(*(update(number, SAM, "Any news on this?", minute=number) for number in (2, 3, 4)))
    assert automatic(read) == []


def test_the_third_answer_within_seconds_of_ours_is_automatic() -> None:
    pairs = [
        each
        for number in (1, 2, 3, 4)
        for each in (
            message(2 * number, BOT, "Noted.", 600 * number),
            message(2 * number + 1, SAM, f"Case {number} is closed.", 600 * number + 8),
        )
    ]
    assert automatic(ticket(*pairs)) == [7, 9]


def test_answers_after_ten_seconds_and_second_messages_are_a_persons() -> None:
    slow = [
        each
        for number in (1, 2, 3, 4)
        for each in (
            message(3 * number, BOT, "Noted.", 600 * number),
            message(3 * number + 1, SAM, f"Thanks {number}!", 600 * number + 11),
            message(3 * number + 2, SAM, f"And one more thing {number}.", 600 * number + 14),
        )
    ]
    assert automatic(ticket(*slow)) == []


def test_an_absent_colleagues_answer_is_automatic() -> None:
    read = ticket(message(2, ADA, "I am away.", subject="Automatic reply: help"), message(3, ADA, "Back again.", 90))
    assert automatic(read) == [2]


def test_a_colleague_who_answers_an_automatic_message_is_not() -> None:
    later = [*ticket().raw["updates"], message(2, ADA, "Is he back?", 90, subject="Re: Out of office")]
    assert automatic(opened(subject="Out of office", updates=later)) == [1]


def test_a_tool_in_a_colleagues_name_that_answers_within_seconds_is_automatic() -> None:
    pairs = [
        each
        for number in (1, 2, 3)
        for each in (
            message(2 * number, BOT, "Noted.", 600 * number),
            message(2 * number + 1, ADA, f"Case {number} is closed.", 600 * number + 8),
        )
    ]
    assert automatic(ticket(*pairs)) == [7]


def test_a_colleague_who_talks_with_a_contact_is_not_automatic() -> None:
    rounds = [
        each
        for number in (1, 2, 3, 4)
        for each in (
            message(3 * number, BOT, "Noted.", 600 * number),
            message(3 * number + 1, ADA, f"Please send me detail {number}.", 600 * number + 1),
            message(3 * number + 2, SAM, f"Here is detail {number}.", 600 * number + 30),
        )
    ]
    assert automatic(ticket(*rounds)) == []


def test_a_colleagues_same_words_and_updates_without_a_message_are_not_automatic() -> None:
    read = ticket(update(2, ADA, ABSENT), update(3, ADA, ABSENT, minute=1), update(4, SAM, status=(1, 2), minute=2))
    assert automatic(read) == []


@given(st.text(max_size=400), st.text(max_size=400))
def test_any_text_is_judged_without_an_error(subject: str, body: str) -> None:
    assert isinstance(automatic_subject(subject), bool)
    assert isinstance(automatic_address(subject), bool)
    assert set(automatic(opened(subject=subject, updates=[update(1, SAM, body), update(2, SAM, body)]))) <= {1, 2}


def test_every_listed_subject_is_recognized_in_any_case() -> None:
    for each in (*SUBJECTS, *AMBIGUOUS):
        for form in (each, each.upper()):
            before = form.removesuffix(":")
            assert automatic_subject(f"Re: {before}: Re: x")
            assert automatic_subject(before) is not each.endswith(":")
            assert automatic_subject(f"{before}: x") is (each in SUBJECTS)
            assert not automatic_subject(f"{before} x")
