"""What can be wrong with the names of settings, before any value is read."""

from collections.abc import Iterable, Iterator, Mapping

from workers.settings.complaints import Complaint
from workers.settings.names import ROUTER, nearest, plain
from workers.settings.setting import WORKER, Part, Setting
from workers.settings.sources import Sources, Table, references
from workers.settings.table import SETTINGS

_PREFIXES = ("FOXHOOKS_", "HAPPYFOX_")
_VARIABLES = {setting.variable: setting for setting in SETTINGS}
_TOP = {key: setting for setting in SETTINGS for key in setting.top_keys}
_IN_ACCOUNT = {key: setting for setting in SETTINGS for key in setting.account_keys}
_SECTIONS = ("accounts", "handlers")


def check_names(sources: Sources, part: Part) -> Iterator[Complaint]:
    """Yields a complaint for each name that is unknown, given twice or in the wrong place.

    A misspelt name concerns the parts that read the setting it resembles, so that a slip in a worker's
    setting does not stop the web process; a name that resembles none concerns all.
    """
    file = sources.file
    yield from _variables(sources, part)
    yield from _keys(file.top, _TOP, "", file.name, part)
    for name, table in file.accounts.items():
        yield from _keys(table, _IN_ACCOUNT, f"accounts.{name}.", file.name, part)
    if part in WORKER:
        for name in file.routers:
            if not ROUTER.fullmatch(name):
                setting = f"{plain(f'handlers.{name}')} ({file.name})"
                yield Complaint(
                    setting, "is not the name of a router", "use a to z, 0 to 9 and hyphens, as crm"
                )
    if len(file.accounts) > 1:
        yield from _ambiguous(sources, part)


def _variables(sources: Sources, part: Part) -> Iterator[Complaint]:
    file = sources.file
    referred = references(file.top) | references(file.accounts) | references(file.routers)
    for name in sources.environ:
        if name.startswith(_PREFIXES) and name not in _VARIABLES and name not in referred:
            guess = nearest(name, _VARIABLES)
            if guess is None or part in _VARIABLES[guess].parts:
                yield Complaint(f"{plain(name)} (environment)", "is not a setting", _cure(guess))


def _keys(
    table: Table, known: Mapping[str, Setting], prefix: str, file: str, part: Part
) -> Iterator[Complaint]:
    for key in table:
        where = f"{plain(prefix + key)} ({file})"
        if key not in known:
            yield from _unknown(key, where, known, part)
        elif (
            part in known[key].parts
            and next(other for other in _same(known[key], known) if other in table) != key
        ):
            yield Complaint(where, "is given twice under two names", "remove one of them")


def _unknown(key: str, where: str, known: Mapping[str, Setting], part: Part) -> Iterator[Complaint]:
    elsewhere = {
        **_TOP,
        **_IN_ACCOUNT,
        **{name.lower(): setting for name, setting in _VARIABLES.items()},
    }.get(key)
    guess = None
    if elsewhere is None:
        guess = nearest(key, [*known, *_SECTIONS] if known is _TOP else known)
        cure = _cure(guess)
    elif known is _TOP:
        cure = (
            "move it into [accounts.NAME]" if elsewhere.account_keys else f"set {elsewhere.variable} instead"
        )
    elif elsewhere.account_keys:
        cure = f"write {elsewhere.account_keys[0]}"
    else:
        cure = "move it to the top of the file, above the first [table]"
    meant = elsewhere or known.get(guess or "")
    if meant is None or part in meant.parts:
        yield Complaint(where, "is not a setting here", cure)


def _same(setting: Setting, known: Mapping[str, Setting]) -> Iterable[str]:
    return [key for key, other in known.items() if other is setting]


def _ambiguous(sources: Sources, part: Part) -> Iterator[Complaint]:
    names = " and ".join(plain(name) for name in sources.file.accounts)
    for setting in SETTINGS:
        if (
            setting.scope in ("single", "account")
            and part in setting.parts
            and (found := sources.find(setting))
        ):
            key = (
                f"give {setting.key} in each [accounts.NAME] instead" if setting.account_keys else "remove it"
            )
            yield Complaint(found.where, f"is for a single account, and the file has {names}", key)


def _cure(guess: str | None) -> str:
    return f"did you mean {guess}?" if guess else "remove it; docs/settings.md lists what there is"
