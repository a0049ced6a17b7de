"""Connect tickets and Jira issues in both directions.

    [hooks.jira]
    secret = "env:JIRA_HOOK_SECRET"

    [router.jira]
    url = "https://acme.atlassian.net"
    user = "foxhooks@acme.example"
    token = "env:JIRA_TOKEN"
    project = "OPS"

To Jira: the tag `jira` creates an issue, and a private note that starts with `@jira` becomes a comment. A tag such as
`jira-OPS-7` remembers the issue.

From Jira: create an automation rule "when an issue is transitioned or commented" with the action "send web request" to
`https://YOURS/hooks/acme/jira/jira`, the header `Authorization: Bearer SECRET`, and this body:

    # {"ticket": "{{issue.summary.substringBetween("(#", ")")}}", "key": "{{issue.key}}",
    #  "status": "{{issue.status.name}}", "comment": "{{comment.body}}", "author": "{{comment.author.emailAddress}}"}

What this plug-in wrote itself comes back with its own user as author, and is ignored: so nothing goes round in circles.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any

import httpx

from workers import Context, Event, Retry, Router, Ticket

NOTE = "@jira"


@dataclass(frozen=True)
class Jira:
    """The settings of this router."""

    url: str
    user: str
    token: str
    project: str
    done: str = "Done"

    def call(self, method: str, path: str, **content: Any) -> Any:
        """Call Jira's REST API; ask for a retry if it certainly did nothing."""
        answer = httpx.request(
            method, f"{self.url}/rest/api/2/{path}", auth=(self.user, self.token), timeout=10, **content
        )
        if answer.status_code in (429, 503):
            raise Retry(f"Jira answered {answer.status_code}", after="1m")
        return answer.raise_for_status().json()


router = Router("jira", settings=Jira)


@router.on("tags-changed", "ticket-created", when=lambda ticket: "jira" in ticket.tags and not issue_of(ticket))
def create(ticket: Ticket, event: Event, ctx: Context[Jira]) -> None:
    jira, label = ctx.settings, f"happyfox-{ticket.id}"

    def add() -> Any:
        fields = {
            "project": {"key": jira.project},
            "issuetype": {"name": "Task"},
            "summary": f"{ticket.subject} (#{ticket.display_id.lstrip('#')})",
            "description": f"{ticket.first_message}\n\n{ticket.url}",
            "labels": [label],
        }
        return jira.call("POST", "issue", json={"fields": fields})["key"]

    def find() -> Any:
        found = jira.call("GET", "search", params={"jql": f'labels = "{label}"', "fields": "key"})["issues"]
        return found[0]["key"] if found else None

    key = ctx.effect("issue", add, landed=find, dry="OPS-0")
    ticket.add_tags(f"jira-{key}")
    ticket.note(f"Issue {key}: {jira.url}/browse/{key}")


@router.on("note-added", when=lambda ticket: issue_of(ticket) != "")
def comment(ticket: Ticket, event: Event, ctx: Context[Jira]) -> None:
    for change in event.matched:
        if change.text.startswith(NOTE):
            body = {"body": f"{change.actor.name}: {change.text.removeprefix(NOTE).strip()}"}
            send = partial(ctx.settings.call, "POST", f"issue/{issue_of(ticket)}/comment", json=body)
            ctx.effect(f"comment-{change.update_id}", send)


@router.on("hook", name="jira")
def receive(ticket: Ticket, event: Event, ctx: Context[Jira]) -> None:
    for data in (change.data for change in event.matched):
        if data.get("comment") and data.get("author") != ctx.settings.user:
            ticket.note(f"{data['author']} in {data['key']}:\n\n{data['comment']}")
        if data.get("status") == ctx.settings.done and "fixed" not in ticket.tags:
            ticket.note(f"{data['key']} is done. Please tell {ticket.contact.name}.", alert="c")
            ticket.add_tags("fixed")
            ticket.set(status="In Progress")


def issue_of(ticket: Ticket) -> str:
    """Return the key of the ticket's issue, or ""."""
    return next((tag.removeprefix("jira-") for tag in sorted(ticket.tags) if tag.startswith("jira-")), "")
