"""Fitting: from a table of the settings file to the frozen dataclass that it must fit, with every problem at once."""

from collections.abc import Iterable, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

import msgspec

from workers.errors import suggest
from workers.settings import SettingProblem

Fitted = TypeVar("Fitted")


class FitError(ValueError):
    """A table does not fit; `str()` lists every problem, one per line."""

    def __init__(self, problems: Iterable[SettingProblem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))

    @property
    def complaints(self) -> tuple[SettingProblem, ...]:
        """Return the problems, under the name that `service` still uses."""
        return self.problems


def fit(table: object, into: type[Fitted], where: str) -> Fitted:
    """Makes an instance of the dataclass `into` of a table; `where` names the table in problems.

    Members may be whatever msgspec converts, dataclasses again, or types with a class method
    `from_settings(value, where, *type_arguments)`. Raises FitError.
    """
    if not isinstance(table, Mapping):
        raise FitError([SettingProblem(where, "is not a table", 'write it as { name = "value" }')])
    members = {each.name: each for each in fields(into) if each.init}  # type: ignore[arg-type]
    hints = get_type_hints(into)
    problems = [
        SettingProblem(where, f"no setting {name!r}", suggest(name, members)) for name in table if name not in members
    ]
    values = {}
    for name, member in members.items():
        try:
            if name in table:
                values[name] = _value(table[name], hints[name], f"{where}, {name}")
            elif _needed(member):
                raise FitError([SettingProblem(where, f"{name} is missing", f"add {name} = ...")])
        except FitError as unfit:
            problems += unfit.problems
    if problems:
        raise FitError(problems)
    try:
        return into(**values)
    except FitError:
        raise
    except (TypeError, ValueError) as error:
        problem, _, fix = str(error).partition("; ")
        raise FitError([SettingProblem(where, problem, fix or "correct it")]) from error


def _needed(member: "Field[Any]") -> bool:
    return member.default is MISSING and member.default_factory is MISSING


def _value(value: object, hint: Any, where: str) -> Any:
    kind = get_origin(hint) or hint
    if hasattr(kind, "from_settings"):
        return kind.from_settings(value, where, *get_args(hint))
    if isinstance(kind, type) and is_dataclass(kind):
        return fit(value, kind, where)
    try:
        # Not strict: a value that stands in the environment is a text, also where a number is meant.
        return msgspec.convert(value, hint, strict=False, dec_hook=lambda kind, given: kind(given))
    except msgspec.ValidationError as error:
        problem = str(error)
        raise FitError([SettingProblem(where, problem[:1].lower() + problem[1:], "correct it")]) from error
