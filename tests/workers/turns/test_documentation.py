"""docs/handlers.md tells the truth about what a handler finds in `ctx`."""

import re
from pathlib import Path
from typing import Any

from workers import Router
from workers.testing import run, ticket

PAGE = (Path(__file__).parents[3] / "docs" / "handlers.md").read_text()


def examples() -> dict[str, Router]:
    """Gives the routers of the page by their names."""
    found = {}
    for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL):
        names: dict[str, Any] = {}
        exec(block, names)
        found[names["router"].name] = names["router"]
    return found


def test_an_effect_of_the_page_is_made_and_used() -> None:
    result = run(examples()["crm"], ticket(), "ticket-created")

    assert (result.effects, result.fields, result.failed) == ({"lead": {"id": 0}}, {"Lead": 0}, {})


def test_a_ticket_of_the_page_is_created() -> None:
    result = run(examples()["returns"], ticket(tags=["return"]), "tags-changed", allow=["create"])

    assert [(each["category"], each["tags"]) for each in result.created] == [("Logistics", ("courier",))]


def test_a_ticket_of_the_page_is_linked() -> None:
    result = run(examples()["twins"], ticket(fields={"Same as": "12"}), "field-changed")

    assert (result.failed, result.on_tickets[12].tags_added) == ({}, {"has-twin"})
