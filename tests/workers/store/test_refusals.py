"""Notes about refusals in a real store."""

import redis

from workers.store.refusals import EXAMPLES, Noted, Notes, read_causes, read_keys_used, read_misdirected

NOW = 1_750_000_000_000


def write(store: redis.Redis, notes: Notes, now: int) -> None:
    for command in notes.commands(now):
        store.execute_command(*command)  # type: ignore[no-untyped-call]


def test_notes_add_up_and_the_last_comes_first(either_store: redis.Redis) -> None:
    for step in range(3):
        notes = Notes()
        assert not notes
        notes.cause("acme", "quotes-there" if step else "other-account:beta")
        notes.key("acme", "a1b2")
        notes.misdirected("unknown-account", f"POST /webhooks/{step}")
        assert notes
        write(either_store, notes, NOW + step)
    causes = read_causes(either_store, "acme")
    assert list(causes.items()) == [("quotes-there", Noted(2, NOW + 2)), ("other-account:beta", Noted(1, NOW))]
    assert read_keys_used(either_store, "acme") == {"a1b2": NOW + 2}
    found = read_misdirected(either_store)
    assert found.reasons == {"unknown-account": Noted(3, NOW + 2)}
    assert list(found.examples) == [f"POST /webhooks/{step}" for step in (2, 1, 0)]
    assert read_causes(either_store, "beta") == {}


def test_only_the_last_examples_are_kept(either_store: redis.Redis) -> None:
    for step in range(EXAMPLES + 5):
        notes = Notes()
        notes.misdirected("method", f"PUT /webhooks/{step}")
        write(either_store, notes, NOW + step)
    found = read_misdirected(either_store)
    assert len(found.examples) == EXAMPLES
    assert found.examples["PUT /webhooks/24"] == NOW + 24
    assert found.reasons["method"].count == EXAMPLES + 5


def test_every_key_of_the_notes_expires(either_store: redis.Redis) -> None:
    notes = Notes()
    notes.cause("acme", "unknown")
    notes.key("acme", "a1b2")
    notes.misdirected("method", "PUT /webhooks/acme")
    write(either_store, notes, NOW)
    keys = list(either_store.scan_iter())
    assert len(keys) == 4
    assert all(either_store.ttl(key) > 0 for key in keys)
