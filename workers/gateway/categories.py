"""Which categories a client may use: what it reads, finds, creates and moves is limited to them."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from workers.engine.context import AccountConfig
from workers.engine.read import read_directory
from workers.errors import UnknownName
from workers.gateway.access import Denied, Operation
from workers.gateway.steps import CallRefused, ClientSteps, GetContent
from workers.happyfox.directory import Directory
from workers.happyfox.messages import Answer, Request
from workers.settings import GatewayClient
from workers.store.records import MAX_LIST_AGE
from workers.tickets.model import TicketRead, mapping, number

#: Calls that show tickets without their categories.
UNKNOWN_CATEGORIES = ("tabulardata",)


@dataclass(frozen=True, slots=True)
class Categories:
    """The categories of a client."""

    client: str
    ids: frozenset[int]

    def restrict(self, request: Request, operation: Operation) -> Request:
        """Return a read that finds no tickets of other categories."""
        name = operation.endpoint.name
        if name in UNKNOWN_CATEGORIES:
            raise Denied(
                f"{self.client} may only use some categories, and this answer does not name those of its tickets"
            )
        if name != "tickets":
            return request
        given = request.query.get("category", ())
        wanted = {given} if isinstance(given, str) else set(given)
        known = {str(each) for each in self.ids}
        if not wanted <= known:
            raise self._denied()
        if "fields" in request.query:
            raise Denied("a list without categories cannot be checked: leave out `fields`")
        return replace(request, query={**request.query, "category": tuple(sorted(wanted or known))})

    def filter(self, answer: Answer, operation: Operation) -> Answer:
        """Return an answer to a read without tickets of other categories; usually it is left as it is."""
        if operation.endpoint.pattern[0] not in ("ticket", "tickets"):
            return answer
        try:
            content = msgspec.json.decode(answer.content)
        except msgspec.DecodeError:
            raise CallRefused(502, "failed", "HappyFox's answer cannot be read, so its category is unknown") from None
        if operation.ticket is not None:
            if not self._has(content):
                raise self._denied()
            return answer
        listed = mapping(content).get("data")
        if not isinstance(listed, list):
            raise CallRefused(502, "failed", "HappyFox's answer is no list, so its categories are unknown")
        # A minified list has only numbers; then HappyFox itself has left out the others.
        left = [each for each in listed if not isinstance(each, dict) or self._has(each)]
        if len(left) == len(listed):
            return answer
        return replace(answer, body=msgspec.json.encode({**content, "data": left}), large=None)

    def _has(self, ticket: Any) -> bool:
        return number(mapping(mapping(ticket).get("category")).get("id")) in self.ids

    def check_write(self, operation: Operation) -> None:
        """Refuse to create a ticket in another category, or to move one there."""
        name = operation.endpoint.name
        if name == "tickets" and any(number(each.get("category")) not in self.ids for each in operation.items):
            raise self._denied()
        if name == "move" and number(operation.members.get("target_category_id")) not in self.ids:
            raise self._denied()

    def check_ticket(self, ticket: TicketRead) -> None:
        """Refuse to write to a ticket of another category."""
        if ticket.category.id not in self.ids:
            raise self._denied()

    def _denied(self) -> Denied:
        return Denied(f"{self.client} may not use this category; add it to categories of [clients.{self.client}]")


def categories_of(
    client: GatewayClient, operation: Operation, config: AccountConfig, get_content: GetContent
) -> ClientSteps[Categories | None]:
    """Return the categories of a client as ids; None if it may use all, or the call concerns none."""
    concerned = operation.endpoint.pattern[0] in ("ticket", "tickets") or operation.endpoint.name in UNKNOWN_CATEGORIES
    if not client.categories or not concerned:
        return None
    ids: Collection[int] = [each for each in client.categories if isinstance(each, int)]
    if len(ids) < len(client.categories):
        directory: Directory = yield from read_directory(config.account, MAX_LIST_AGE, get_content, ("categories",))
        try:
            ids = [directory.category(each) for each in client.categories]
        except UnknownName as unknown:
            why = f"categories of [clients.{client.name}] cannot be used: {unknown}"
            raise CallRefused(503, "failed", why) from None
    return Categories(client.name, frozenset(ids))
