"""Looks at HappyFox: credentials, the staff member we write as, and the lists of names. One GET for each list."""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import redis

from service.doctor.finding import Finding, error, ok, warning
from workers.errors import CheckCredentials, HappyFoxError, InDoubt, NotNow, Unsent
from workers.governor.governor import Governor
from workers.happyfox.directory import Directory
from workers.happyfox.http import ApiConnection
from workers.happyfox.messages import read
from workers.lanes.lists import remember
from workers.lanes.store import Store
from workers.rules.names import unknown_here, uses_names
from workers.settings import Account, SettingProblem
from workers.turns.plugin.loading import RULES, Loaded

API = "Apps > Goodies > API in HappyFox"


def look(client: redis.Redis, account: Account, loaded: Sequence[Loaded]) -> Iterator[Finding]:
    """Makes the calls, within the account's budget, and judges the answers; ``loaded`` are the account's routers."""
    governor, subject = Governor(account.name, account.budget), f"HappyFox ({account.name})"
    store = Store(client)
    wire = ApiConnection.of(account, governor, store)
    lists: dict[str, Any] = {}
    try:
        for name, request in Directory.LISTS.items():
            lists[name] = read(wire.send(request, class_="interactive"))
            if isinstance(lists[name], list):
                store.run(remember(account.name, name, msgspec.json.encode(lists[name])))
    except CheckCredentials as refused:
        cure = f"copy HAPPYFOX_API_KEY and HAPPYFOX_AUTH_CODE from {API}, and see that the key is on"
        yield error(subject, str(refused), cure)
        return
    except NotNow as closed:
        yield warning(
            subject, f"no call can be made now: {closed}", "`foxhooks status` shows budget and gate; try later"
        )
        return
    except Unsent as unsent:
        yield error(subject, str(unsent), "check HAPPYFOX_URL and the way to it; a proxy is not used")
        return
    except (InDoubt, HappyFoxError) as broken:
        yield error(subject, str(broken), "try again; if it stays, check HAPPYFOX_URL")
        return
    finally:
        wire.close()
        store.close()
    yield ok(subject, f"{account.url} accepts the API key")
    yield _staff(subject, lists["staff"], account.staff_id)
    if uses_names(account, loaded):
        directory = Directory(**{name: each if isinstance(each, list) else [] for name, each in lists.items()})
        yield from _names(account, loaded, directory)


def _names(account: Account, loaded: Sequence[Loaded], directory: Directory) -> Iterator[Finding]:
    """Looks for names that rules and settings use and the account does not know."""
    wrong = [(_subject(told), told) for told in unknown_here(account, loaded, directory)]
    if account.rules and not any(subject == RULES for subject, _ in wrong):
        yield ok(RULES, f"{account.name} knows the names that {account.rules.name} uses")
    for subject, told in wrong:
        yield error(subject, f"{told.setting}: {told.problem}", told.cure)


def _subject(told: SettingProblem) -> str:
    return "handlers" if told.setting.startswith("router.") else RULES


def _staff(subject: str, staff: Any, number: int) -> Finding:
    members = [one for one in staff if isinstance(one, dict)] if isinstance(staff, list) else []
    known = ", ".join(f"{one.get('name')} is {one.get('id')}" for one in members) or "none"
    for one in members:
        if one.get("id") == number:
            if one.get("active") is False:
                cure = f"activate that staff member, or set HAPPYFOX_STAFF_ID to another one ({known})"
                return error(subject, f"HAPPYFOX_STAFF_ID {number} is {one.get('name')}, who is not active", cure)
            return ok(subject, f"we write as {one.get('name')} (HAPPYFOX_STAFF_ID {number})")
    cure = f"set it to the id of a staff member, best one of the bot's own ({known})"
    return error(subject, f"no staff member has the HAPPYFOX_STAFF_ID {number}", cure)
