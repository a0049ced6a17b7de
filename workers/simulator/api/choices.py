"""PUT /ticket_custom_field/<id>/: the whole list of a field's choices at once (KB 1247)."""

from typing import Any

from workers.simulator.api.forms import NOT_A_CHOICE, REQUIRED, Form, RefusedError, whole
from workers.simulator.api.paging import NOT_FOUND
from workers.simulator.api.route import Arguments, Outcome
from workers.simulator.world import Json, World


def replace_choices(world: World, arguments: Arguments) -> Outcome:
    """A choice without id is new, one left out is deleted; tickets that have it show no value any more."""
    before = world.ticket_fields.get(arguments.number)
    if before is None:
        raise RefusedError(404, NOT_FOUND)
    form = Form(arguments.body)
    if not before["choices"]:
        form.complain("choices", "This field has no choices.")
    listed = form.members.get("choices")
    given: list[Any] = listed if isinstance(listed, list) else []
    if not given:
        form.complain("choices", REQUIRED)
    form.refuse_if_wrong()
    known = {choice["id"] for choice in before["choices"]}
    after = [_choice(form, known, one) for one in given]
    form.refuse_if_wrong()
    for choice in after:
        if choice["id"] is None:
            choice["id"] = world.next("choice")
    field = before | {"choices": after}
    world.ticket_fields = {**world.ticket_fields, arguments.number: field}
    return Outcome(field)


def _choice(form: Form, known: set[int], given: Any) -> Json:
    members = given if isinstance(given, dict) else {}
    text, number = members.get("text"), members.get("id")
    if not isinstance(text, str) or not text:
        form.complain("choices", REQUIRED)
    if number is not None and whole(number) not in known:
        form.complain("choices", NOT_A_CHOICE)
    dependants = members.get("dependant_fields")
    return {
        "id": None if number is None else whole(number),
        "text": text,
        "dependant_fields": dependants if isinstance(dependants, list) else [],
    }
