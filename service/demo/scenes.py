"""The scenes of the demo: what happens in HappyFox, and what the tickets must look like afterwards."""

from collections.abc import Callable
from dataclasses import dataclass

from service.demo.happyfox import HappyFox, Json

NOTE = "VIP contact: answer within the hour."
REPLY = "Thank you, we are on it again."
RULE = "Unresponded for 60 min"


@dataclass(frozen=True, slots=True)
class Check:
    """One effect that a ticket must show: in words, and as a question to the ticket read over HTTP."""

    says: str
    holds: Callable[[Json], bool]


@dataclass(frozen=True, slots=True)
class Scene:
    """One thing that happens to a ticket; ``before`` is what has to happen first and gives the ticket's number."""

    title: str
    story: str
    before: Callable[[HappyFox], int]
    act: Callable[[HappyFox, int], None]
    checks: tuple[Check, ...]


def scenes() -> list[Scene]:
    """Gives the scenes in order; the second goes on with the first one's ticket, which is number 1."""
    return [
        Scene(
            "A ticket is created",
            'Sam Reed of bigcorp.example: "It arrived broken, I want a refund."',
            _sam_writes,
            lambda happyfox, number: None,
            (
                Check("tags refund and vip", lambda ticket: {"refund", "vip"} <= tags(ticket)),
                Check(f'private note "{NOTE}"', lambda ticket: message(ticket, NOTE, private=True)),
            ),
        ),
        Scene(
            "A contact replies",
            'Ada King has closed the ticket; Sam Reed answers: "It is still broken."',
            _ada_closes,
            lambda happyfox, number: happyfox.contact_replies(number, "It is still broken."),
            (
                Check("status In Progress", lambda ticket: name(ticket, "status") == "In Progress"),
                Check(f'public reply "{REPLY}"', lambda ticket: message(ticket, REPLY, private=False)),
            ),
        ),
        Scene(
            "A smart rule fires",
            f'Nobody has answered Mia Novak: the rule "{RULE}" fires.',
            _mia_writes,
            lambda happyfox, number: happyfox.fire_rule(number, RULE),
            (
                Check("assignee Ada King", lambda ticket: name(ticket, "assigned_to") == "Ada King"),
                Check("priority High", lambda ticket: name(ticket, "priority") == "High"),
            ),
        ),
    ]


def _sam_writes(happyfox: HappyFox) -> int:
    return happyfox.open_ticket("sam@bigcorp.example", "Order 1138", "It arrived broken, I want a refund.")


def _ada_closes(happyfox: HappyFox) -> int:
    happyfox.close_ticket(1, "Ada King")
    return 1


def _mia_writes(happyfox: HappyFox) -> int:
    return happyfox.open_ticket("mia@smallshop.example", "Opening hours", "Are you open on Sunday?")


def tags(ticket: Json) -> set[str]:
    """The ticket's tags, which the API gives as one text."""
    return {tag.strip() for tag in ticket["tags"].split(",")} - {""}


def name(ticket: Json, member: str) -> str:
    """The name of a member that is an object, or nothing."""
    return str((ticket[member] or {}).get("name", ""))


def message(ticket: Json, text: str, *, private: bool) -> bool:
    """Whether a staff member wrote these words, as a private note or for the customer's eyes."""
    return any(
        text in row["message"]["text"] and (row["message"]["message_type"] == "p") == private
        for row in ticket["updates"]
        if row["message"] and row["by"]["type"] == "staff"
    )
