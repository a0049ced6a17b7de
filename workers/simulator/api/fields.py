"""Custom fields: the values they take, with HappyFox's words for those they do not (tickets article)."""

from typing import Any, Final

from workers.simulator.api.forms import NOT_A_CHOICE, Form, read_date, whole
from workers.simulator.options import Options
from workers.simulator.world import Json, Table

NO_FIELD: Final = "This field does not exist"
BLANK: Final[tuple[Any, ...]] = (None, "", [])


def read(form: Form, prefixes: tuple[str, ...], definitions: Table, options: Options) -> dict[int, Any]:
    """The values of the custom fields in a form, by id."""
    values: dict[int, Any] = {}
    for name, value in form.members.items():
        prefix, _, number = name.rpartition("-")
        if prefix not in prefixes:
            continue
        definition = definitions.get(int(number)) if number.isdecimal() else None
        if definition is None and options.unknown_values == "refused":
            form.complain(name, NO_FIELD)
        if definition is None or (value in BLANK and not options.blank_clears):
            continue
        try:
            values[definition["id"]] = field_value(definition, value)
        except ValueError as wrong:
            form.complain(name, str(wrong))
    return values


def field_value(definition: Json, value: Any) -> Any:
    """A custom field's value as it is stored. Raises ValueError with the text for the answer."""
    if value in BLANK:
        return None
    kind = definition["type"]
    if kind == "number":
        return _number(value)
    if kind == "date":
        day = read_date(str(value))
        if day is None:
            raise ValueError("Enter a valid date")
        return day
    if kind == "choice":
        return _choice(definition, value)
    if kind == "multiple_choice":
        return tuple(_choice(definition, one) for one in (value if isinstance(value, list) else [value]))
    return str(value)


def _number(value: Any) -> int | float:
    number = whole(value)
    if number is not None:
        return number
    try:
        return round(float(value), 2)
    except (TypeError, ValueError):
        raise ValueError("Enter a number") from None


def _choice(definition: Json, value: Any) -> int:
    number = whole(value)
    if number is None or all(choice["id"] != number for choice in definition["choices"]):
        raise ValueError(NOT_A_CHOICE.rstrip("."))
    return number


def asset_value(definition: Json, value: Any) -> Any:
    """An asset field's value as it is stored and shown: choices by id (KB 1201). Raises ValueError as above."""
    if value in BLANK:
        return None
    kind = definition["type"]
    if kind in ("dropdown", "multiple_choice"):
        known = {choice["id"] for choice in definition["choices"]}
        given = value if isinstance(value, list) else [value]
        numbers = [whole(one) for one in given]
        for one, number in zip(given, numbers, strict=True):
            if number not in known:
                raise ValueError(f"Provide a valid choice. {one} is not one of the available choices.")
        if kind == "dropdown" and len(numbers) != 1:
            raise ValueError("Provide one choice.")
        return numbers[0] if kind == "dropdown" else numbers
    if kind == "number" and whole(value) is None:
        raise ValueError("A valid integer is required.")
    return whole(value) if kind == "number" else field_value(definition, value)
