"""Merging the actions of all handlers into the fewest effects."""

from typing import Any

from tests.support.turns import ADA, ticket, update
from workers.engine.effect import Effect, split_actions
from workers.engine.fold import Folded, HandlerActions, fold
from workers.engine.requests import request
from workers.happyfox.directory import Directory
from workers.plugins.actions import AnyAction, Delete, Forward, Move, Note, Reply, Set, Tags
from workers.simulator import seed
from workers.tickets.model import TicketRead

NAMES = Directory(
    staff=list(seed.STAFF.values()),
    statuses=list(seed.STATUSES.values()),
    priorities=list(seed.PRIORITIES.values()),
    categories=list(seed.CATEGORIES.values()),
    fields=list(seed.TICKET_FIELDS.values()),
)


def folded(*requested: tuple[str, list[AnyAction]], read: TicketRead | None = None) -> Folded:
    return fold([HandlerActions(name, tuple(actions)) for name, actions in requested], read or ticket(), NAMES)


def sorts(found: Folded) -> list[str]:
    return [effect.kind for effect in found.effects]


def test_tags_go_first_then_messages_in_order_then_forwards_moves_and_deletion() -> None:
    found = folded(
        ("a.a", [Delete(), Move("Billing"), Note("<p>one</p>")]),
        ("b.b", [Forward(("x@y.example",), "s", "m"), Reply("<p>two</p>"), Tags(add=("t",))]),
    )

    assert sorts(found) == ["tags", "note", "reply", "forward", "move", "delete"]


def test_properties_go_with_the_last_message() -> None:
    found = folded(("a.a", [Set({"status": "In Progress"}), Note("<p>one</p>"), Note("<p>two</p>")]))

    assert [dict(effect.set) for effect in found.effects] == [{}, {"status": 2}]


def test_properties_without_a_message_make_one_update() -> None:
    found = folded(("a.a", [Set({"status": 4})]), ("b.b", [Set({"priority": "high"}, {"Amount": 3})]))

    assert [(effect.kind, dict(effect.set), dict(effect.fields)) for effect in found.effects] == [
        ("properties", {"status": 4, "priority": 3}, {"2": 3})
    ]


def test_the_later_of_two_values_wins_and_the_overridden_handler_is_named() -> None:
    found = folded(("a.a", [Set({"status": 4})]), ("b.b", [Set({"status": 2})]))

    assert dict(found.effects[0].set) == {"status": 2}
    assert found.remarks == ["b.b overrides a.a: status"]


def test_equal_notes_are_written_once_and_replies_are_never_merged() -> None:
    same: list[Any] = [Note("<p>same</p>"), Reply("<p>same</p>")]

    assert sorts(folded(("a.a", same), ("b.b", same))) == ["note", "reply", "reply"]


def test_what_the_ticket_already_shows_is_left_out() -> None:
    read = ticket(tags="vip", status=2)

    assert sorts(folded(("a.a", [Tags(add=("vip",), remove=("late",)), Set({"status": 2})]), read=read)) == []


def test_only_the_handler_that_uses_an_unknown_name_is_left_out() -> None:
    found = folded(("a.a", [Note("<p>one</p>"), Set({"status": "Lost"})]), ("b.b", [Note("<p>two</p>")]))

    assert [effect.html for effect in found.effects] == ["<p>two</p>"]
    assert "In Progress" in found.failed["a.a"]


def test_a_reply_names_the_last_message_of_a_colleague() -> None:
    read = ticket(update(2, ADA, "Hello."), update(3, ADA, "Between us.", note=True))

    assert folded(("a.a", [Reply("<p>x</p>")]), read=read).effects[0].last_staff_message == 2


def test_an_effect_is_split_into_its_message_and_what_each_handler_set_besides() -> None:
    closing: list[AnyAction] = [Reply("<p>x</p>"), Set({"assignee": 2}, with_reply=True), Set({"priority": 3})]
    (whole,) = folded(("a.a", [Set({"status": 4}, {"Amount": 3})]), ("b.b", closing)).effects

    parts = [(part.kind, part.html, dict(part.set), dict(part.fields), part.handlers) for part in split_actions(whole)]

    assert parts == [
        ("reply", "<p>x</p>", {"assignee": 2}, {}, ("b.b",)),
        ("properties", "", {"status": 4}, {"2": 3}, ("a.a",)),
        ("properties", "", {"priority": 3}, {}, ("b.b",)),
    ]
    assert [split_actions(part) for part in split_actions(whole)] == [(part,) for part in split_actions(whole)]


def test_a_field_with_the_name_of_another_one_is_left_out_and_named() -> None:
    cities = [{"id": 12, "name": "City", "type": "text"}, {"id": 15, "name": "City", "type": "text"}]
    names = Directory(staff=[], statuses=[], priorities=[], categories=[], fields=cities)
    asked = [HandlerActions("a.a", (Set({}, {"City": "x"}),)), HandlerActions("b.b", (Set({}, {"15": "y"}),))]
    found = fold(asked, ticket(), names)

    assert "2 fields are named 'City': 12 and 15" in found.failed["a.a"]
    assert [dict(effect.fields) for effect in found.effects] == [{"15": "y"}]


def test_a_tag_that_the_ticket_has_in_another_spelling_is_not_added() -> None:
    found = folded(("a.a", [Tags(add=("VIP", "Caf\u00e9 bar"))]), read=ticket(tags="vip, cafe\u0301\u00a0bar"))

    assert found.effects == []
    assert found.remarks == ["tag +VIP: already up to date", "tag +Caf\u00e9 bar: already up to date"]


def test_a_tag_is_removed_as_the_ticket_spells_it() -> None:
    found = folded(("a.a", [Tags(remove=("Old Tag", "VIP", "gone"))]), read=ticket(tags="old  tag, Vip, vip, x"))

    (effect,) = found.effects
    assert (effect.add, effect.remove) == ((), ("old  tag", "Vip", "vip"))
    assert effect.owners == {"-old  tag": "a.a", "-Vip": "a.a", "-vip": "a.a"}


def test_handlers_that_spell_a_tag_differently_mean_the_same_tag() -> None:
    (effect,) = folded(
        ("a.a", [Tags(add=("VIP",))]),
        ("b.b", [Tags(add=("vip",))]),
        ("c.c", [Tags(remove=("Late",))]),
        ("d.d", [Tags(add=("late",))]),
    ).effects

    assert (effect.add, effect.remove) == (("VIP", "late"), ())
    assert effect.owners == {"+VIP": "b.b", "+late": "d.d"}


def test_the_time_of_a_message_is_sent_with_it() -> None:
    found = folded(("a.a", [Note("<p>one</p>", time_spent=2), Reply("<p>two</p>", time_spent=5)]))

    bodies = [request(effect, 9, 7).body for effect in found.effects]
    assert [body and body["time_spent"] for body in bodies] == [2, 5]
    assert [effect.summary for effect in found.effects] == ["private note, 2 min spent", "reply, 5 min spent"]
    assert "time_spent" not in (request(Effect(kind="note", html="x"), 9, 7).body or {})


def test_tags_are_split_by_handler() -> None:
    (whole,) = folded(("a.a", [Tags(add=("x",))]), ("b.b", [Tags(remove=("late",))]), read=ticket(tags="late")).effects

    assert split_actions(whole) == (
        Effect(kind="tags", add=("x",), owners={"+x": "a.a"}),
        Effect(kind="tags", remove=("late",), owners={"-late": "b.b"}),
    )


def test_calls_saved_are_counted() -> None:
    reply: list[AnyAction] = [Reply("<p>x</p>"), Set({"status": "In Progress"})]
    assert folded(("a.a", reply)).calls_saved == 0  # one call by itself, too
    many = folded(("a.a", [Tags(add=("x",)), Tags(add=("y",)), Set({"priority": "High"})]), ("b.b", reply))
    assert (len(many.effects), many.calls_saved) == (2, 2)
    assert folded(("a.a", [Set({"status": "New"})])).calls_saved == 1  # it is so already
    assert folded(("a.a", [Set({"status": "Opne"})])).calls_saved == 0


def test_what_a_reply_sets_goes_with_this_reply_and_other_properties_with_the_last_message() -> None:
    closing: list[AnyAction] = [Reply("<p>x</p>"), Set({"status": 4}, {"Amount": 3}, with_reply=True)]
    found = folded(("a.a", closing), ("b.b", [Set({"priority": 3}), Note("<p>y</p>")]))

    assert [(effect.kind, dict(effect.set), dict(effect.fields)) for effect in found.effects] == [
        ("reply", {"status": 4}, {"2": 3}),
        ("note", {"priority": 3}, {}),
    ]


def test_each_reply_carries_what_it_sets_and_the_last_one_everything_else() -> None:
    first: list[AnyAction] = [Reply("<p>x</p>"), Set({"status": 4}, with_reply=True)]
    second: list[AnyAction] = [Reply("<p>y</p>"), Set({"priority": 3}, with_reply=True), Set({"assignee": 2})]

    assert [dict(effect.set) for effect in folded(("a.a", first), ("b.b", second)).effects] == [
        {"status": 4},
        {"priority": 3, "assignee": 2},
    ]


def test_a_value_that_is_also_set_without_a_reply_does_not_need_one() -> None:
    closing: tuple[str, list[AnyAction]] = ("a.a", [Reply("<p>x</p>"), Set({"status": 4}, with_reply=True)])
    plain: tuple[str, list[AnyAction]] = ("b.b", [Set({"status": 4})])

    for found in folded(closing, plain), folded(plain, closing):
        assert [dict(effect.owners) for effect in found.effects] == [{"status": "b.b"}]
