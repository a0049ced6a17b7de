"""What a script needs to call HappyFox: one account's address, credentials and budget, and nothing of a worker's."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from workers.settings.complaints import Complaint
from workers.settings.reading import Reading
from workers.settings.table import DATA, REDIS
from workers.settings.values import Account


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
    reading = Reading("calls", environ, folder)
    account = reading.account(_chosen(reading, name))
    redis_url, data = reading.value(REDIS), reading.sources.folder / reading.value(DATA)
    reading.end()
    return Calling(account, redis_url, data)


def _chosen(reading: Reading, name: str) -> str:
    names = reading.names()
    if name and name not in names and (reading.sources.file.accounts or name != names[0]):
        reading.complaints.append(Complaint(name, "is not an account here", f"there are {', '.join(names)}"))
    elif not name and len(names) > 1:
        reading.complaints.append(Complaint("the account", "is not named", f"name one of {', '.join(names)}"))
    return name if name in names else names[0]
