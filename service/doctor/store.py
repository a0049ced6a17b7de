"""Looks at the store: is it there, does it keep what it accepted, are there enough connections."""

from collections.abc import Iterator
from typing import Any

import redis

from service.doctor.finding import Finding, error, ok, warning
from workers.settings import Settings

#: Connections of one process: the web process's, the worker's, and those of a person's commands.
WEB, WORKER, PERSON = 3, 5, 2

STORE = "store"


def look(client: redis.Redis, settings: Settings) -> Iterator[Finding]:
    """Judges a store that answers against FOXHOOKS_DURABILITY and the connections our processes take."""
    server: dict[str, Any] = client.info("server")
    name = "Valkey" if "valkey_version" in server else "Redis"
    yield ok(STORE, f"{name} {server.get('valkey_version') or server['redis_version']} answers")
    yield _persistence(client, settings)
    yield _eviction(client.info("memory"), settings)
    yield _connections(client.info("clients"), settings)


def _persistence(client: redis.Redis, settings: Settings) -> Finding:
    level = settings.durability
    if level == "memory":
        return ok(STORE, "FOXHOOKS_DURABILITY=memory: a crash of the store loses what was accepted, as you chose")
    if client.info("persistence").get("aof_enabled") != 1:
        cure = "set appendonly yes there, take a plan with persistence, or choose FOXHOOKS_DURABILITY=memory"
        text = f"it keeps no append-only file, and FOXHOOKS_DURABILITY is {level}: a crash of it loses accepted events"
        return error(STORE, text, cure) if level == "fsync" else warning(STORE, text, cure)
    if level == "fsync" and not _can_fsync(client):
        cure = "take Redis or Valkey 7.2 or newer, set appendfsync always there, or FOXHOOKS_DURABILITY=everysec"
        return error(STORE, "it cannot promise fsync: it knows no WAITAOF, and appendfsync is not always", cure)
    return ok(STORE, f"it keeps an append-only file; a 200 means {level}")


def _can_fsync(client: redis.Redis) -> bool:
    try:
        client.waitaof(0, 0, 0)
    except redis.exceptions.ResponseError:
        pass
    else:
        return True
    try:
        return bool(client.config_get("appendfsync").get("appendfsync") == "always")
    except redis.exceptions.ResponseError:
        return False


def _eviction(memory: dict[str, Any], settings: Settings) -> Finding:
    policy = memory.get("maxmemory_policy", "")
    if not policy:
        return warning(STORE, "its eviction policy may not be read", "make sure that maxmemory-policy is noeviction")
    if policy == "noeviction":
        return ok(STORE, "it evicts nothing (maxmemory-policy noeviction)")
    cure = "set maxmemory-policy noeviction there, and use that store for nothing that needs eviction"
    text = f"maxmemory-policy is {policy}: a full store throws accepted events away"
    return warning(STORE, text, cure) if settings.durability == "memory" else error(STORE, text, cure)


def _connections(clients: dict[str, Any], settings: Settings) -> Finding:
    ours = settings.web_concurrency * WEB + settings.processes * WORKER + PERSON
    most = clients.get("maxclients")
    if most is None:
        return ok(STORE, f"our processes take up to {ours} connections; how many it allows may not be read")
    text = f"one web and one worker machine take up to {ours} of its {most} connections"
    cure = "lower WEB_CONCURRENCY or FOXHOOKS_PROCESSES, or take a plan with more connections"
    if ours > most:
        return error(STORE, text, cure)
    return warning(STORE, text, cure) if ours > most * 0.8 else ok(STORE, text)
