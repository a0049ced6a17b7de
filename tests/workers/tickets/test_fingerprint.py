"""Which updates are ours."""

from tests.support.turns import ADA, BOT, ticket, update
from workers.tickets.model import Update
from workers.tickets.snapshot import Fingerprint, attribute, fits_answer

NOTE = Fingerprint("staff", 7, message="note", words=("the", "contact", "has", "replied"))


def updates(*raw: object) -> tuple[Update, ...]:
    return ticket(*raw).history[1:]


def test_the_lowest_update_that_fits_is_ours() -> None:
    history = updates(*(update(number, BOT, "The contact has replied", note=True) for number in (3, 2, 4)))

    assert attribute([NOTE], history) == {0: 2}


def test_two_effects_with_equal_content_get_two_updates() -> None:
    history = updates(*(update(number, BOT, "The contact has replied", note=True) for number in (2, 3)))

    assert attribute([NOTE, NOTE, NOTE], history) == {0: 2, 1: 3}


def test_an_update_with_another_author_kind_or_text_is_not_ours() -> None:
    history = updates(
        update(2, ADA, "The contact has replied", note=True),
        update(3, BOT, "The contact has replied"),
        update(4, BOT, "The contact has rung", note=True),
    )

    assert attribute([NOTE], history) == {}


def test_our_words_are_recognized_in_html_in_another_case_and_before_a_signature() -> None:
    html = {
        **update(2, BOT, "x", note=True),
        "message": {"html": "<p>THE contact&nbsp;has <b>replied</b></p>--Bot", "message_type": "p"},
    }

    assert attribute([NOTE], updates(html)) == {0: 2}


def test_an_update_with_a_change_that_we_did_not_make_is_not_ours() -> None:
    status = Fingerprint("staff", 7, changes={"status": "2"})

    assert attribute([status], updates(update(2, BOT, status=(1, 4)))) == {}
    assert attribute([status], updates(update(2, BOT, status=(1, 2)))) == {0: 2}


def test_an_update_without_changes_fits_a_write_that_changed_nothing() -> None:
    assert attribute([Fingerprint("staff", 7, changes={"status": "2"})], updates(update(2, BOT))) == {0: 2}


def test_the_update_in_an_answer_may_have_more_changes_and_text_around_ours() -> None:
    reply = Fingerprint("staff", 7, message="reply", words=("thank", "you"), changes={"status": "2"})
    dressed, denied, other = updates(
        update(2, BOT, "Acme support: Thank you -- The Bot", status=(1, 2), priority=(1, 3)),
        update(3, BOT, "Thank you", status=(1, 4)),
        update(4, BOT, "No thanks"),
    )

    assert attribute([reply], [dressed]) == {}
    assert [fits_answer(reply, each) for each in (dressed, denied, other)] == [True, False, False]
    assert fits_answer(
        Fingerprint("staff", 7, changes={"status": "2"}), *updates(update(2, BOT, status=(1, 2), priority=(1, 3)))
    )


def test_an_effect_without_an_update_gets_none() -> None:
    assert attribute([None, NOTE], updates(update(2, BOT, "The contact has replied", note=True))) == {1: 2}
