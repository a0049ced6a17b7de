"""What an answer of HappyFox means: its content, or an error named for what to do next. Never fails on its
form.

No article gives the body of a 401, 403, 404, 429 or 5xx, and validation errors come in several forms (KB
1039, KB 1201). Exceptions name the fields HappyFox complains about; its words, which may repeat a
customer's, are in ``problems``.
"""

import json
import re
from collections.abc import Iterator, Mapping
from email.utils import parsedate_to_datetime
from typing import Any

from workers.errors import Broken, CheckCredentials, Gone, HappyFoxError, InDoubt, Locked, Refused, Unsent
from workers.governor.governor import Outcome
from workers.happyfox.exchange import Answer

#: Members that hold an error's text rather than name a field.
ENVELOPES = ("error", "errors", "message", "detail")

DEPTH, LENGTH, MOST = 6, 300, 50

#: Where an escape may stand for half a character.
HALF = re.compile(rb"\\u[dD][89a-fA-F]")


def read(answer: Answer) -> Any:
    """Gives the decoded content, None for an empty success; raises a ``HappyFoxError`` for anything else."""
    if 200 <= answer.status < 300:
        return _content(answer)
    raise _error(answer)


def problems(answer: Answer) -> list[tuple[str, str]]:
    """Lists what HappyFox complains about as (field, text); the field is empty when it names none."""
    try:
        said = json.loads(answer.body)
    except (ValueError, RecursionError):
        return []
    return problems_in(said)


def problems_in(said: Any) -> list[tuple[str, str]]:
    """Lists the same from a decoded body, or from one result of a bulk call."""
    found = list(_flat(said, "", 0)) if isinstance(said, dict | list | str) else []
    return found[:MOST]


def nothing_to_update(error: HappyFoxError) -> bool:
    """Tells whether HappyFox refused only because every value is already as wanted (as a client saw it)."""
    return isinstance(error, Refused) and any("nothing to update" in text.lower() for _, text in error.problems)


def retry_after(answer: Answer) -> float | None:
    """Gives the seconds HappyFox asks to wait, from ``Retry-After`` or the words of a 503, or None.

    A date is compared with the answer's own ``Date``, so that no clock of ours plays a part.
    """
    asked = answer.headers.get("retry-after", "").strip()
    if asked:
        return _seconds(asked, answer.headers.get("date", ""))
    if answer.status == 503:  # the older API told the wait in the body
        words = re.search(rb"\b(\d{1,5})\s*(s|m)(?:ec(?:ond)?s?|in(?:ute)?s?)?\b", answer.body[:500], re.IGNORECASE)
        if words and b"<" not in answer.body[:500]:
            return int(words[1]) * (60.0 if words[2].lower() == b"m" else 1.0)
    return None


def settlement(method: str, result: Answer | Unsent | InDoubt) -> tuple[Outcome, int]:
    """Tells how a permit is settled after a call: its outcome, and the ms the answer asks to wait."""
    if isinstance(result, Unsent):
        return "unsent", 0
    if isinstance(result, InDoubt):
        return "doubt", 0
    wait = retry_after(result)
    asked = 0 if wait is None else int(wait * 1000)
    if result.status == 429:
        return "limited", asked
    if result.status >= 500:
        return ("throttled", asked) if result.status == 503 and wait is not None else ("failed", 0)
    if result.status == 401:
        return "denied", 0
    return ("forbidden" if result.status == 403 and method == "GET" else "answered"), 0


def _content(answer: Answer) -> Any:
    if not answer.body.strip():
        return None
    try:
        content = json.loads(answer.body)
        if HALF.search(answer.body):  # a text that was cut in the middle of a character; no store takes it so
            content = json.loads(json.dumps(content, ensure_ascii=False).encode("utf-8", "replace"))
    except (ValueError, RecursionError):
        cure = "check that HAPPYFOX_URL is the help desk itself; look before you send a write again"
        raise Broken(f"HappyFox answered with something that is not JSON: {cure}", answer.status) from None
    # Closing a ticket with an empty compulsory field may be refused under a status of success (KB 1039
    # gives none).
    if isinstance(content, dict) and "id" not in content and content.get("error"):
        raise _refused(answer)
    return content


def _error(answer: Answer) -> HappyFoxError:
    status = answer.status
    if status in (401, 403):
        cure = "check HAPPYFOX_API_KEY, HAPPYFOX_AUTH_CODE and the rights of that key"
        return CheckCredentials(f"HappyFox does not allow this ({status}); {cure}", status)
    if status == 404:
        return Gone("HappyFox knows no such object (404): it was deleted, or the key may not see it", status)
    if status == 429:
        return Locked("the account is locked out of the API (429)", status)
    if 300 <= status < 400:
        return Refused(f"HappyFox redirects ({status}); set HAPPYFOX_URL to the address the account answers at", status)
    if 400 <= status < 500:
        return _refused(answer)
    return Broken(f"HappyFox failed ({status}): read again later, look before you send a write again", status)


def _refused(answer: Answer) -> Refused:
    found = problems(answer)
    fields = ", ".join(dict.fromkeys(field for field, _ in found if field))
    why = f", because of {fields}" if fields else "; `problems` has its words, if it says why"
    return Refused(f"HappyFox refuses the call ({answer.status}){why}", answer.status, found)


def _flat(said: Any, field: str, depth: int) -> Iterator[tuple[str, str]]:
    if depth > DEPTH or said is None or said == "":
        return
    if isinstance(said, Mapping):
        if "field" in said and isinstance(said["field"], str | int):
            field, said = str(said["field"])[:LENGTH], {key: said[key] for key in said if key != "field"}
        for key, value in said.items():
            inner = field if key in ENVELOPES else f"{field}.{key}".lstrip(".")[:LENGTH]
            yield from _flat(value, inner, depth + 1)
    elif isinstance(said, list):
        for each in said:
            yield from _flat(each, field, depth + 1)
    else:
        yield field, str(said)[:LENGTH]


def _seconds(asked: str, date: str) -> float | None:
    try:
        if re.fullmatch(r"\d{1,9}(\.\d{1,9})?", asked):
            return float(asked)
        return max(0.0, (parsedate_to_datetime(asked) - parsedate_to_datetime(date)).total_seconds())
    except (ValueError, TypeError, OverflowError):
        return None
