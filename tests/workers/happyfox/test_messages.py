"""What answers mean; reading an error never fails because of its form."""

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.errors import Broken, CheckCredentials, Gone, HappyFoxError, InDoubt, Locked, Refused, Unsent
from workers.happyfox import messages
from workers.happyfox.messages import Answer


def answer(status: int, said: Any = None, **headers: str) -> Answer:
    body = said if isinstance(said, bytes) else b"" if said is None else json.dumps(said).encode()
    return Answer(status, {name.replace("_", "-"): value for name, value in headers.items()}, body)


def refused(said: Any, status: int = 400) -> Refused:
    with pytest.raises(Refused) as caught:
        messages.read(answer(status, said))
    return caught.value


@pytest.mark.parametrize("status", [200, 201])
def test_a_success_is_decoded_and_may_be_empty(status: int) -> None:
    assert messages.read(answer(status, {"id": 3, "error": "a subject of its own"})) == {
        "id": 3,
        "error": "a subject of its own",
    }
    assert messages.read(answer(status, [1, 2])) == [1, 2]
    assert messages.read(answer(status, b" \n")) is None
    assert messages.read(answer(204)) is None


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, Refused),
        (302, Refused),
        (405, Refused),
        (422, Refused),
        (401, CheckCredentials),
        (403, CheckCredentials),
        (404, Gone),
        (429, Locked),
        (500, Broken),
        (502, Broken),
        (503, Broken),
    ],
)
@pytest.mark.parametrize("said", [None, b"<html>Oops</html>", {"error": "no"}, b"\xff\xfe", b"[" * 100_000])
def test_each_status_has_its_error(status: int, error: type[HappyFoxError], said: Any) -> None:
    with pytest.raises(error) as caught:
        messages.read(answer(status, said))
    assert type(caught.value) is error
    assert caught.value.status == status


def test_half_a_surrogate_pair_in_an_answer_is_replaced() -> None:
    body = b'{"id": 3, "text": "cut \\ud83d", "whole": "\\ud83d\\ude00"}'
    assert messages.read(answer(200, body)) == {"id": 3, "text": "cut ?", "whole": "\U0001f600"}


@pytest.mark.parametrize("body", [b"<html>Please log in</html>", b'{"id": 3', b"\xff", b"[" * 100_000])
def test_a_success_that_is_not_json_is_broken(body: bytes) -> None:
    with pytest.raises(Broken):
        messages.read(answer(200, body))


@pytest.mark.parametrize(
    ("said", "problems"),
    [
        (
            {"error": [{"field": "category", "errors": ["This field is required."]}]},
            [("category", "This field is required.")],
        ),
        (
            {"error": [{"field": "t-cf-3", "errors": ["one", "two"]}, {"field": "c-cf-13", "errors": "three"}]},
            [("t-cf-3", "one"), ("t-cf-3", "two"), ("c-cf-13", "three")],
        ),
        ({"error": [{"field": "__all__", "errors": ["whole"]}]}, [("__all__", "whole")]),
        (
            {"error": {"t-cf-2": "This field should be filled before marking this ticket as completed"}},
            [("t-cf-2", "This field should be filled before marking this ticket as completed")],
        ),
        (
            {"error": {"display_id": ["required"], "contact_ids": "a list", "custom_fields": {"1": "Not a choice"}}},
            [("display_id", "required"), ("contact_ids", "a list"), ("custom_fields.1", "Not a choice")],
        ),
        (
            {"success": False, "errors": [{"field": "contact", "errors": ["x"]}]},
            [("success", "False"), ("contact", "x")],
        ),
        ({"error": "Nothing to update"}, [("", "Nothing to update")]),
        ({"message": "m"}, [("", "m")]),
        ({"detail": "d"}, [("", "d")]),
        ("text", [("", "text")]),
        (["a", None, "", 5], [("", "a"), ("", "5")]),
        (b"<html>", []),
        (b"", []),
    ],
)
def test_every_form_of_an_error_is_read_as_fields_and_texts(said: Any, problems: list[tuple[str, str]]) -> None:
    assert list(refused(said).problems) == problems


def test_a_refusal_with_a_success_status_is_refused() -> None:
    error = refused({"error": {"t-cf-2": "This field should be filled"}}, 200)
    assert error.problems == (("t-cf-2", "This field should be filled"),)


def test_an_error_names_fields_but_not_the_texts() -> None:
    error = refused({"error": [{"field": "subject", "errors": ["'My password is x' is too long"]}]})
    assert "subject" in str(error)
    assert "password" not in str(error)


def test_nothing_to_update_is_recognised_in_any_form() -> None:
    for said in ({"error": "Nothing to update"}, {"error": [{"field": "__all__", "errors": ["nothing to update."]}]}):
        assert messages.nothing_to_update(refused(said))
    assert not messages.nothing_to_update(refused({"error": "Something else"}))
    assert not messages.nothing_to_update(Broken("nothing to update", 500))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["error", "field", "errors", "x"]), inner)
    ),
    max_leaves=30,
)


@given(
    status=st.integers(200, 599), body=st.binary(max_size=60) | json_values.map(lambda said: json.dumps(said).encode())
)
def test_any_answer_is_read_or_raises_a_happyfox_error(status: int, body: bytes) -> None:
    with contextlib.suppress(HappyFoxError):
        messages.read(Answer(status, {}, body))


@pytest.mark.parametrize(
    ("asked", "seconds"),
    [
        ("120", 120.0),
        (" 0 ", 0.0),
        ("1.5", 1.5),
        ("Wed, 21 Oct 2026 07:30:00 GMT", 120.0),
        ("Wed, 21 Oct 2026 07:00:00 GMT", 0.0),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("1e999", None),
        ("9" * 30, None),
        ("Wed, 99 Oct 2026 07:30:00 GMT", None),
    ],
)
def test_a_retry_after_is_read_in_any_form(asked: str, seconds: float | None) -> None:
    given = answer(429, retry_after=asked, date="Wed, 21 Oct 2026 07:28:00 GMT")
    assert messages.retry_after(given) == seconds


def test_a_retry_after_date_needs_the_date_of_the_answer() -> None:
    assert messages.retry_after(answer(429, retry_after="Wed, 21 Oct 2026 07:30:00 GMT")) is None


@pytest.mark.parametrize(
    ("body", "seconds"),
    [
        (b"Rate limit exceeded. Retry in 40 seconds.", 40.0),
        (b"wait 2 minutes", 120.0),
        (b"try again in 7s", 7.0),
        (b"Down for maintenance", None),
        (b"<h1>503 Service unavailable</h1>", None),
        (b"503 Service Unavailable", None),
    ],
)
def test_the_wait_is_read_from_the_text_of_a_503(body: bytes, seconds: float | None) -> None:
    assert messages.retry_after(answer(503, body)) == seconds


@pytest.mark.parametrize(
    ("method", "result", "settlement"),
    [
        ("GET", answer(200), ("answered", 0)),
        ("POST", answer(400), ("answered", 0)),
        ("GET", answer(404), ("answered", 0)),
        ("POST", answer(429, retry_after="900"), ("limited", 900_000)),
        ("GET", answer(429), ("limited", 0)),
        ("GET", answer(503, retry_after="30"), ("throttled", 30_000)),
        ("GET", answer(503), ("failed", 0)),
        ("POST", answer(500), ("failed", 0)),
        ("POST", answer(401), ("denied", 0)),
        ("GET", answer(403), ("forbidden", 0)),
        ("POST", answer(403), ("answered", 0)),
        ("POST", Unsent("x"), ("unsent", 0)),
        ("POST", InDoubt("x"), ("doubt", 0)),
    ],
)
def test_a_permit_is_settled_by_the_result_of_its_call(
    method: str, result: Answer | Unsent | InDoubt, settlement: tuple[str, int]
) -> None:
    assert messages.permit_outcome(method, result) == settlement
