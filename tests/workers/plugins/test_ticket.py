"""Intents that cannot be are the handler's mistake: told in words, and not tried again."""

from collections.abc import Callable
from typing import Any

import pytest

from workers import GiveUp
from workers.plugins.actions import Forward, Move, Note, Reply, Set, Tags, Ticket, for_handler
from workers.testing import ticket


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda recorder: recorder.add_tags(5), "a tag that is an int"),
        (lambda recorder: recorder.add_tags(["a", "b"]), r"as add_tags\(\*names\)"),
        (lambda recorder: recorder.add_tags("a\nb"), "all of them on one line"),
        (lambda recorder: recorder.remove_tags("x" * 251), "a tag of 251 characters"),
        (lambda recorder: recorder.add_tags("a,b"), "one name at a time"),
        (lambda recorder: recorder.note(""), "an empty note"),
        (lambda recorder: recorder.note(5), "give it a text"),
        (lambda recorder: recorder.note(html=5), "give it a text"),
        (lambda recorder: recorder.note("x" * 1_000_001), "1000000 are the most"),
        (lambda recorder: recorder.note("x", alert=["s"]), "alert that is a list"),
        (lambda recorder: recorder.reply("x", cc=None), "cc that are None: give a list"),
        (lambda recorder: recorder.reply("x", cc=[5]), "cc: one of them is no e-mail address"),
        (lambda recorder: recorder.forward("a@b.example", "s", None), "give it a text"),
        (lambda recorder: recorder.forward("a@b.example", None, "m"), "a subject that is None"),
        (lambda recorder: recorder.forward("a@b.example\nBcc: c@d.example", "s", "m"), "no e-mail address"),
        (lambda recorder: recorder.forward("", "s", "m"), "a forward to nobody"),
        (lambda recorder: recorder.set(status=recorder.status), "status that is a Status: give a name"),
        (lambda recorder: recorder.set(fields=["a"]), "fields that are a list"),
        (lambda recorder: recorder.set(fields={("a",): 1}), "a field that is a tuple"),
        (lambda recorder: recorder.set(status=None), "cannot be cleared"),
        (lambda recorder: recorder.set(priority=True), "a name .str. or an id"),
        (lambda recorder: recorder.set(due_date="soon"), "such as 2026-12-31"),
    ],
)
def test_a_wrong_intent_is_given_up_with_the_cure(wrong: Callable[[Ticket], None], words: str) -> None:
    with pytest.raises(GiveUp, match=words):
        wrong(for_handler(ticket(), []))


def test_a_wrong_intent_does_not_repeat_what_may_be_a_customers_words() -> None:
    wrongs: tuple[Callable[[Ticket], None], ...] = (
        lambda it: it.add_tags("my, secret"),
        lambda it: it.set(due_date="my secret"),
    )
    for wrong in wrongs:
        with pytest.raises(GiveUp) as told:
            wrong(for_handler(ticket(), []))
        assert "secret" not in str(told.value)


def test_nobody_and_nothing_cost_no_call() -> None:
    recorder = for_handler(ticket(), [])

    recorder.add_tags()
    recorder.remove_tags()
    recorder.subscribe()
    recorder.set(fields={})

    assert recorder.actions == []


def test_addresses_come_in_a_list_or_in_one_text() -> None:
    recorder = for_handler(ticket(), [])

    recorder.reply("x", cc=["a@b.example"], bcc="c@d.example, e@f.example")

    assert recorder.actions == [Reply("x", True, ("a@b.example",), ("c@d.example", "e@f.example"))]


def test_none_clears_the_assignee_and_the_due_date() -> None:
    recorder = for_handler(ticket(), [])

    recorder.set(assignee=None, due_date=None)

    assert recorder.actions == [Set({"assignee": None, "due_date": None}, {})]


def test_handlers_do_not_see_each_others_intents() -> None:
    read = ticket()
    first, second = for_handler(read, []), for_handler(read, [])

    first.add_tags("vip")

    assert first.actions == [Tags(add=("vip",))]
    assert second.actions == []


def test_plain_text_is_escaped_wherever_it_is_sent() -> None:
    actions: list[Any] = []
    recorder = for_handler(ticket(subject="<script>x</script>\nBcc: a@b.example", name="<b>Sam</b>"), actions)
    recorder.note(recorder.contact.name)
    recorder.reply(recorder.contact.name)
    recorder.move("Billing", recorder.contact.name + "\n&")
    recorder.forward("a@b.example", recorder.subject, recorder.contact.name)
    recorder.note(html="<b>meant</b>")

    assert [getattr(each, "html", "") for each in actions[:2]] == ["&lt;b&gt;Sam&lt;/b&gt;"] * 2
    assert actions[2] == Move("Billing", "&lt;b&gt;Sam&lt;/b&gt;<br>&amp;")
    assert actions[3] == Forward(("a@b.example",), "<script>x</script> Bcc: a@b.example", "&lt;b&gt;Sam&lt;/b&gt;")
    assert actions[4] == Note("<b>meant</b>")
