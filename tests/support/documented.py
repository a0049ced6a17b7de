"""The documented requests and answers in tests/samples/api."""

import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[1] / "samples" / "api"


def request(name: str) -> Any:
    """Return the documented body of a call."""
    return json.loads((FOLDER / name / "request.json").read_text())


def answer(name: str) -> Any:
    """Return the documented answer to a call."""
    return json.loads((FOLDER / name / "answer.json").read_text())


def names() -> list[str]:
    """Return the folders of all samples."""
    return sorted({path.parent.relative_to(FOLDER).as_posix() for path in FOLDER.rglob("*.json")})


def missing(documented: Any, answered: Any, at: str = "answer") -> list[str]:
    """Return where the answer lacks a documented member or has another type; nulls match everything."""
    if documented is None or answered is None:
        return []
    if isinstance(documented, dict):
        if not isinstance(answered, dict):
            return [f"{at} is not an object"]
        gone = [f"{at}.{name}" for name in documented if name not in answered]
        return gone + [
            found
            for name in documented
            if name in answered
            for found in missing(documented[name], answered[name], f"{at}.{name}")
        ]
    if isinstance(documented, list):
        if not isinstance(answered, list):
            return [f"{at} is not a list"]
        return [found for one in documented for found in _best(one, answered, f"{at}[]")]
    same = isinstance(documented, bool) == isinstance(answered, bool) and isinstance(documented, str) == isinstance(
        answered, str
    )
    return [] if same else [f"{at} is {type(answered).__name__}"]


def _best(documented: Any, answered: list[Any], at: str) -> list[str]:
    """Return what is missing from the closest entry; nothing if there are no entries."""
    return min((missing(documented, one, at) for one in answered), key=len, default=[])
