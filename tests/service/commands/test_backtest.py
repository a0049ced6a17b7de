"""backtest: changed rules and handlers on the turns of the past."""

import re
from pathlib import Path
from typing import Any

import pytest
import redis

from service.commands.backtest import peak
from tests.support.commands import refused, run, shown
from tests.support.stores import untyped
from workers.store.keys import Keys
from workers.testing import Desk

THEN = """
from workers import Router
router = Router("vip")

@router.on("ticket-created")
def greet(ticket, event):
    ticket.add_tags("vip")
    ticket.note("Answer within the hour.")
    ticket.set(priority="High")
"""
NOW = """
import socket, sys
from workers import GiveUp, Retry, Router
router = Router("vip")

@router.on("ticket-created")
def greet(ticket, event):
    ticket.add_tags("vip", "gold")
    ticket.set(priority="high")
    ticket.reply("Hello <b>" + ticket.contact.name)

@router.on("ticket-created")
def look(ticket, event, ctx):
    try:
        ctx.happyfox.ticket(3)
    except BaseException:
        ticket.note("nobody sees this")

@router.on("ticket-created")
def fails(ticket, event):
    raise ValueError(ticket.subject)

@router.on("ticket-created")
def calls(ticket, event):
    socket.create_connection(("127.0.0.1", 1))

@router.on("ticket-created")
def tells(ticket, event, ctx):
    assert ctx.effect("chat", lambda: sys.exit("called"), dry="shown") == "shown"

@router.on("contact-replied", when=lambda ticket: ticket.status.closed)
def reopen(ticket, event):
    ticket.set(status="In Progress")
"""
BAD = """
import sys
from workers import Router
router = Router("bad")

@router.on("ticket-created")
def hangs(ticket, event):
    while True: pass

@router.on("ticket-created")
def exits(ticket, event):
    sys.exit("bye")

@router.on("ticket-created")
def recurses(ticket, event):
    recurses(ticket, event)

@router.on("ticket-created")
def gives(ticket, event):
    return "something"

@router.on("ticket-created")
def prints(ticket, event):
    print("{ no JSON")
    ticket.add_tags("printed")
"""
KEYS = Keys("demo")


@pytest.fixture(autouse=True)
def _project(tmp_path: Path, valkey_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    settings = {"HAPPYFOX_URL": "https://demo.example", "HAPPYFOX_API_KEY": "test-key", "HAPPYFOX_AUTH_CODE": "code"}
    settings |= {"HAPPYFOX_ACCOUNT": "demo", "HAPPYFOX_STAFF_ID": "7", "FOXHOOKS_HANDLERS": "quiet:router"}
    for name, value in {**settings, "REDIS_URL": valkey_url, "COLUMNS": "200"}.items():
        monkeypatch.setenv(name, value)


def load(name: str, source: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Write a plug-in and import it from the folder alone."""
    (folder / f"{name}.py").write_text(source)
    monkeypatch.syspath_prepend(folder)
    return __import__(name)


@pytest.fixture
def past(desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """Two tickets that the handlers of then have met; the store's clock is the machine's, so that `since` holds."""
    desk.use(load("vip_then", THEN, tmp_path, monkeypatch).router)
    desk.simulator.create_ticket(subject="Help")
    evil = "<script>alert(1)</script>\x1b[2J"
    desk.simulator.create_ticket("kim@example.org", name="Kim \x1b]0;x\x07Doe", subject=evil)
    desk.advance("1m")
    desk.simulator.contact_replies(1, "Any news?")
    desk.advance("1m")
    (tmp_path / "vip_now.py").write_text(NOW)
    return desk


def replayed(what: str, *options: str, code: int = 0) -> Any:
    """Run a backtest on everything and return its result."""
    (found,) = shown("backtest", what, "--since", "0s", *options, code=code)
    return found


def snapshot(store: redis.Redis) -> dict[bytes, bytes | None]:
    return {key: store.dump(key) for key in store.scan_iter()}


def summaries(actions: list[dict[str, Any]]) -> set[str]:
    return {action["summary"] for action in actions}


@pytest.mark.usefixtures("past")
def test_the_same_handlers_would_do_the_same() -> None:
    found = replayed("vip_then:router")
    (handler,) = found["handlers"].values()
    assert (handler["acted"], handler["same"], handler["added"], handler["missing"]) == (2, 6, [], [])
    assert (found["turns"], found["posts"], found["made"], found["skipped"]) == (3, 4, 4, 0)
    assert handler["skipped"] == {"not triggered by this event": 1}


@pytest.mark.usefixtures("past")
def test_differences_are_shown_handler_by_handler() -> None:
    handlers = replayed("vip_now:router", code=1)["handlers"]
    greet = handlers["vip.greet"]
    assert greet["same"] == 4  # the tag and, in whatever case it is written, the priority of both tickets
    assert summaries(greet["added"]) == {"tag +gold"}
    assert summaries(greet["missing"]) == {"private note"}
    assert {action["text"] for action in greet["missing"]} == {"Answer within the hour."}
    assert greet["denied"] == {"FOXHOOKS_ALLOW=vip:reply": 2}
    assert handlers["vip.reopen"]["skipped"]["its `when` does not hold"] == 1
    assert summaries(handlers["vip.tells"]["added"]) == {"effect chat"}


@pytest.mark.usefixtures("past")
def test_handlers_that_read_call_outside_or_raise_are_listed_and_not_fatal() -> None:
    found = replayed("vip_now:router", code=1)
    failed = {name: list(handler["failed"].items()) for name, handler in found["handlers"].items() if handler["failed"]}
    assert failed["vip.look"] == [("needs a read (ctx.happyfox, /ticket/3/), and a backtest makes no call", 2)]
    assert failed["vip.fails"] == [("ValueError at vip_now.py:21", 2)]
    assert failed["vip.calls"] == [("ConnectionRefusedError at vip_now.py:25", 2)]
    assert set(failed) == {"vip.look", "vip.fails", "vip.calls"}
    assert found["handlers"]["vip.look"]["added"] == []


def test_nothing_is_called_and_nothing_is_stored(past: Desk, store: redis.Redis) -> None:
    calls, before = past.simulator.log.next_number, snapshot(store)
    replayed("vip_now:router", code=1)
    assert past.simulator.log.next_number == calls
    assert snapshot(store) == before


@pytest.mark.usefixtures("past", "no_garbage_collection")
def test_handlers_that_hang_exit_recurse_print_or_return_something_do_no_harm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FOXHOOKS_HANDLER_SECONDS", "1")
    (tmp_path / "bad.py").write_text(BAD)
    handlers = replayed("bad:router", "--ticket", "1", code=1)["handlers"]
    failed = {name: next(iter(handler["failed"]), "") for name, handler in handlers.items()}
    assert failed == {
        "bad.hangs": "ran longer than 1 s (FOXHOOKS_HANDLER_SECONDS)",
        "bad.exits": "SystemExit at bad.py:12",
        "bad.recurses": "RecursionError at bad.py:16",
        "bad.gives": "bad.gives returned a str; a handler returns None: record actions on the ticket",
        "bad.prints": "",
    }
    assert summaries(handlers["bad.prints"]["added"]) == {"tag +printed"}


@pytest.mark.usefixtures("past")
def test_a_rules_file_is_tested_without_its_permissions_on_the_chosen_ticket(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "rules.toml").write_text(
        '[[rule]]\nname = "help"\non = "ticket-created"\nwhen.subject = "help"\nreply = "Hello"\nonce = true\n'
    )
    assert replayed("rules.toml", "--ticket", "1")["handlers"]["rules.help"]["denied"] == {
        "FOXHOOKS_ALLOW=rules:reply": 1
    }
    monkeypatch.setenv("FOXHOOKS_ALLOW", "rules:reply")
    monkeypatch.setenv("FOXHOOKS_HANDLERS", "rules")
    monkeypatch.setenv("FOXHOOKS_RULES", "rules.toml")
    rule = replayed("rules.toml", "--ticket", "1")["handlers"]["rules.help"]
    assert [(action["ticket"], action["summary"], action["text"]) for action in rule["added"]] == [
        (1, "reply", "Hello")
    ]
    assert replayed("rules.toml", "--ticket", "2")["handlers"]["rules.help"]["skipped"] == {
        "subject does not match help": 1
    }


def test_a_rule_that_acts_once_acts_once_in_the_backtest_too(past: Desk, tmp_path: Path) -> None:
    past.simulator.contact_replies(1, "Hello?")
    past.advance("1m")
    (tmp_path / "rules.toml").write_text(
        '[[rule]]\nname = "calm"\non = "contact-replied"\nnote = "Calm them."\nonce = true\n'
    )
    rule = replayed("rules.toml")["handlers"]["rules.calm"]
    assert len(rule["added"]) == 1
    assert "already acted on this ticket, and runs only once per ticket" in rule["skipped"]


def conversation(desk: Desk, ticket: int, rounds: int) -> None:
    for number in range(rounds):
        desk.simulator.fire_rule(ticket, "Hourly", note=f"Still waiting, {number}.")
        desk.advance("10m")


@pytest.fixture
def thanks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("FOXHOOKS_ALLOW", "rules:reply")
    rule = '[[rule]]\nname = "thanks"\non = ["ticket-created", "note-added"]\nreply = "Thank you"\nadd_tags = ["new"]\n'
    (tmp_path / "rules.toml").write_text(rule)
    return "rules.toml"


def test_emails_in_a_row_that_a_brake_would_hold_are_shown(past: Desk, thanks: str) -> None:
    conversation(past, 1, 6)
    rule = replayed(thanks, "--ticket", "1")["handlers"]["rules.thanks"]
    assert [action["state"] for action in rule["held"]] == ["held"] * 3
    assert [action["summary"] for action in rule["held"]] == ["reply"] * 3
    assert rule["held"][0]["reason"].startswith("3 emails in a row from this ticket without an update by a person")
    assert sum(action["state"] == "held" for action in rule["added"]) == 3
    assert sum(action["summary"] == "tag +new" for action in rule["added"]) == 7

    output = run("backtest", thanks, "--since", "0s", "--ticket", "1").stdout
    assert "held back from rules.thanks" in output
    assert re.search(r'! ticket 1, 2026-01-05 \d\d:\d\d UTC: reply: "Thank you" \(3 emails in a row from', output)
    assert f"POST calls: {7 + 4} (" in output  # each tag, and the replies that are sent


def test_emails_to_one_address_count_over_all_its_tickets(
    past: Desk, thanks: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FOXHOOKS_REPLIES_PER_CONTACT", "2")
    for number in range(3):
        past.simulator.create_ticket("Kim@example.org", subject=f"Again {number}")
        past.advance("1m")
    held = replayed(thanks)["handlers"]["rules.thanks"]["held"]
    assert [action["ticket"] for action in held] == [4, 5]
    assert held[0]["reason"].startswith(
        "2 automatic emails to this address within 24 hours (FOXHOOKS_REPLIES_PER_CONTACT=2), from tickets 2, 3"
    )
    assert "kim" not in str(held).lower()


@pytest.mark.usefixtures("past")
def test_unknown_names_are_found_if_the_lists_are_stored(store: redis.Redis, tmp_path: Path) -> None:
    (tmp_path / "rules.toml").write_text('[[rule]]\nname = "x"\non = "ticket-created"\nset.status = "Opne"\n')
    found = replayed("rules.toml", code=1)
    assert found["named"]
    (reason,) = found["handlers"]["rules.x"]["failed"]
    assert "no status 'Opne' in HappyFox" in reason

    store.delete(KEYS.directory)
    found = replayed("rules.toml")
    assert not found["named"]
    assert summaries(found["handlers"]["rules.x"]["added"]) == {"status = Opne"}


def test_without_stored_lists_names_come_from_the_records(past: Desk, store: redis.Redis) -> None:
    store.delete(KEYS.directory)
    (handler,) = replayed("vip_then:router")["handlers"].values()
    assert (handler["same"], handler["added"], handler["missing"]) == (6, [], [])


@pytest.mark.usefixtures("past")
def test_unreadable_records_are_skipped_and_counted(store: redis.Redis) -> None:
    first, second, _ = untyped(store).zrange(KEYS.turns, 0, -1)
    store.set(KEYS.record(first.decode()), b"rubbish")
    store.delete(KEYS.record(second.decode()))
    found = replayed("vip_then:router")
    assert (found["turns"], found["skipped"]) == (1, 1)


@pytest.mark.usefixtures("past")
def test_output_for_people_has_no_terminal_control_characters(tmp_path: Path) -> None:
    (tmp_path / "rules.toml").write_text(
        '[[rule]]\nname = "hello"\non = "ticket-created"\n'
        'note = "{{ ticket.subject }} of {{ ticket.contact.name }} [red]x[/red]"\n'
    )
    output = run("backtest", "rules.toml", "--since", "0s").stdout
    assert "\x1b]" not in output
    assert "\x1b[2J" not in output
    assert '+ ticket 2, 2026-01-05 12:00 UTC: private note: "<script>alert(1)</script> [2J of Kim  ]0;x Doe' in output
    assert "[red]x[/red]" in output
    assert "POST calls: 2 (actually made: 0), at most 2 in any 60 s (limit 270), less than 0.01" in output
    assert "a storm of their own" not in output


def test_what_cannot_be_loaded_is_reported_with_its_fix(tmp_path: Path) -> None:
    assert "no module 'nothing'" in refused("backtest", "nothing:router")
    (tmp_path / "rules.toml").write_text('[[rule]]\nname = "x"\non = "ticket-creatd"\nnote = "x"\n')
    assert "did you mean 'ticket-created'" in refused("backtest", "rules.toml")
    assert "there is no account 'acme'; there are: demo" in refused("backtest", "rules.toml", "--account", "acme")


@pytest.mark.usefixtures("past")
@pytest.mark.parametrize(("since", "turns"), [("1000d", 3), ("1h", 0)])
def test_only_turns_since_then_count(since: str, turns: int) -> None:
    assert shown("backtest", "vip_then:router", "--since", since)[0]["turns"] == turns


def test_without_a_name_the_handlers_of_the_settings_run_on_one_ticket(past: Desk, monkeypatch: Any) -> None:
    monkeypatch.setenv("FOXHOOKS_HANDLERS", "vip_then:router")
    [found] = shown("backtest", "--ticket", "1", "--since", "0s")
    assert found["handlers"] == replayed("vip_then:router", "--ticket", "1")["handlers"] != {}
    monkeypatch.delenv("FOXHOOKS_HANDLERS")
    monkeypatch.setenv("HAPPYFOX_WEBHOOK_SECRETS", "test-secret")
    assert "the handlers are not known here" in refused("backtest", "--ticket", "1")


@pytest.mark.parametrize("line", ["backtest", "backtest vip:router --since soon", "backtest vip:router --ticket 0"])
def test_wrong_usage_is_exit_code_2(line: str) -> None:
    run(*line.split(), code=2)


@pytest.mark.parametrize(
    ("times", "most"),
    [([], 0), ([0], 1), ([0, 59_999], 2), ([0, 60_000], 1), ([0, 1, 59_000, 60_000, 60_500, 130_000], 3)],
)
def test_the_peak_is_the_fullest_window_of_any_alignment(times: list[int], most: int) -> None:
    assert peak(times, 60.0) == most


COUNTS = """
from workers import Router
router = Router("counts")

@router.on("contact-replied")
def count(ticket, event):
    ticket.note(f"{len(ticket.history)} updates")
"""


def test_a_long_ticket_has_all_updates_that_its_records_have(
    desk: Desk, store: redis.Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.use(load("counts_then", COUNTS, tmp_path, monkeypatch).router)
    number = desk.simulator.create_ticket().id
    for _ in range(15):
        desk.advance("1m")
        desk.simulator.contact_replies(number, "Any news?")
        desk.advance("1m")

    (found,) = shown("backtest", "counts_then:router", "--since", "0s")
    assert found["handlers"]["counts.count"]["same"] == 15
    assert found["shortened"] == 0
    *_, last = [turn.decode() for turn in untyped(store).zrange(KEYS.turns, 0, -1)]
    untyped(store).delete(*(key for key in store.scan_iter(KEYS.record("*")) if not key.endswith(last.encode())))
    (found,) = shown("backtest", "counts_then:router", "--since", "0s")
    assert (found["turns"], found["shortened"]) == (1, 1)
    assert (
        "In 1 turn, the tickets had updates from before"
        in run("backtest", "counts_then:router", "--since", "0s").stdout
    )


def test_handlers_that_would_cause_a_storm_are_reported(
    past: Desk, thanks: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HAPPYFOX_POSTS_PER_MINUTE", "2")
    for number in range(3):
        past.simulator.create_ticket(f"c{number}@bigcorp.example")
    past.advance("1m")
    output = " ".join(run("backtest", thanks, "--since", "0s").stdout.split())
    assert "(limit 1)" in output
    assert "more than half of the limit: these handlers cause a storm of their own" in output
