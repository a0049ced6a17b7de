"""What can be wrong with the names of settings, before any value is read."""

from collections.abc import Iterator, Mapping

from workers.settings.complaints import Complaint
from workers.settings.names import ROUTER, nearest_setting, plain
from workers.settings.setting import BOTH, WORKER, Part, Setting
from workers.settings.sources import Sources, Table, references
from workers.settings.table import SETTINGS

_PREFIXES = ("FOXHOOKS_", "HAPPYFOX_")
_VARIABLES = {row.variable: row for row in SETTINGS}
_TOP = {key: row for row in SETTINGS for key in row.top_keys}
_IN_ACCOUNT = {key: row for row in SETTINGS for key in row.account_keys}
_ANYWHERE = {**{row.variable.lower(): row for row in SETTINGS}, **_TOP, **_IN_ACCOUNT}
_TABLES = ("accounts", "handlers", "permissions")


def check_names(sources: Sources, part: Part) -> Iterator[Complaint]:
    """Yields a complaint for each name that is unknown, given twice or in the wrong place.

    A misspelt name concerns the parts that read the setting it resembles, so that a slip in a worker's
    setting does not stop the web process; a name that resembles none concerns all.
    """
    file = sources.file
    for name in file.no_tables:
        if part in (WORKER if name.startswith("handlers") else BOTH):
            cure = "write [accounts.NAME] or [handlers.NAME] and what belongs to it below"
            yield Complaint(f"{plain(name)} ({file.name})", "is not a table", cure)
    yield from _variables(sources, part)
    yield from _keys(file.top, _TOP, "", file.name, part)
    for name, table in file.accounts.items():
        yield from _keys(table, _IN_ACCOUNT, f"accounts.{name}.", file.name, part)
    for name in file.routers:
        if part in WORKER and not ROUTER.fullmatch(name):
            where = f"{plain(f'handlers.{name}')} ({file.name})"
            yield Complaint(where, "is not the name of a router", "use a to z, 0 to 9 and hyphens, as crm")
    if len(file.accounts) > 1:
        yield from _ambiguous(sources, part)


def _variables(sources: Sources, part: Part) -> Iterator[Complaint]:
    file = sources.file
    referred = references(file.top) | references(file.accounts) | references(file.routers)
    for name in sources.environ:
        if name.startswith(_PREFIXES) and name not in _VARIABLES and name not in referred:
            guess = nearest_setting(name, _VARIABLES)
            if guess is None or part in _VARIABLES[guess].parts:
                yield Complaint(f"{plain(name)} (environment)", "is not a setting", _did_you_mean(guess))


def _keys(table: Table, known: Mapping[str, Setting], prefix: str, file: str, part: Part) -> Iterator[Complaint]:
    for key, value in table.items():
        where = f"{plain(prefix + key)} ({file})"
        if key not in known:
            meant, cure = _misplaced(key, known) if key in _ANYWHERE else _misspelt(key, value, known)
            if meant is None or part in meant.parts:
                yield Complaint(where, "is not a setting here", cure)
        elif part in known[key].parts and any(
            known[other] is known[key] for other in table if other in known and other < key
        ):
            yield Complaint(where, "is given twice under two names", "remove one of them")


def _misplaced(key: str, known: Mapping[str, Setting]) -> tuple[Setting, str]:
    meant = _ANYWHERE[key]
    if known is _IN_ACCOUNT:
        here = next(iter(meant.account_keys), None)
        return meant, f"write {here}" if here else "move it to the top of the file, above the first [table]"
    return meant, "move it into [accounts.NAME]" if meant.account_keys else f"set {meant.variable} instead"


def _misspelt(key: str, value: object, known: Mapping[str, Setting]) -> tuple[Setting | None, str]:
    guess = nearest_setting(key, _TABLES if known is _TOP and isinstance(value, dict) else known)
    return known.get(guess or ""), _did_you_mean(guess)


def _did_you_mean(guess: str | None) -> str:
    return f"did you mean {guess}?" if guess else "remove it; docs/settings.md lists what there is"


def _ambiguous(sources: Sources, part: Part) -> Iterator[Complaint]:
    problem = f"is for a single account, and the file has {' and '.join(map(plain, sources.file.accounts))}"
    for row in SETTINGS:
        if row.scope in ("single", "account") and part in row.parts and (found := sources.find(row)):
            cure = f"give {row.key} in each [accounts.NAME] instead" if row.account_keys else "remove it"
            yield Complaint(found.where, problem, cure)
