from typing import Any

import pytest

from workers.handlers.auto_tag import router
from workers.testing import Result, run, ticket
from workers.tickets.change import Kind

MATCH = [
    {"text": "refund|chargeback", "tags": ["refund"]},
    {"contact_domain": "bigcorp.example", "not_category": "Spam", "tags": ["vip", "gold"]},
    {"on": "status-changed", "to": "Closed", "tags": ["done"]},
]


def tag(kind: Kind = "ticket-created", text: str = "", **members: Any) -> Result:
    return run(router, ticket(**members), kind, text=text, settings={"match": MATCH})


def test_every_entry_that_holds_adds_its_tags() -> None:
    result = tag(email="sam@bigcorp.example", text="A Refund, please.")
    assert result.tags_added == {"refund", "vip", "gold"}
    assert len(result.actions) == 1


def test_replies_are_tagged_too() -> None:
    assert tag("contact-replied", "Then I want a chargeback.").tags_added == {"refund"}


def test_existing_tags_are_not_added_again() -> None:
    assert tag(email="sam@bigcorp.example", tags=["vip", "gold"]).actions == ()


def test_an_entry_is_only_for_its_kinds() -> None:
    assert tag("note-added", "refund").actions == ()
    assert tag("status-changed").actions == ()


def test_without_a_table_nothing_happens() -> None:
    result = run(router, ticket(text="refund"), "ticket-created")
    assert result.actions == ()
    assert result.skipped == {"auto-tag.tag": "its table has no match"}


def test_the_reasons_why_no_entry_matches_are_listed() -> None:
    assert tag(text="Hello").skipped == {
        "auto-tag.tag": "match 1: text does not match refund|chargeback; "
        "match 2: contact's domain is not bigcorp.example; match 3: no change is status-changed"
    }


def test_only_the_reasons_of_the_first_entries_are_listed() -> None:
    match = [{"tag": f"t{number}", "tags": ["x"]} for number in range(5)]
    result = run(router, ticket(), "ticket-created", settings={"match": match})
    assert result.skipped["auto-tag.tag"].endswith("match 3: tag is not t2; and 2 more")


@pytest.mark.parametrize(
    ("entry", "complaint"),
    [
        ({"text": "refund"}, "router.auto-tag, match 1: tags is missing; add tags = ..."),
        (
            {"tags": []},
            'router.auto-tag, match 1: tags must be non-empty and without commas; write them as tags = ["vip"]',
        ),
        ({"tags": ["a,b"]}, "router.auto-tag, match 1: tags must be non-empty"),
        ({"tags": "vip"}, "router.auto-tag, match 1, tags: expected `array`, got `str`; correct it"),
        ({"tagz": ["vip"], "tags": ["x"]}, "router.auto-tag, match 1: no condition 'tagz'; did you mean 'tag'?"),
        (
            {"on": "ticket-creatd", "tags": ["x"]},
            "router.auto-tag, match 1: on: no kind 'ticket-creatd'; did you mean",
        ),
        ({"on": [], "tags": ["x"]}, "router.auto-tag, match 1: on is empty; name a kind"),
        ({"on": "later", "tags": ["x"]}, "router.auto-tag, match 1: on: kind 'later' is not allowed here"),
    ],
)
def test_an_invalid_entry_is_reported_at_start(entry: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match="match 1") as raised:
        run(router, ticket(), "ticket-created", settings={"match": [entry]})
    assert str(raised.value).startswith(complaint)


def test_the_problems_of_all_entries_are_reported_at_once() -> None:
    wrong = [{"tagz": 1, "on": "x", "text": "("}, 3, {"tags": ["ok"]}, {"tag": "vip"}]
    with pytest.raises(ValueError, match="match 1") as raised:
        run(router, ticket(), "ticket-created", settings={"match": wrong})
    places = [line.partition(":")[0].removeprefix("router.auto-tag, ") for line in str(raised.value).splitlines()]
    assert places == ["match 1"] * 4 + ["match 2", "match 4"]


def test_a_match_that_is_not_a_list_is_refused() -> None:
    with pytest.raises(ValueError, match="auto-tag, match: is not a list of tables"):
        run(router, ticket(), "ticket-created", settings={"match": {"tags": ["x"]}})
