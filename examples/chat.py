"""Post to a chat webhook (Slack, Mattermost, Teams and others take `{"text": ...}`) when a ticket is urgent.

    [router.chat]
    url = "env:CHAT_HOOK"              # such an address is a secret
    priorities = ["High", "Critical"]

Each post happens once: `ctx.effect` keeps it in the turn's journal. A chat cannot be asked what was posted, so there is
no `landed`: when the worker dies in the middle, the post is a dead letter that says that it may have happened.
"""

from dataclasses import dataclass

import httpx

from workers import Context, Event, Retry, Router, Ticket, TicketRead


@dataclass(frozen=True)
class Chat:
    """The table of this router."""

    url: str
    priorities: tuple[str, ...] = ("High", "Critical")


router = Router("chat", settings=Chat)


def urgent(ticket: TicketRead, settings: Chat) -> bool:
    return ticket.priority.name in settings.priorities


@router.on("ticket-created", "priority-changed", when=urgent)
def post(ticket: Ticket, event: Event, ctx: Context[Chat]) -> None:
    def send() -> None:
        # The subject is a contact's text: < > & are markup to most chats.
        subject = ticket.subject.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        text = f"{ticket.priority.name}: {subject} {ticket.url}"
        answer = httpx.post(ctx.settings.url, json={"text": text}, timeout=10)
        if answer.status_code == 429 or answer.status_code >= 500:
            raise Retry(f"the chat answered {answer.status_code}")  # so it was not posted
        answer.raise_for_status()

    ctx.effect("post", send)
