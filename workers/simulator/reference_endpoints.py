"""Endpoints of the account's tables, of field choices, and of the knowledge base."""

from typing import Any, Final

from workers.simulator.account import Json, SimulatedAccount
from workers.simulator.forms import (
    NOT_A_CHOICE,
    NOT_FOUND,
    REQUIRED,
    ApiError,
    Arguments,
    BodyMembers,
    Endpoint,
    Outcome,
    as_integer,
    envelope,
    get_or_404,
    unknown_member,
)

CHOICE_MEMBERS: Final = ("id", "text", "dependant_fields")


def listing(table: str) -> Endpoint:
    """Return the endpoint that lists a table, as a bare list."""
    return lambda account, _args: Outcome(list(getattr(account, table).values()))


def entry(table: str) -> Endpoint:
    """Return the endpoint for one entry of a table (legacy developer page)."""
    return lambda account, args: Outcome(get_or_404(getattr(account, table), args.number))


def read_staff(account: SimulatedAccount, args: Arguments) -> Outcome:
    """Handle GET /staff/<id>/ and /staff/<email>/."""
    for staff in account.staff.values():
        if args.word and staff["email"] == args.word.lower():
            return Outcome(staff)
    return Outcome(get_or_404(account.staff, args.number))


def replace_choices(account: SimulatedAccount, args: Arguments) -> Outcome:
    """Handle PUT /ticket_custom_field/<id>/: all choices of a field at once (KB 1247).

    A choice without an id is new. A choice that is left out is deleted, and tickets with it then show no value.
    """
    before, form = get_or_404(account.ticket_fields, args.number), BodyMembers(args, account.options)
    if not before["choices"]:
        form.add_error("choices", "This field has no choices.")
    listed = form.value("choices")
    given: list[Any] = listed if isinstance(listed, list) else []
    if not given:
        form.add_error("choices", REQUIRED)
    form.raise_errors()
    known = {choice["id"] for choice in before["choices"]}
    after = [_choice(form, known, one, strict=account.options.strict) for one in given]
    form.raise_errors()
    for choice in after:
        if choice["id"] is None:
            choice["id"] = account.next("choice")
    field = before | {"choices": after}
    account.ticket_fields = {**account.ticket_fields, args.number: field}
    return Outcome(field)


def _choice(form: BodyMembers, known: set[int], given: Any, *, strict: bool) -> Json:
    members = given if isinstance(given, dict) else {}
    for name in members if strict else ():
        if name not in CHOICE_MEMBERS:
            form.add_error("choices", f"{name}: {unknown_member(name, CHOICE_MEMBERS)}")
    text, number, dependants = members.get("text"), members.get("id"), members.get("dependant_fields")
    if not isinstance(text, str) or not text:
        form.add_error("choices", REQUIRED)
    if number is not None and as_integer(number) not in known:
        form.add_error("choices", NOT_A_CHOICE)
    return {
        "id": None if number is None else as_integer(number),
        "text": text,
        "dependant_fields": dependants if isinstance(dependants, list) else [],
    }


# The knowledge base, read only. No document shows its objects, so their members are assumed.


def list_articles(*, internal: bool) -> Endpoint:
    """Return the endpoint for GET /kb/articles/ or /kb/internal-articles/."""
    return lambda account, args: _listed(account, _articles(account, internal=internal), args)


def list_sections(account: SimulatedAccount, args: Arguments) -> Outcome:
    """Handle GET /kb/sections/: each with its external articles."""
    return _listed(account, [_section_json(account, section) for section in account.sections.values()], args)


def read_article(account: SimulatedAccount, args: Arguments) -> Outcome:
    """Handle GET /kb/article/<id>: external articles only (KB 360)."""
    found = get_or_404(account.articles, args.number)
    if found["internal"]:
        raise ApiError(404, NOT_FOUND)
    return Outcome(_article_json(found))


def read_section(account: SimulatedAccount, args: Arguments) -> Outcome:
    """Handle GET /kb/section/<id>."""
    return Outcome(_section_json(account, get_or_404(account.sections, args.number)))


def _listed(account: SimulatedAccount, entries: list[Json], args: Arguments) -> Outcome:
    return Outcome(envelope(account, entries, args) if account.options.articles_paged else entries)


def _articles(account: SimulatedAccount, *, internal: bool) -> list[Json]:
    return [_article_json(article) for article in account.articles.values() if article["internal"] == internal]


def _article_json(article: Json) -> Json:
    return {name: article[name] for name in ("id", "title", "contents")} | {"section_id": article["section"]}


def _section_json(account: SimulatedAccount, section: Json) -> Json:
    articles = [one for one in _articles(account, internal=False) if one["section_id"] == section["id"]]
    return section | {"articles": articles}
