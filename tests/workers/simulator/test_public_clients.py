"""The calls of public clients succeed in the strict simulator, with answers that those clients can read."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from tests.support.happyfox import Caller, FakeClock, multipart
from workers.simulator import ApiResponse, Simulator

FOLDER = Path(__file__).parents[2] / "samples" / "clients"


def make(api: Caller, request: Any) -> ApiResponse:
    query, body, kind = request.get("query", ""), request.get("body"), "application/json"
    if "form" in request:
        files = [(member, name, "application/octet-stream", b"x") for member, name in request["files"]]
        files = [each if each[0] != "file" else (*each[:2], "image/png", b"\x89PNG") for each in files]
        kind, body = multipart([(name, value) for name, value in request["form"]], files)
    return api.simulator.handle(api.request(request["method"], unquote(request["path"]), body, query, kind))


def differences(expected: Any, found: Any, at: str = "") -> list[str]:
    """Return where an answer lacks what is expected; objects may have more members."""
    if isinstance(expected, dict) and isinstance(found, dict):
        return [
            each
            for name, value in expected.items()
            for each in (differences(value, found[name], f"{at}.{name}") if name in found else [f"no {at}.{name}"])
        ]
    if isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        pairs = zip(expected, found, strict=True)
        return [each for place, pair in enumerate(pairs) for each in differences(*pair, f"{at}[{place}]")]
    return [] if expected == found else [f"{at} is {found!r}, not {expected!r}"]


@pytest.mark.parametrize("client", sorted(path.stem for path in FOLDER.glob("*.json")))
def test_every_call_of_a_client_is_answered_as_expected(clock: FakeClock, client: str) -> None:
    api = Caller(Simulator(clock))
    api.simulator.create_ticket("sam@bigcorp.example")
    wrong = []
    for step in json.loads((FOLDER / f"{client}.json").read_text()):
        answer = make(api, step["request"])
        expected = step["response"]
        found = differences(expected["body"], json.loads(answer.body)) if "body" in expected else []
        if answer.status != expected["status"] or found:
            wrong.append((step["call"], answer.status, found, answer.body[:300]))
    assert wrong == []


def test_undocumented_calls_succeed_in_a_lenient_simulator(clock: FakeClock) -> None:
    api = Caller(Simulator(clock, strict=False, members_as_objects=True))
    api.simulator.create_ticket("sam@bigcorp.example")
    steps = json.loads((FOLDER / "happyfox-mcp-2026-01.json").read_text())
    refused = [step["call"] for step in steps if make(api, step["request"]).status != 200]
    assert refused == ["reply as the contact in html, which no document has"]  # without its text, which is required
