"""dead: dead letters listed, shown, replayed and discarded."""

import json

import pytest
import redis

from service.context import current_user
from service.reading.dead_letters import LONGEST_CLASS, error_class
from tests.support.commands import DAY, KEYS, refused, run, shown, take_in, wrong
from tests.support.stores import untyped
from workers.store.client import Store, store_time
from workers.store.inbox import accept, unreadable
from workers.store.recorder import learn

pytestmark = pytest.mark.usefixtures("web_settings")


def bury(
    store: redis.Redis, identity: str, at: int, handler: str, reason: str, ticket: int = 3, **more: object
) -> None:
    evidence = {"id": identity, "handler": handler, "reason": reason, "attempts": 6, **more}
    store.zadd(KEYS.dead_letters, {identity: at})
    letter = {"v": 1, "at": at, "ticket": ticket, "turn": "t", "evidence": json.dumps(evidence)}
    untyped(store).hset(KEYS.dead_letter(identity), mapping=letter)


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ([], ["c", "b", "a"]),
        (["--handler", "crm"], ["c", "a"]),
        (["--handler", "crm.push"], ["a"]),
        (["--error", "TIMEOUT"], ["a"]),
        (["--ticket", "4"], ["b"]),
        (["--since", "30m"], ["c", "b"]),
    ],
)
def test_dead_letters_are_listed_newest_first_and_filtered(
    store: redis.Redis, options: list[str], found: list[str]
) -> None:
    now = store_time(store)
    bury(store, "a", now - 3_600_000, "crm.push", "Timeout of the CRM")
    bury(store, "b", now - 60_000, "vip.greet", "no status 'Open'", ticket=4)
    bury(store, "c", now, "crm.pull", "[red]odd[/red] words")
    assert [letter["id"] for letter in shown("dead", "list", *options)] == found


def test_filters_see_all_dead_letters_and_a_long_list_counts_the_rest(store: redis.Redis) -> None:
    now = store_time(store)
    for each in range(5):
        bury(store, f"letter-{each}", now - each * 1000, "crm.push" if each == 4 else "vip.greet", "Timeout")
    text = run("dead", "list", "--most", "2").stdout
    assert ("letter-1" in text, "3 more: continue with --cursor letter-1" in text) == (True, True)
    assert "letter-2" not in text
    assert len(shown("dead", "list")) == 5
    assert run("dead", "replay", "--handler", "crm").stdout == "letter-4: Requeued.\n"


def test_the_id_of_a_dead_letter_is_never_wrapped(store: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    identity = "b891d834434ecea3.0.after-hours.create_pick_up"
    bury(
        store,
        identity,
        store_time(store),
        "after-hours.create_pick_up",
        "HappyFox refuses the call (400), because",
    )
    assert identity in run("dead", "list").stdout


def test_text_of_a_dead_letter_cannot_control_the_terminal(store: redis.Redis) -> None:
    bury(store, "c", store_time(store), "crm.pull", "[red]odd[/red]\x1b[2J")
    output = run("dead", "list").stdout + run("dead", "show", "c").stdout
    assert output.count("[red]odd[/red] [2J") == 2
    assert "\x1b[2J" not in output


def test_unreadable_deliveries_are_listed_on_request(store: redis.Redis) -> None:
    take_in(store)
    assert "No dead letters." in run("dead", "list").stdout
    (kept,) = shown("dead", "list", "--quarantine")
    assert kept["reason"] == "not JSON"


def test_a_replayed_dead_letter_is_in_its_lane_again(store: redis.Redis) -> None:
    bury(store, "a", store_time(store), "crm.push", "Timeout", ticket=4)
    assert run("dead", "replay", "a").stdout == "a: Requeued.\n"
    assert store.zcard(KEYS.dead_letters) == 0
    assert store.zscore(KEYS.schedule, "4") is not None
    assert store.lrange(KEYS.lane(4), 0, -1) == [b"replay-a"]


def test_dead_letters_are_requeued_in_the_order_in_which_they_failed(store: redis.Redis) -> None:
    bury(store, "newer", store_time(store), "crm.push", "Timeout", ticket=4)
    bury(store, "older", store_time(store) - 60_000, "crm.push", "Timeout", ticket=4)
    run("dead", "replay", "--handler", "crm.push")
    assert store.lrange(KEYS.lane(4), 0, -1) == [b"replay-older", b"replay-newer"]


def test_a_dead_letter_without_a_handler_is_not_replayed(store: redis.Redis) -> None:
    bury(store, "a", store_time(store), "", "the loop guard")
    assert "names no handler" in run("dead", "replay", "a", code=1).stdout
    assert store.zcard(KEYS.dead_letters) == 1


def test_discarding_deletes_only_what_is_asked_for(store: redis.Redis) -> None:
    bury(store, "a", store_time(store), "crm.push", "Timeout")
    bury(store, "b", store_time(store), "vip.greet", "Timeout")
    run("dead", "discard", "--handler", "crm")
    assert store.zrange(KEYS.dead_letters, 0, -1) == [b"b"]
    assert not store.exists(KEYS.dead_letter("a"))


@pytest.mark.parametrize("verb", ["replay", "discard"])
def test_replay_and_discard_need_a_selection(store: redis.Redis, verb: str) -> None:
    bury(store, "a", store_time(store), "crm.push", "Timeout")
    assert "choose some: `foxhooks dead" in wrong("dead", verb)
    assert store.zcard(KEYS.dead_letters) == 1


def test_a_delivery_that_still_cannot_be_read_stays_in_quarantine(store: redis.Redis) -> None:
    take_in(store)
    (identity,) = untyped(store).lrange(KEYS.quarantine, 0, -1)
    assert "still cannot be read" in run("dead", "replay", identity.decode(), "--quarantine", code=1).stdout
    run("dead", "discard", identity.decode(), "--quarantine")
    assert store.llen(KEYS.quarantine) == 0


def keep(store: redis.Redis, body: bytes, reason: str, *, kind: str = "", **headers: str) -> str:
    """Put a delivery into quarantine and return its id."""
    arrival = unreadable(reason, body, json.dumps({"content-type": "text/json", **headers}), kind=kind)
    (kept,) = Store(store).run(accept("acme", [arrival], DAY))
    return kept.event


def test_a_delivery_in_quarantine_is_shown_with_headers_and_keys_but_its_body_only_on_request(
    store: redis.Redis,
) -> None:
    body = b'{"ticket_id": 3, "ticket_number": 4, "ticket": {"subject": "my words"}, "updates": [{"by": "x"}]}'
    identity = keep(store, body, "two-ticket-numbers", **{"content-encoding": "identity"})
    text = " ".join(run("dead", "show", identity).stdout.split())
    assert all(word in text for word in ("names two tickets", "identity", "ticket.subject", "updates[].by", "--body"))
    assert "my words" not in text
    with_body = " ".join(run("dead", "show", identity, "--body").stdout.split())
    assert "my words" in with_body
    assert "`--body`" not in with_body
    evidence = shown("dead", "show", identity)["evidence"]
    assert evidence["keys"] == ["ticket_id", "ticket_number", "ticket", "ticket.subject", "updates", "updates[].by"]
    assert "body" not in evidence
    assert shown("dead", "show", identity, "--body")["evidence"]["body"] == body.decode()


def test_a_delivery_that_can_be_read_now_is_replayed_as_of_its_arrival(store: redis.Redis) -> None:
    identity = keep(store, b'{"ticket_id": 3}', "not-json", kind="updated")
    at = untyped(store).hget(KEYS.event(identity), "at")
    assert run("dead", "replay", identity, "--quarantine").stdout == f"{identity}: Requeued.\n"
    assert store.llen(KEYS.quarantine) == 0
    (event,) = untyped(store).lrange(KEYS.lane(3), 0, -1)
    assert untyped(store).hmget(KEYS.event(event.decode()), "kind", "since", "source") == [b"updated", at, b"replay"]


def test_a_delivery_can_be_read_once_the_name_of_its_ticket_number_is_learned(store: redis.Redis) -> None:
    identity = keep(store, b'{"case": {"no": 3}}', "no-ticket-number")
    assert "still cannot be read" in run("dead", "replay", identity, "--quarantine", code=1).stdout
    Store(store).run(learn("acme", "number", "case.no", "abc"))
    run("dead", "replay", identity, "--quarantine")
    assert (store.llen(KEYS.quarantine), store.llen(KEYS.lane(3))) == (0, 1)


def test_a_contradiction_stays_in_quarantine_until_the_learned_host_is_forgotten(store: redis.Redis) -> None:
    untyped(store).hset(KEYS.hosts, "other.happyfox.com", 1)
    body = b'{"ticket_id": 3, "agent_ticket_url": "https://acme.happyfox.com/staff/ticket/3"}'
    identity = keep(store, body, "other-help-desk")
    assert "--forget-host" in run("dead", "replay", identity, "--quarantine", code=1).stdout
    assert store.llen(KEYS.quarantine) == 1
    assert "Forgotten: other.happyfox.com." in run("webhooks", "--forget-host", "all").stdout
    run("dead", "replay", identity, "--quarantine")
    assert untyped(store).hkeys(KEYS.hosts) == [b"acme.happyfox.com"]
    assert store.llen(KEYS.lane(3)) == 1


def test_a_dead_letter_is_shown_with_its_evidence(store: redis.Redis) -> None:
    bury(store, "a", store_time(store), "crm.push", "Timeout", ticket=4)
    output = run("dead", "show", "a").stdout
    assert all(word in output for word in ("crm.push", "Timeout", "explain 4"))
    assert shown("dead", "show", "a")["evidence"]["reason"] == "Timeout"
    assert "no dead letter 'zz'" in refused("dead", "show", "zz")


@pytest.mark.parametrize("command", [["dead", "list"], ["events"]])
def test_an_invalid_since_is_wrong_usage(command: list[str]) -> None:
    assert "90s, 10m" in wrong(*command, "--since", "soon")


def test_the_events_of_a_ticket_that_could_not_be_read_are_replayed_without_a_handler(store: redis.Redis) -> None:
    bury(store, "t.ticket", store_time(store), "", "HappyFox does not let this API key read ticket 3", events_since=7)
    assert run("dead", "replay", "t.ticket").stdout == "t.ticket: Requeued.\n"
    assert store.zscore(KEYS.schedule, "3") is not None


def test_pages_of_dead_letters_say_how_many_follow(store: redis.Redis) -> None:
    now = store_time(store)
    for number in range(7):
        bury(store, f"n{number}", now - number, "vip.greet", "broken")
    first = run("dead", "list", "--most", "3").stdout
    assert "4 more: continue with --cursor n2" in first
    result = run("dead", "list", "--most", "3", "--cursor", "n2", "--json")
    assert [each["id"] for each in json.loads(result.stdout)] == ["n3", "n4", "n5"]
    assert "1 more: continue with --cursor n5" in result.stderr
    assert len(shown("dead", "list")) == 7
    assert "not in the list any more" in refused("dead", "list", "--cursor", "gone")


def test_who_discards_and_why_is_in_the_audit_log(store: redis.Redis) -> None:
    bury(store, "n1", store_time(store), "vip.greet", "broken")
    run("dead", "discard", "n1", "--why", "test data")
    (line,) = shown("audit", "--who", current_user(), "--since", "1h")
    assert (line["what"], line["object"], line["why"]) == ("discard", "dead letter n1", "test data")
    assert "test data" in run("audit").stdout
    assert shown("audit", "--what", "pause") == []


@pytest.mark.parametrize("word", ["z", "'a", '"', "a@", "0", "z@ "])
def test_the_class_of_a_long_reason_takes_little_time(word: str) -> None:
    """The square of this length would take many minutes."""
    assert len(error_class(word * 400_000)) <= LONGEST_CLASS
