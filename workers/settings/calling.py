"""What a script needs to call HappyFox: one account's address, credentials and budget, and nothing of a worker's."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from workers.settings.complaints import Complaint, SettingsError
from workers.settings.loading import Reading
from workers.settings.sources import Sources, read_file
from workers.settings.table import SETTINGS
from workers.settings.values import Account, Budget

_STAFF, _REDIS, _DATA = (
    next(row for row in SETTINGS if row.variable == name)
    for name in ("HAPPYFOX_STAFF_ID", "REDIS_URL", "FOXHOOKS_DATA")
)


@dataclass(frozen=True, slots=True)
class Calling:
    """An account to call, and where its budget may be kept: `redis_url`, or the embedded store in `data`."""

    account: Account
    redis_url: str | None = field(repr=False)
    data: Path


def load_account(environ: Mapping[str, str], folder: Path, name: str = "") -> Calling:
    """Returns the account of this name, or the only one there is.

    Settings are those of a worker, from *environ* and the settings file in *folder*; handlers and rules are not asked
    for, and without a staff id it is 0. Raises SettingsError with every complaint.
    """
    sources = Sources(environ, folder, read_file(environ, folder))
    reading = Reading(sources, "worker")
    if sources.file.complaint:
        reading.complaints.append(sources.file.complaint)
    chosen = _chosen(reading, name)
    account = _account(reading, chosen)
    redis_url, data = reading.value(_REDIS), sources.folder / reading.value(_DATA)
    if reading.complaints:
        raise SettingsError(dict.fromkeys(reading.complaints))
    return Calling(account, redis_url, data)


def _chosen(reading: Reading, name: str) -> str:
    names = reading.names()
    if name and name not in names and (reading.sources.file.accounts or name != names[0]):
        reading.complaints.append(Complaint(name, "is not an account here", f"there are {', '.join(names)}"))
    elif not name and len(names) > 1:
        reading.complaints.append(Complaint("the account", "is not named", f"name one of {', '.join(names)}"))
    return name if name in names else names[0]


def _account(reading: Reading, name: str) -> Account:
    rows = [row for row in SETTINGS if row.scope == "account"]
    if reading.sources.find(_STAFF, name) is None:
        rows.remove(_STAFF)
    values = {row.key: reading.value(row, name) for row in rows}
    return Account(
        name=name,
        secrets=(),
        url=values["url"],
        api_key=values["api_key"],
        auth_code=values["auth_code"],
        staff_id=values.get(_STAFF.key, 0),
        budget=Budget(
            gets=values["gets_per_minute"],
            posts=values["posts_per_minute"],
            window=values["window_seconds"],
            lockout=values["lockout_seconds"],
            share=values["budget_share"],
            in_flight=values["in_flight"],
        ),
        timeout=values["timeout_seconds"],
        doubt=values["doubt_seconds"],
        handlers=(),
        rules=None,
        allow=frozenset(),
        dry_run=False,
        fuse=0,
        router_settings=MappingProxyType({}),
    )
