"""docs/handlers.md describes `ctx` correctly."""

import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from workers import Change, Event, Router
from workers.plugins.actions import Recorder
from workers.testing import run, ticket
from workers.tickets.model import TicketRead

PAGE = (Path(__file__).parents[3] / "docs" / "handlers.md").read_text()


def examples() -> dict[str, Router]:
    """Return the page's routers by name."""
    found = {}
    for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL):
        names: dict[str, Any] = {}
        exec(block, names)
        found[names["router"].name] = names["router"]
    return found


def test_the_pages_effect_is_made_and_used() -> None:
    result = run(examples()["crm"], ticket(), "ticket-created")

    assert (result.effects, result.fields, result.failed) == ({"lead": {"id": 0}}, {"Lead": 0}, {})


def test_the_pages_ticket_is_created() -> None:
    result = run(examples()["returns"], ticket(tags=["return"]), "tags-changed", allow=["create"])

    assert [(each["category"], each["tags"]) for each in result.created] == [("Logistics", ("courier",))]


def test_the_pages_ticket_is_linked() -> None:
    result = run(examples()["twins"], ticket(fields={"Same as": "12"}), "field-changed")

    assert (result.failed, result.on_tickets[12].tags_added) == ({}, {"has-twin"})


def table(head: str) -> set[str]:
    """Return the names in the first column of the table with this header."""
    updates = PAGE.partition(f"| {head} |")[2].partition("\n\n")[0].splitlines()[2:]
    return {name for update in updates for name in re.findall(r"`(\w+)", update.split("|")[1])}


def members(of: type) -> set[str]:
    public = {name for name in vars(of) if not name.startswith("_")}
    return public | {each.name for each in fields(of)} if of is not Recorder else public


@pytest.mark.parametrize(
    ("head", "of"),
    [
        ("Member of `ticket`", TicketRead),
        ("Member of `event`", Event),
        ("Member of a change", Change),
        ("Action", Recorder),
    ],
)
def test_the_page_lists_every_member(head: str, of: type) -> None:
    assert table(head) == members(of) - {"field_values"}


def test_the_pages_handler_gets_its_settings() -> None:
    made = ticket(category="Support")
    result = run(examples()["team"], made, "ticket-created", settings={"name": "Night shift"})
    assert result.notes == ("For Night shift, ticket-created at 12:00 UTC.",)
    assert (result.properties, result.fields) == ({"priority": "High"}, {"Team": "Night shift"})
