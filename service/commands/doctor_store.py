"""The checks of the store that `foxhooks doctor` makes: its address and user, durability, limits, and what it holds."""

import os
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import redis
from redis.connection import SSLConnection, parse_url

from service.commands.findings import Finding, error, ok, warning
from service.commands.format import as_argument, plural
from service.commands.store import orphans, waiting
from workers.settings import Settings, is_loopback
from workers.settings.store_url import split_address
from workers.store import access
from workers.store.accounts import find_corrupt
from workers.store.client import MOST_SCRIPT_CONNECTIONS, Store
from workers.store.cluster import at_home, is_cluster, nodes_of
from workers.store.connection import check_version
from workers.store.failures import REPAIR
from workers.store.keys import prefix
from workers.store.unreadable import find_unreadable
from workers.store.usage import FIX, Usage, describe_usage, read_usage

#: The connections that a process of each kind has to the store, and those of a command. A web process that also serves
#: the dashboard or `/metrics` has those of a dashboard, too. A worker process has one more for each of its threads.
CONNECTIONS: Mapping[str, int] = {"web": 4, "worker": 2, "gateway": 5, "dashboard": 12, "command": 2}

STORE = "store"
SEE_SECURITY = "see docs/security.md"


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
    """Find keys that are corrupt, without which commands, deliveries or turns fail."""
    corrupt = dict(find_corrupt(client, settings.accounts))
    for key, what in corrupt.items():
        yield error(STORE, f"the key {key} {what}", "repair or delete it; another program may use this store")
    for key in sorted({*find_unreadable(client, settings.accounts)} - corrupt.keys()):
        yield error(STORE, f"what the key {key} has cannot be read", REPAIR)


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
