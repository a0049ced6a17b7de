"""What the seeded account has beside tickets and contacts: assets, reports, agreements, articles."""

from types import MappingProxyType
from typing import Any

from workers.simulator.world.things import Asset, Json, Table


def _table(*rows: Json) -> Table:
    return MappingProxyType({row["id"]: row for row in rows})


def _asset_type(number: int, name: str, *, contacts: bool = True) -> Json:
    settings = {
        "enable_ticket_association": True,
        "enable_contact_association": contacts,
        "enable_asset_quantity_for_ticket": False,
        "enable_asset_type_visibility_to_contact": contacts,
    }
    return {"id": number, "name": name, "description": None, "settings": settings}


def _asset_field(number: int, asset_type: int, name: str, kind: str, choices: tuple[str, ...] = ()) -> Json:
    options = [{"id": i, "text": text} for i, text in enumerate(choices, start=1)] or None
    return {"id": number, "type": kind, "asset_type": asset_type, "name": name, "choices": options}


def _report(number: int, name: str, **only: Any) -> Json:
    """A saved report over the tickets whose members have these values."""
    return {"id": number, "name": name, "description": "", "only": only}


def _article(number: int, section: int, title: str, contents: str, *, internal: bool = False) -> Json:
    return {"id": number, "section": section, "title": title, "contents": contents, "internal": internal}


ASSET_TYPES = _table(_asset_type(1, "General"), _asset_type(2, "Device", contacts=False))
ASSET_FIELDS = _table(
    _asset_field(1, 1, "Asset category", "dropdown", ("Laptop", "Desktop", "Phone", "Printer")),
    _asset_field(2, 1, "Description", "textarea"),
    _asset_field(3, 1, "Serial number", "text"),
    _asset_field(4, 1, "Units", "number"),
    _asset_field(5, 1, "Accessories", "multiple_choice", ("Dock", "Mouse", "Bag")),
    _asset_field(6, 1, "Warranty date", "date"),
    _asset_field(7, 2, "Firmware", "text"),
)
REPORTS = _table(
    _report(1, "All tickets"), _report(2, "Billing", category=2), _report(3, "Critical tickets", priority=2)
)
AGREEMENTS = _table({"id": 1, "name": "First reply", "target": 90})
SECTIONS = _table(
    {"id": 1, "name": "Getting started", "description": "First steps"},
    {"id": 2, "name": "Printers", "description": ""},
)
ARTICLES = _table(
    _article(1, 1, "Welcome", "<p>Hello, and welcome.</p>"),
    _article(2, 2, "Paper jams", "<p>Open the tray. Pull gently.</p>"),
    _article(3, 2, "Who repairs printers", "<p>Call the third floor.</p>", internal=True),
)


def assets(now: float) -> dict[int, Asset]:
    """The assets the account starts with."""
    laptop = Asset(1, "LT-1", "Sam's laptop", 1, 1, now, now, contacts=(1,), groups=(1,), fields={1: 1, 3: "C034"})
    router = Asset(2, "RT-1", "Router on the third floor", 2, 1, now, now, fields={7: "1.2"})
    return {asset.id: asset for asset in (laptop, router)}
