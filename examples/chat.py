"""Post urgent tickets to a chat webhook (Slack, Mattermost, Teams and others accept `{"text": ...}`).

    [router.chat]
    url = "env:CHAT_HOOK"              # anyone who knows this URL can post
    priorities = ["High", "Critical"]

Each post happens once: `ctx.effect` records it in the turn's journal. A chat webhook cannot be asked what was posted,
so there is no `landed`: if the worker dies during the call, a dead letter says that the post may have happened.
"""

from dataclasses import dataclass

import httpx

from workers import Context, Event, Retry, Router, Ticket, TicketRead


@dataclass(frozen=True)
class Chat:
    """The settings of this router."""

    url: str
    priorities: tuple[str, ...] = ("High", "Critical")


router = Router("chat", settings=Chat)


def urgent(ticket: TicketRead, settings: Chat) -> bool:
    return ticket.priority.name in settings.priorities


@router.on("ticket-created", "priority-changed", when=urgent)
def post(ticket: Ticket, event: Event, ctx: Context[Chat]) -> None:
    def send() -> None:
        # The contact wrote the subject, and most chats treat < > & as markup.
        subject = ticket.subject.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        text = f"{ticket.priority.name}: {subject} {ticket.url}"
        answer = httpx.post(ctx.settings.url, json={"text": text}, timeout=10)
        if answer.status_code == 429 or answer.status_code >= 500:
            raise Retry(f"the chat answered {answer.status_code}")  # not posted, so try again
        answer.raise_for_status()

    ctx.effect("post", send)
