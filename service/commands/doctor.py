"""`foxhooks doctor`: check everything that can be checked before the first delivery; show how to fix problems."""

import os
import stat
from collections import Counter
from collections.abc import Collection, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import redis
import typer
from redis.connection import SSLConnection, parse_url

from service.commands.format import AsJson, as_argument, blocked, line, plural, print_json
from service.commands.rules import fetch_lists
from service.commands.running import remote_source
from service.commands.store import orphans, waiting
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
from workers.settings import Account, Settings, SettingsError, drafts, is_loopback
from workers.settings.store_url import split_address
from workers.store import access
from workers.store.accounts import find_corrupt
from workers.store.client import MOST_SCRIPT_CONNECTIONS, Store, connect, store_time, url_of
from workers.store.cluster import at_home, is_cluster, nodes_of
from workers.store.connection import check_version
from workers.store.failures import failure
from workers.store.fleet import Fleet, read_fleet
from workers.store.keys import prefix
from workers.store.troubles import find_troubles
from workers.store.usage import FIX, Usage, describe_usage, read_usage

if TYPE_CHECKING:
    from service.reading.remote import RemoteSource

MARKS = {"ok": ("✓ ", "green"), "warning": ("! ", "yellow"), "error": ("✗ ", "red")}

#: The connections that a process of each kind has to the store, and those of a command. A web process that also serves
#: the dashboard or `/metrics` has those of a dashboard, too. A worker process has one more for each of its threads.
CONNECTIONS: Mapping[str, int] = {"web": 4, "worker": 2, "gateway": 5, "dashboard": 12, "command": 2}

STORE = "store"

#: What runs, as the store knows it.
RUNNING = "running"
SEE_SECURITY = "see docs/security.md"

#: The routers of each account.
LoadedByAccount = Mapping[str, Sequence[Loaded]]


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check."""

    level: Literal["ok", "warning", "error"]
    subject: str
    text: str
    fix: str = ""
    """What to do; empty if all is well."""


#: An error prevents foxhooks from working, a warning does not.
ok, warning, error = partial(Finding, "ok"), partial(Finding, "warning"), partial(Finding, "error")


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


def check_address(settings: Settings) -> Iterator[Finding]:
    """Warn of a store on another machine that others could read or write to: it is as powerful as the API key."""
    if settings.redis_url is None:
        return
    where = settings.where("REDIS_URL")
    address = split_address(settings.redis_url)
    options = parse_url(address.url)  # type: ignore[no-untyped-call]
    hosts = [name for name, _ in address.hosts] or [options.get("host", "localhost")]
    host = next((name for name in hosts if not is_loopback(name)), None)
    if "path" in options or host is None:
        return
    if options.get("connection_class") is not SSLConnection:
        text = f"{where} sends everything in the clear to {host}, also what customers wrote and the password"
        yield warning(STORE, text, f"use rediss://, and a network of its own for the store; {SEE_SECURITY}")
    elif options.get("ssl_cert_reqs", "required") == "none" or options.get("ssl_check_hostname") is False:
        text = f"{where} does not verify the certificate of {host}: another server could answer"
        fix = f"remove ssl_cert_reqs=none, or name the issuer of the certificate with ssl_ca_certs=FILE; {SEE_SECURITY}"
        if os.environ.get("DYNO") and host.startswith("ec2-") and host.endswith(".amazonaws.com"):
            fix = f"Heroku's store has a self-signed certificate, so .profile switches the check off; {SEE_SECURITY}"
        yield warning(STORE, text, fix)
    if not options.get("password"):
        text = f"{where} has no password: whoever reaches {host} can act in HappyFox as foxhooks"
        yield warning(STORE, text, f"create a user for foxhooks in the store, and add USER:PASSWORD@; {SEE_SECURITY}")


def check_access(client: redis.Redis, settings: Settings) -> Generator[Finding, None, access.Missing]:
    """Check that the store's user may do all that web and workers do, without doing it; return what it may not."""
    more = [*access.CLUSTER] if is_cluster(client) else []
    more += ["WAIT"] if settings.durability == "replica" else []
    with Store(client) as store:
        missing = access.find_missing(store.run, list(settings.accounts), *more)
    if missing == access.Missing():
        yield ok(STORE, "its user may do all that web and workers need")
    else:
        yield error(STORE, f"{missing}: deliveries or turns fail", missing.fix)
    return missing


def refuse_old(client: redis.Redis) -> None:
    """Raise ``OldServer`` if the store is too old for our functions; one that forbids INFO passes."""
    with suppress(redis.exceptions.ResponseError):
        for node in nodes_of(client):
            check_version(*_version(node.info("server")))


def _version(state: Mapping[str, Any]) -> tuple[str, str]:
    name = "Valkey" if "valkey_version" in state else "Redis"
    return name, str(state.get("valkey_version") or state["redis_version"])


def check_store(client: redis.Redis, settings: Settings) -> Iterator[Finding]:
    """Check a running store, or each node of a cluster; what is true for all nodes is said once."""
    nodes = nodes_of(client)
    yield from _describe_cluster(client, nodes, settings)
    found = {_name(node): list(_check_node(node, settings)) for node in nodes}
    common = [each for each in next(iter(found.values()), []) if all(each in others for others in found.values())]
    yield from common
    for name, findings in found.items():
        yield from (replace(each, text=f"node {name}: {each.text}") for each in findings if each not in common)
    if (usage := read_usage(client)).used is not None:
        yield _memory(usage)


def _name(node: redis.Redis) -> str:
    """Return the address of a node of a cluster."""
    options = node.connection_pool.connection_kwargs
    return f"{options.get('host')}:{options.get('port')}"


def _describe_cluster(client: redis.Redis, nodes: Sequence[redis.Redis], settings: Settings) -> Iterator[Finding]:
    if is_cluster(client):
        homes = (f"{name} on {at_home(client, prefix(name), _name)}" for name in settings.accounts)
        yield ok(STORE, f"it is a cluster of {plural(len(nodes), 'primary', 'primaries')}: {', '.join(homes)}")


def _check_node(client: redis.Redis, settings: Settings) -> Iterator[Finding]:
    """Check a server against FOXHOOKS_DURABILITY and the connections that our processes need."""
    try:
        state: dict[str, Any] = client.info()
    except redis.exceptions.ResponseError as denied:
        yield from _unseen(client, settings, denied)
        return
    yield ok(STORE, f"{' '.join(_version(state))} answers")
    yield _persistence(client, settings, state)
    yield _eviction(state, settings)
    yield _connections(state, settings)


def check_accounts(client: redis.Redis, settings: Settings) -> Iterator[Finding]:
    """Find accounts in the store that no setting names: nobody works there any more."""
    for stored, target in orphans(client, settings):
        name = stored.account
        state = f"its move to {target} was interrupted" if target else "it may have been renamed"
        text = f"no setting names the account {name}, which the store knows ({waiting(stored)}): {state}"
        fix = f"run `foxhooks store move {as_argument(name)} {target or 'NEW'}` to give this to its new name"
        drop = f", or `foxhooks store drop {as_argument(name)}` to delete it"
        yield warning(STORE, text, fix if target else fix + drop)


def check_types(client: redis.Redis, settings: Settings) -> Iterator[Finding]:
    """Find keys of the wrong type, without which commands, deliveries or turns fail."""
    for key, what in find_corrupt(client, settings.accounts):
        yield error(STORE, f"the key {key} {what}", "repair or delete it; another program may use this store")


def _unseen(client: redis.Redis, settings: Settings, denied: redis.exceptions.ResponseError) -> Iterator[Finding]:
    """Check what can be checked without INFO."""
    named = access.named_by(denied, "")
    if named != access.Missing((access.STATE,)) and "unknown command" not in str(denied):
        return  # the connection itself is refused
    fix = f"{named.fix}, or make" if named.commands else "make"
    yield warning(
        STORE,
        f"it does not allow INFO: {access.STATE_UNSEEN}",
        f"{fix} sure yourself that it has appendonly yes and maxmemory-policy noeviction; after a restore, run "
        "`foxhooks store restored`",
    )
    yield _connections({}, settings)
    if settings.durability in ("fsync", "replica") and (
        finding := _fsync(client, settings.where("FOXHOOKS_DURABILITY"))
    ):
        yield finding


def _persistence(client: redis.Redis, settings: Settings, state: dict[str, Any]) -> Finding:
    level, setting = settings.durability, settings.where("FOXHOOKS_DURABILITY")
    if level == "memory":
        return ok(STORE, "FOXHOOKS_DURABILITY=memory: a crash of the store loses accepted events, as you chose")
    if state.get("aof_enabled") != 1:
        fix = f"set appendonly yes there, choose a plan with persistence, or set {setting} to memory"
        text = f"it keeps no append-only file, and FOXHOOKS_DURABILITY is {level}: a crash loses accepted events"
        return error(STORE, text, fix) if level in ("fsync", "replica") else warning(STORE, text, fix)
    if level in ("fsync", "replica") and (finding := _fsync(client, setting)):
        return finding
    if level == "replica":
        return _replicas(int(state.get("connected_slaves", 0)))
    return ok(STORE, f"it keeps an append-only file; a 200 means {level}")


def _replicas(replicas: int) -> Finding:
    if replicas:
        return ok(
            STORE,
            f"it has {plural(replicas, 'replica')}; a 200 means that one of them has the event, and the disk, too",
        )
    fix = "connect a replica (replicaof), or choose another FOXHOOKS_DURABILITY"
    text = "FOXHOOKS_DURABILITY is replica, and no replica is connected: deliveries get a 503, and nothing is written"
    return error(STORE, text, fix)


def _fsync(client: redis.Redis, setting: str) -> Finding | None:
    """Return why the store cannot guarantee fsync, None if it can."""
    why = access.Missing()
    try:
        client.waitaof(0, 0, 0)
        return None
    except redis.exceptions.ResponseError as denied:
        why = access.named_by(denied, "")
    with suppress(redis.exceptions.ResponseError):
        if client.config_get("appendfsync").get("appendfsync") == "always":
            return None
    if why.commands:
        return error(STORE, f"{why}, so fsync cannot be confirmed", f"{why.fix}, or set {setting} to everysec")
    fix = f"use Redis or Valkey 7.2 or newer, set appendfsync always there, or set {setting} to everysec"
    return error(STORE, "it cannot guarantee fsync: it has no WAITAOF, and appendfsync is not always", fix)


def _eviction(state: dict[str, Any], settings: Settings) -> Finding:
    policy = state.get("maxmemory_policy", "")
    if not policy:
        return warning(STORE, "its eviction policy cannot be read", "make sure that maxmemory-policy is noeviction")
    if policy == "noeviction":
        return ok(STORE, "it evicts nothing (maxmemory-policy noeviction)")
    fix = "set maxmemory-policy noeviction there, and use that store for nothing that needs eviction"
    text = f"maxmemory-policy is {policy}: a full store deletes accepted events"
    return warning(STORE, text, fix) if settings.durability == "memory" else error(STORE, text, fix)


def _memory(usage: Usage) -> Finding:
    return warning(STORE, describe_usage(usage), FIX) if usage.is_scarce else ok(STORE, describe_usage(usage))


def _connections(state: Mapping[str, Any], settings: Settings) -> Finding:
    """Compare the connections that machines of each kind need with those that the store allows."""
    web, worker, command = (
        settings.web_concurrency * CONNECTIONS["web"],
        worker_connections(settings),
        CONNECTIONS["command"],
    )
    used, most = state.get("connected_clients"), state.get("maxclients")
    others = ", ".join(f"a {kind} {CONNECTIONS[kind]}" for kind in ("gateway", "dashboard", "command"))
    needs = f"a web machine needs up to {web}, a worker machine {worker}, {others}"
    if most is None:
        known = "its limit is unknown" if used is None else f"{used} are in use, its limit is unknown"
        return ok(STORE, f"connections: {known}; {needs}")
    pairs = max(0, (most - command) // (web + worker))
    room = f"enough for {plural(pairs, 'web and worker machine')} each"
    text = f"connections: {'unknown' if used is None else used} of {most} in use; {needs}: {room}"
    names = [settings.where(name) for name in ("WEB_CONCURRENCY", "FOXHOOKS_PROCESSES", "FOXHOOKS_THREADS")]
    fix = f"lower {', '.join(names[:-1])} or {names[-1]}, or choose a plan with more connections"
    if not pairs:
        return error(STORE, text, fix)
    ours = web + worker + command
    return warning(STORE, text, fix) if max(ours, used or 0) > most * 0.8 else ok(STORE, text)


def worker_connections(settings: Settings) -> int:
    """Return the connections that the processes of a worker machine have to the store."""
    return settings.processes * (min(settings.threads, MOST_SCRIPT_CONNECTIONS) + CONNECTIONS["worker"])


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
