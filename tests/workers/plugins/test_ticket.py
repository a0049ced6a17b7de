"""Invalid actions are the handler's mistake: explained in the error, and not retried."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from workers import GiveUp
from workers.errors import InvalidAction
from workers.plugins.actions import AnyAction, Forward, Move, Note, Reply, Set, Tags, Ticket, recording
from workers.testing import ticket


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda recorder: recorder.add_tags(5), "a tag is an int"),
        (lambda recorder: recorder.add_tags(["a", "b"]), r"add_tags\(\*names\)"),
        (lambda recorder: recorder.add_tags("a\nb"), "on a single line"),
        (lambda recorder: recorder.remove_tags("x" * 251), "a tag of 251 characters"),
        (lambda recorder: recorder.add_tags("a,b"), "one name at a time"),
        (lambda recorder: recorder.note(""), "the note is empty"),
        (lambda recorder: recorder.note(5), "pass a string"),
        (lambda recorder: recorder.note(html=5), "pass a string"),
        (lambda recorder: recorder.note("x" * 1_000_001), "shorten it to 1000000"),
        (lambda recorder: recorder.note("x", alert=["s"]), "alert is a list"),
        (lambda recorder: recorder.reply("x", cc=None), "cc is None; pass a list"),
        (lambda recorder: recorder.reply("x", cc=[5]), "cc contains an invalid e-mail address"),
        (lambda recorder: recorder.forward("a@b.example", "s", None), "pass a string"),
        (lambda recorder: recorder.forward("a@b.example", None, "m"), "the subject is None"),
        (lambda recorder: recorder.forward("a@b.example\nBcc: c@d.example", "s", "m"), "invalid e-mail address"),
        (lambda recorder: recorder.forward("", "s", "m"), "the forward has no recipient"),
        (lambda recorder: recorder.set(status=recorder.status), "status is a Status; pass a name"),
        (lambda recorder: recorder.set(fields=["a"]), "fields is a list"),
        (lambda recorder: recorder.set(fields={("a",): 1}), "field name is a tuple"),
        (lambda recorder: recorder.set(status=None), "cannot be cleared"),
        (lambda recorder: recorder.set(priority=True), "a name .str. or an id"),
        (lambda recorder: recorder.set(due_date="soon"), "such as 2026-12-31"),
    ],
)
def test_an_invalid_action_gives_up_with_a_fix(wrong: Callable[[Ticket], None], words: str) -> None:
    with pytest.raises(GiveUp, match=words):
        wrong(recording(ticket(), []))


def test_an_error_does_not_repeat_what_a_customer_may_have_written() -> None:
    invalid: tuple[Callable[[Ticket], None], ...] = (
        lambda it: it.add_tags("my, secret"),
        lambda it: it.set(due_date="my secret"),
    )
    for wrong in invalid:
        with pytest.raises(GiveUp) as raised:
            wrong(recording(ticket(), []))
        assert "secret" not in str(raised.value)


def test_empty_arguments_record_no_action() -> None:
    recorder = recording(ticket(), [])

    recorder.add_tags()
    recorder.remove_tags()
    recorder.subscribe()
    recorder.set(fields={})

    assert recorder.actions == []


def test_addresses_are_a_list_or_one_string() -> None:
    recorder = recording(ticket(), [])

    recorder.reply("x", cc=["a@b.example"], bcc="c@d.example, e@f.example")

    assert recorder.actions == [Reply("x", True, ("a@b.example",), ("c@d.example", "e@f.example"))]


def test_none_clears_the_assignee_and_the_due_date() -> None:
    recorder = recording(ticket(), [])

    recorder.set(assignee=None, due_date=None)

    assert recorder.actions == [Set({"assignee": None, "due_date": None}, {})]


def test_handlers_do_not_see_each_others_actions() -> None:
    read = ticket()
    first, second = recording(read, []), recording(read, [])

    first.add_tags("vip")

    assert first.actions == [Tags(add=("vip",))]
    assert second.actions == []


def test_plain_text_is_escaped_wherever_it_is_sent() -> None:
    actions: list[Any] = []
    recorder = recording(ticket(subject="<script>x</script>\nBcc: a@b.example", name="<b>Sam</b>"), actions)
    recorder.note(recorder.contact.name)
    recorder.reply(recorder.contact.name)
    recorder.move("Billing", recorder.contact.name + "\n&")
    recorder.forward("a@b.example", recorder.subject, recorder.contact.name)
    recorder.note(html="<b>meant</b>")

    assert [getattr(each, "html", "") for each in actions[:2]] == ["&lt;b&gt;Sam&lt;/b&gt;"] * 2
    assert actions[2] == Move("Billing", "&lt;b&gt;Sam&lt;/b&gt;<br>&amp;")
    assert actions[3] == Forward(("a@b.example",), "<script>x</script> Bcc: a@b.example", "&lt;b&gt;Sam&lt;/b&gt;")
    assert actions[4] == Note("<b>meant</b>")


FILES: dict[str, Any] = {
    "a single path": "terms.pdf",
    "bytes": b"x",
    "no such file": ["nowhere/terms.pdf"],
    "a folder": ["."],
    "bytes without a name": [b"x"],
    "a number": [3],
    "text as content": [("a.txt", "text")],
    "no name": [("", b"x")],
    "too much": [("a.bin", bytes(1_500_000)), ("b.bin", bytes(600_000))],
}


@pytest.mark.parametrize("mistake", FILES)
def test_attachments_that_cannot_be_sent_are_refused(mistake: str) -> None:
    actions: list[AnyAction] = []
    with pytest.raises(InvalidAction, match="attachment"):
        recording(ticket(), actions).note("See", attachments=FILES[mistake])
    assert actions == []


def test_a_reply_with_files_cannot_clear_what_a_form_cannot_express(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(InvalidAction, match=r"use ticket\.set for it"):
        recording(ticket(), []).reply("See", attachments=[tmp_path / "a.txt"], assignee=None)


@pytest.mark.parametrize("contact", [True, 0, "Sam"])
def test_a_reply_as_contact_needs_an_id(contact: Any) -> None:
    with pytest.raises(InvalidAction, match="pass the id of a contact"):
        recording(ticket(), []).reply_as_contact("Hello", contact=contact)


def test_a_time_alone_is_no_change() -> None:
    with pytest.raises(InvalidAction, match="time_spent alone is no change"):
        recording(ticket(), []).set(time_spent=5)
