"""Who is asked where the primaries are, and what follows from the answers."""

from collections.abc import Sequence
from typing import Any

import pytest
from redis.exceptions import ConnectionError as LostConnection
from redis.exceptions import ResponseError

from workers.store.failures import failure
from workers.store.nodes import NoCluster, Node, Sentinels, SilentNodes, Slots, UncoveredSlot, UnknownPrimary

A, B, C = ("10.0.0.1", 7000), ("10.0.0.2", 7000), ("10.0.0.3", 7000)


class Answers:
    """What each node answers; it notes who was asked."""

    def __init__(self, **answers: Any) -> None:
        self.by_host = answers
        self.asked: list[str] = []

    def __call__(self, node: Node, command: Sequence[str]) -> Any:
        name = {A: "a", B: "b", C: "c"}[node]
        self.asked.append(name)
        answer = self.by_host.get(name, LostConnection("nothing listens"))
        if isinstance(answer, Exception):
            raise answer
        return answer


def entry(first: int, last: int, *nodes: Node) -> list[Any]:
    return [first, last, *([host.encode(), port, b"id"] for host, port in nodes)]


def test_the_first_sentinel_that_answers_names_the_primary() -> None:
    ask = Answers(b=[b"10.0.0.9", b"6379"])
    sentinels = Sentinels([A, B], "desk", ask)
    assert sentinels.primary() == ("10.0.0.9", 6379)
    assert sentinels.primary() == ("10.0.0.9", 6379)
    assert ask.asked == ["a", "b", "b"], "a Sentinel that is lost is asked last"


def test_sentinels_that_do_not_know_the_store_are_told_from_those_that_are_lost() -> None:
    with pytest.raises(UnknownPrimary) as unknown:
        Sentinels([A, B], "desk", Answers(a=None)).primary()
    assert "correct the name in REDIS_URL" in failure(unknown.value).fix
    with pytest.raises(SilentNodes) as silent:
        Sentinels([A, B], "desk", Answers()).primary()
    assert failure(silent.value).problem == "no Sentinel, or no node of the cluster, answers"
    wrong = ResponseError("NOAUTH Authentication required.", status_code="NOAUTH")
    with pytest.raises(SilentNodes) as locked:
        Sentinels([A], "desk", Answers(a=wrong)).primary()
    assert failure(locked.value).problem == "the store needs a password"


def test_each_slot_has_a_primary_and_another_node_is_asked_the_next_time() -> None:
    ask = Answers(a=[entry(0, 8191, A, C), entry(8192, 16383, B)])
    slots = Slots([A], ask)
    assert not slots.known
    assert [slots.node(slot) for slot in (0, 8191, 8192, 16383)] == [A, A, B, B]
    assert slots.primaries() == [A, B]
    assert ask.asked == ["a"]
    ask.by_host = {"b": [entry(0, 16383, B)]}
    slots.read()
    assert ask.asked == ["a", "c", "b"]
    assert slots.node(0) == B


def test_a_node_that_does_not_know_its_address_has_the_one_at_which_it_was_asked() -> None:
    for unknown in (b"", b"?", None):
        slots = Slots([A], Answers(a=[[0, 16383, [unknown, 7000, b"id"]]]))
        assert slots.node(5) == A


def test_a_table_is_kept_while_no_node_answers() -> None:
    ask = Answers(a=[entry(0, 16383, A)])
    slots = Slots([A, B], ask)
    assert slots.node(1) == A
    ask.by_host = {}
    with pytest.raises(SilentNodes):
        slots.read()
    assert slots.node(1) == A


def test_a_slot_without_a_node_and_a_server_that_is_no_cluster_are_named() -> None:
    slots = Slots([A], Answers(a=[entry(0, 5, A)]))
    with pytest.raises(UncoveredSlot) as uncovered:
        slots.node(6)
    assert "repair the cluster" in failure(uncovered.value).fix
    with pytest.raises(NoCluster) as single:
        Slots([A], Answers(a=ResponseError("ERR This instance has cluster support disabled"))).node(6)
    assert "write redis:// in REDIS_URL" in failure(single.value).fix
