from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, Literal

import pytest

from workers.plugins.loading import FitError, fit


@dataclass(frozen=True)
class Inner:
    size: int = 1


@dataclass(frozen=True)
class Outer:
    url: str
    tries: int = 3
    mode: Literal["a", "b"] = "a"
    day: date | None = None
    folder: Path | None = None
    names: tuple[str, ...] = ()
    inner: Inner = field(default_factory=Inner)
    made: str = field(init=False, default="")

    def __post_init__(self) -> None:
        if self.tries < 0:
            raise ValueError("tries is negative; write 0 or more")


def problems(table: object) -> list[str]:
    with pytest.raises(FitError) as raised:
        fit(table, Outer, "handlers.crm")
    return str(raised.value).splitlines()


def test_a_table_is_converted_to_the_dataclass() -> None:
    table = {"url": "x", "day": "2026-02-03", "folder": "/x", "names": ["a", "b"], "inner": {"size": 5}}
    assert fit(table, Outer, "") == Outer(
        "x", day=date(2026, 2, 3), folder=Path("/x"), names=("a", "b"), inner=Inner(5)
    )


def test_a_number_may_be_a_string_as_in_the_environment() -> None:
    assert fit({"url": "x", "tries": "5"}, Outer, "") == Outer("x", tries=5)


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        ({}, "handlers.crm: url is missing; add url = ..."),
        ({"url": "x", "trys": 1}, "handlers.crm: no setting 'trys'; did you mean 'tries'?"),
        ({"url": "x", "made": "y"}, "handlers.crm: no setting 'made'; did you mean 'mode'?"),
        ({"url": 1}, "handlers.crm, url: expected `str`, got `int`; correct it"),
        ({"url": "x", "inner": {"sise": 1}}, "handlers.crm, inner: no setting 'sise'; did you mean 'size'?"),
        ({"url": "x", "inner": {"size": "many"}}, "handlers.crm, inner, size: expected `int`, got `str`; correct it"),
        ({"url": "x", "inner": 3}, 'handlers.crm, inner: is not a table; write it as { name = "value" }'),
        ({"url": "x", "tries": -1}, "handlers.crm: tries is negative; write 0 or more"),
        (["url"], 'handlers.crm: is not a table; write it as { name = "value" }'),
    ],
)
def test_a_table_that_does_not_fit_is_reported_with_a_fix(table: object, problem: str) -> None:
    assert problems(table) == [problem]


def test_all_problems_are_reported_at_once() -> None:
    assert len(problems({"tries": "many", "mode": "c", "colour": 1, "names": "x", "inner": {"size": []}})) == 6


def test_a_type_may_convert_its_own_value() -> None:
    class Upper(str):
        @classmethod
        def from_settings(cls, value: object, where: str) -> "Upper":
            return cls(f"{where}: {value}".upper())

    @dataclass(frozen=True)
    class Shout:
        word: Upper

    table: Mapping[str, Any] = {"word": "hi"}
    assert fit(table, Shout, "here").word == "HERE, WORD: HI"
