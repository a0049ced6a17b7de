"""`foxhooks doctor`: check everything that can be checked before the first delivery; show how to fix problems."""

import os
import stat
from collections import Counter
from collections.abc import Collection, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import redis
import typer

from service.commands.doctor_store import (
    STORE,
    check_access,
    check_accounts,
    check_address,
    check_store,
    check_types,
    refuse_old,
)
from service.commands.findings import Finding, error, ok, warning
from service.commands.format import AsJson, blocked, line, plural, print_json
from service.commands.rules import fetch_lists
from service.commands.running import remote_source
from service.context import accounts_of_fleet, describe_silence, settings_of, store_of
from service.embedded import Embedded
from service.errors import CommandError
from service.reading.webhooks import Problem, problems, shared_keys
from workers.errors import CheckCredentials, HappyFoxError, InDoubt, NotNow, StoreUnavailable, Unsent
from workers.happyfox.directory import Directory
from workers.plugins.loading import RULES, Loaded, LoadError, load_accounts
from workers.plugins.summary import summarize
from workers.rules import file as rules_file
from workers.rules.advice import router_warnings
from workers.rules.names import needed_lists, unknown_here
from workers.settings import Account, Settings, SettingsError, drafts
from workers.store import access
from workers.store.client import Store, connect, store_time, url_of
from workers.store.failures import failure
from workers.store.fleet import Fleet, read_fleet
from workers.store.troubles import find_troubles

if TYPE_CHECKING:
    from service.reading.remote import RemoteSource

MARKS = {"ok": ("✓ ", "green"), "warning": ("! ", "yellow"), "error": ("✗ ", "red")}

#: What runs, as the store knows it.
RUNNING = "running"

#: The routers of each account.
LoadedByAccount = Mapping[str, Sequence[Loaded]]


def doctor(
    offline: Annotated[bool, typer.Option("--offline", help="Make no calls to HappyFox.")] = False,
    json: AsJson = False,
) -> None:
    """Check settings, handlers, store and credentials, and show the fixes."""
    with remote_source() as remote:
        if remote is not None:
            if offline or json:
                raise CommandError("with --at, a worker checks everything and prints its findings as text")
            raise typer.Exit(_check_remotely(remote))
    findings = list(check(offline))
    if json:
        print_json(findings)
    else:
        for finding in findings:
            line(MARKS[finding.level], (finding.subject, "bold"), f": {finding.text}")
            if finding.fix:
                line(f"    → {finding.fix}")
        errors, warnings = (sum(finding.level == level for finding in findings) for level in ("error", "warning"))
        line(f"{plural(errors, 'error')}, {plural(warnings, 'warning')}.")
    raise typer.Exit(int(any(finding.level == "error" for finding in findings)))


def _check_remotely(remote: "RemoteSource") -> int:
    """Let a worker of a remote system check everything, print what it prints, and return its exit code."""
    job = remote.doctor(remote.names()[0])  # a worker checks all of its accounts
    for text in job.lines:
        line(text)
    if job.state != "done":
        raise CommandError(f"the worker's check: {job.sentence}")
    return job.exit_code


def check(offline: bool) -> Iterator[Finding]:
    """Check everything; with ``offline``, HappyFox is not called and the store may be down."""
    try:
        settings = settings_of("all")
    except SettingsError as wrong:
        yield from _without_settings(wrong)
        return
    where = settings.config_path or "the environment"
    yield ok("settings", f"read from {where}; accounts: {', '.join(settings.accounts)}")
    yield from (warning("settings", f"{each.setting}: {each.problem}", each.fix) for each in settings.warnings)
    yield from check_secrets(settings)
    yield from _webhooks(shared_keys(settings))
    loaded = yield from check_handlers(settings.accounts.values())
    yield from check_hooks(settings, loaded)
    yield from _check_running(settings, loaded, offline)


def _without_settings(wrong: SettingsError) -> Iterator[Finding]:
    """Check what can be checked although the settings of this shell are incomplete or wrong.

    Where processes run, it is theirs that count: missing ones are only a warning then.
    """
    fleet, found = Fleet(()), []
    with suppress(SettingsError, CommandError):
        settings = settings_of("store")
        with store_of(settings) as client:
            fleet = read_fleet(client)
            found = list(check_running_system(client, list(accounts_of_fleet(fleet)), fleet)) if fleet.alive else []
    for complaint in wrong.problems:
        level = warning if found and complaint.problem == "is missing" else error
        yield level("settings", f"{complaint.setting}: {complaint.problem}", complaint.fix)
    if handled := [draft for draft in drafts(os.environ, Path.cwd()) if draft.handlers]:
        yield from check_handlers(handled)
    yield from found


def check_running_system(client: redis.Redis, accounts: Sequence[str], fleet: Fleet) -> Iterator[Finding]:
    """Check what runs, as the store knows it."""
    now = store_time(client)
    parts = Counter(f"{each.part} ({each.version})" for each in fleet.alive)
    if parts:
        listed = ", ".join(f"{count} {part}" for part, count in parts.items())
        yield ok(RUNNING, f"processes that run: {listed}")
    for trouble in find_troubles(client, accounts, fleet, now):
        yield (error if trouble.is_error else warning)(RUNNING, trouble.text, trouble.fix)


def check_differences(accounts: Mapping[str, Account], loaded: LoadedByAccount, fleet: Fleet) -> Iterator[Finding]:
    """Compare the settings, rules and handlers of this shell with those that run."""
    for name, account in accounts.items():
        if (running := fleet.account(name)) is None:
            continue
        own = summarize(account, loaded.get(name, ()))
        theirs = {each.name: each.value for each in running.settings}
        for mine in own.settings:
            if mine.name in theirs and theirs[mine.name] != mine.value:
                text = f"{mine.name} of {name} is {theirs[mine.name] or 'not set'} in the workers that run, "
                text += f"but {mine.value or 'not set'} here"
                yield warning(RUNNING, text, "restart the workers if they should have this value")
        for what in ("rules", "handlers"):
            if loaded and getattr(own, what) != getattr(running, what):
                text = f"the {what} of {name} here differ from those that the workers have loaded"
                yield warning(RUNNING, text, "restart the workers to use these")


#: Words that stand for a secret in examples, what such texts begin with, and the length below which one can be guessed.
PLACEHOLDERS = ("placeholder", "your-secret", "your-api-key", "12345678", "123456789", "1234567890")
PLACEHOLDER_STARTS = ("secret", "changeme", "change-me", "password", "example", "<", "...")
SHORTEST_SECRET = 8


def check_secrets(settings: Settings) -> Iterator[Finding]:
    """Warn of secrets that can be guessed, and of files with secrets that every user of the machine can read."""
    secrets: list[str | None] = [settings.redis_url if "@" in (settings.redis_url or "") else None]
    for account in settings.accounts.values():
        keys = {"HAPPYFOX_WEBHOOK_SECRETS": account.secrets}
        keys |= {"HAPPYFOX_API_KEY": (account.api_key,), "HAPPYFOX_AUTH_CODE": (account.auth_code,)}
        for variable, texts in ((name, [each.reveal() for each in found]) for name, found in keys.items()):
            secrets += texts
            if any(map(_can_be_guessed, texts)):
                text = f"{account.where(variable)} contains a very short text or a placeholder, which can be guessed"
                yield warning("settings", text, "copy the key from HappyFox again, or make a new one there")
    for name, hook in settings.hooks.items():
        texts = [each.reveal() for each in hook.secrets]
        secrets += texts
        if any(map(_can_be_guessed, texts)):
            text = f"the secret of the hook {name} is very short or a placeholder, which can be guessed"
            yield warning(
                "settings", text, "make one, for example with `openssl rand -hex 32`, and tell the other system"
            )
    secrets += [settings.sentry_dsn.reveal()] if settings.sentry_dsn else []
    for path in filter(None, (settings.config_path, Path(".env"))):
        if _exposes(path, secrets):
            text = f"every user of this machine can read the secrets in {path.name}"
            yield warning("settings", text, f"run `chmod 600 {path.name}`")


def _can_be_guessed(secret: str) -> bool:
    word = secret.casefold()
    return (
        len(word) < SHORTEST_SECRET
        or len(set(word)) == 1
        or word in PLACEHOLDERS
        or word.startswith(PLACEHOLDER_STARTS)
    )


def _exposes(path: Path, secrets: Collection[str | None]) -> bool:
    """Return whether every user of the machine can read a file, and one of the secrets is in it."""
    try:
        content = path.read_text("utf-8", "replace") if path.stat().st_mode & stat.S_IROTH else ""
    except OSError:
        return False
    return any(secret and len(secret) >= SHORTEST_SECRET and secret in content for secret in secrets)


def _webhooks(found: Iterable[Problem]) -> Iterator[Finding]:
    yield from ((error if each.is_error else warning)("webhooks", each.text, each.fix) for each in found)


def _check_running(settings: Settings, loaded: LoadedByAccount, offline: bool) -> Iterator[Finding]:
    """Check the store, and HappyFox, whose calls need the store's permits."""
    yield from check_address(settings)
    level = warning if offline else error
    if settings.redis_url is None and (store := Embedded(settings.data)).answer() is None:
        if owner := store.owner():
            yield level(STORE, *describe_silence(settings, owner))
            return
        text = "REDIS_URL is not set, and no embedded store is running"
        yield warning(STORE, text, "start `foxhooks up`, or set REDIS_URL; then run `foxhooks doctor` again")
        return
    client = connect(url_of(settings.redis_url, settings.data), connections=2)
    try:
        refuse_old(client)
        missing = yield from check_access(client, settings)
        corrupt = [] if missing != access.Missing() else list(check_types(client, settings))
        yield from corrupt
        if corrupt:
            return  # the other checks read these keys
        yield from check_store(client, settings)
        if missing != access.Missing():
            return  # the other checks need what is missing
        yield from check_accounts(client, settings)
        fleet = read_fleet(client)
        yield from check_running_system(client, list(settings.accounts), fleet)
        yield from check_differences(settings.accounts, loaded, fleet)
        yield from _webhooks(problems(client, settings, store_time(client)))
        if not offline:
            for account in settings.accounts.values():
                yield from check_happyfox(client, account, loaded.get(account.name, ()))
    except (redis.exceptions.RedisError, StoreUnavailable, OSError) as failed:
        yield level(STORE, *failure(failed, settings.where("REDIS_URL")))
    finally:
        client.close()


def check_hooks(settings: Settings, loaded: LoadedByAccount) -> Iterator[Finding]:
    """Warn of hooks whose calls no handler receives."""
    handlers = [handler for routers in loaded.values() for each in routers for handler in each.router.handlers]
    received = {kind.partition(" ")[2] for handler in handlers for kind in handler.kinds if kind.startswith("hook ")}
    for name in settings.hooks if loaded else ():
        if not any(each.partition(" ")[2] in ("", name) for each in received):
            text = f"no handler receives the hook {name}, so its calls become dead letters"
            yield warning("handlers", text, f'write @router.on("hook", name="{name}") above a handler')


def check_handlers(accounts: Collection[Account]) -> Generator[Finding, None, LoadedByAccount]:
    """Import plug-ins and rules as the worker does, which also checks settings and grants; return the routers."""
    try:
        loaded = load_accounts(accounts, Path.cwd(), rules_file.router_of)
    except LoadError as wrong:
        for complaint in wrong.problems:
            yield error("handlers", f"{complaint.setting}: {complaint.problem}", complaint.fix)
        return {}
    for account in accounts:
        routers = [each.router for each in loaded[account.name]]
        order = ", ".join(each.name + " (dry run)" * (each.name in account.dry_routers) for each in routers) or "none"
        yield ok("handlers", f"{account.name or 'the account'} runs in this order: {order}")
        yield from (_empty(account, each.name) for each in routers if not each.handlers)
        for again in (each for router in loaded[account.name] for each in router_warnings(router)):
            yield warning("handlers", f"{again.setting}: {again.problem}", again.fix)
        if account.dry_run:
            where = account.where("FOXHOOKS_DRY_RUN")
            yield ok("handlers", f"dry run of {account.name} ({where}): plans are stored and shown, nothing is sent")
        if account.rules:
            found = rules_file.read(rules_file.content(account.rules), account.grants)
            for fault in found.problems:
                complaint = fault.in_file(account.rules.name)
                yield warning("rules", f"{complaint.setting}: {complaint.problem}", complaint.fix)
    return loaded


def _empty(account: Account, router: str) -> Finding:
    if router == RULES:
        fix = f"add a [[rule]], or remove {account.where('FOXHOOKS_RULES')}"
        return warning(RULES, "the rules file has no rules", fix)
    fix = f"put @router.on(KIND) above its functions, or remove it from {account.where('FOXHOOKS_HANDLERS')}"
    return warning("handlers", f"router {router} has no handler: it will never run", fix)


def check_happyfox(client: redis.Redis, account: Account, loaded: Sequence[Loaded]) -> Iterator[Finding]:
    """Check credentials, our staff member and the names that ``loaded`` routers use; one GET for each list."""
    subject = f"HappyFox ({account.name})"
    try:
        with Store(client) as store:
            lists = fetch_lists(store, account, needed_lists(account, loaded) or list(Directory.LISTS))
    except CheckCredentials as refused:
        pair = f"{account.where('HAPPYFOX_API_KEY')} and {account.where('HAPPYFOX_AUTH_CODE')}"
        fix = f"copy {pair} from Apps > Goodies > API in HappyFox; enable the key there"
        yield error(subject, str(refused), fix)
        return
    except NotNow as closed:
        text = blocked(closed.reason, closed.wait / 1000)
        yield warning(subject, text, "see `foxhooks status` for budget and lockout; try again later")
        return
    except Unsent as unsent:
        yield error(subject, str(unsent), f"check {account.where('HAPPYFOX_URL')} and the network; a proxy is not used")
        return
    except (InDoubt, HappyFoxError) as broken:
        yield error(subject, str(broken), f"try again; if it persists, check {account.where('HAPPYFOX_URL')}")
        return
    yield ok(subject, f"{account.url} accepts the API key")
    yield _staff(subject, lists["staff"], account)
    yield from _times(subject, lists["categories"], account)
    if needed_lists(account, loaded):
        yield from _names(account, loaded, Directory(**lists))


def _names(account: Account, loaded: Sequence[Loaded], directory: Directory) -> Iterator[Finding]:
    """Find names in rules and settings that the account does not know."""
    subjects = set()
    for complaint in unknown_here(account, loaded, directory):
        subject = "handlers" if complaint.setting.startswith("router.") else RULES
        subjects.add(subject)
        yield error(subject, f"{complaint.setting}: {complaint.problem}", complaint.fix)
    if account.rules and RULES not in subjects:
        yield ok(RULES, f"{account.name} knows the names that {account.rules.name} uses")


def _times(subject: str, categories: list[Any], account: Account) -> Iterator[Finding]:
    """Find categories in which HappyFox refuses changes without a time."""
    timed = [one.get("name") for one in categories if isinstance(one, dict) and one.get("time_spent_mandatory") is True]
    if not timed:
        return
    text, setting = (
        f"these categories require a time: {', '.join(map(str, timed))}",
        account.where("HAPPYFOX_TIME_SPENT"),
    )
    if account.time_spent:
        yield ok(subject, f"{text}; calls without one report {account.time_spent} min ({setting})")
    else:
        fix = f"set {setting} to the minutes to report, or pass time_spent in each note, reply and change there"
        yield warning(subject, text, fix)


def _staff(subject: str, staff: list[Any], account: Account) -> Finding:
    number, setting = account.staff_id, account.where("HAPPYFOX_STAFF_ID")
    members = {one.get("id"): one for one in staff if isinstance(one, dict)}
    known = ", ".join(f"{one.get('name')} is {key}" for key, one in members.items()) or "none"
    if (bot := members.get(number)) is None:
        fix = f"set {setting} to the id of a staff member, preferably one for the bot alone ({known})"
        return error(subject, f"no staff member has the id {number} ({setting})", fix)
    if bot.get("active") is False:
        fix = f"activate that staff member, or set {setting} to another one ({known})"
        return error(subject, f"{setting} {number} is {bot.get('name')}, who is not active", fix)
    if bot.get("is_account_admin") is True:
        text = f"{setting} {number} is {bot.get('name')}, an administrator of the account and probably a person"
        return warning(subject, text, f"create a staff member for foxhooks alone and set {setting} to its id")
    return ok(subject, f"changes are made as {bot.get('name')} ({setting} is {number})")
