"""The names of all keys in the store, with type, lifetime and writer.

All keys of an account share the hash tag ``{account}``, so that an account is one slot of a cluster. ``P`` means
``foxhooks:{account}:``. Times are milliseconds of the store's own clock (``TIME``). ``retention`` is
FOXHOOKS_RETENTION_HOURS, ``dead days`` is FOXHOOKS_DEAD_LETTER_DAYS. Unfinished work is kept ``while used``: it never
expires, because nothing accepted may be lost.

While `foxhooks store move` moves an account to another slot of a cluster, its keys wait as ``P to:{<new name>}:...`` in
the old slot, then as ``P from:{<old name>}:...`` in the new one.

    Key                    Type   Lifetime   Written by  Meaning
    P lane:<ticket>        LIST   while used all         ids of waiting events, oldest first
    P joins:<ticket>       HASH   retention  periodic    schedule, or sweep -> id of its event not yet claimed
    P event:<id>           HASH   retention  all         body (or the first event with the same one), headers, at,
                                                         source, what it reports; a replay is kept until a turn has
                                                         taken it, and a delivery a minute longer
    P body:<digest>        STRING retention  accept      ids of the first event with this body, or of the message of
                                                         another system with this id, and of the last one
    P schedule             ZSET   forever    all         lane -> ms when it may next be claimed
    P schedule:<class>     ZSET   forever    all         lanes that are interactive or normal; the rest is bulk
    P schedule:timers      ZSET   forever    settle      lanes that only wait for a timer -> ms of it; a past
                                                          entry means nothing
    P leases               HASH   while held claim       lane -> token of its lease; @nonce -> that claim's result
    P lease_number         INT    forever    claim       source of the numbers in tokens
    P turn:<ticket>        HASH   while used all         the unfinished turn: plan, journal, claims, what its
                                                          handlers were shown; pending work
    P settling:<ticket>    STRING 1 minute   settle      ms until which new events wait, after a turn that wrote
    P quiet:<ticket>       STRING 11 minutes settle      how many reads brought nothing new, and the ms until which
                                                          deliveries wait whose body was seen before
    P snapshot:<ticket>    STRING 90 days    settle      what we knew about the ticket after its last turn
    P record:<turn>        STRING retention  settle      the settled turn, compressed
    P settled:<turn>       STRING 1 minute   settle      its token, when no claim followed, for a repeated call
    P turns                ZSET   retention  settle      turn -> ms when it was settled
    P history:<ticket>     LIST   retention  settle      what happened to the ticket, in short lines, newest last
    P calls_saved          INT    forever    settle      API calls that folding saved
    P dead_letters         ZSET   dead days    settle      dead letter -> ms; also one for each unreadable lane
    P dead_letter:<id>     HASH   dead days    settle      a dead letter with its evidence
    P held:<id>            LIST   dead days    settle      the emails that the dead letter holds
    P emails:<address>     ZSET   1 day      begin       email to the address or contact (an HMAC) -> ms
    P permits:get          ZSET   forever    permits     permit -> ms when its slot is free again
    P permits:post         ZSET   forever    permits     the same for writes
    P in_flight            ZSET   forever    permits     permit of a call not answered yet -> ms of its deadline
    P gate                 HASH   forever    permits     open, locked, denied, unreachable or probing; epoch
    P creations            ZSET   1 hour     create      effect that creates a ticket -> ms when it began
    P drafts               HASH   1 hour     create      effect -> what its ticket will look like, until it is settled
    P created:<ticket>     STRING retention  settle      we created it: how many were created one from another
    P quarantine           LIST   retention  accept      signed deliveries that could not be read
    P state:<entry>        HASH   366 days    plan        what handlers remember with ctx.store, for as long as they
                                                          say; an entry is a router, a kind and a name
    P hosts                HASH   forever    accept      host that a link named -> ms when it was learned, 20 at most
    P client_writes:<ticket> LIST 7 days     gateway     what clients of the gateway have written to the ticket lately
    P client_calls         STREAM 30 days    gateway     what clients have done, like `audit`; 20,000 lines
    P client_counts        HASH   forever    gateway     how many calls each client has made, and its last one
    P client_key:<digest>  HASH   1 day      gateway     an Idempotency-Key: its request, what began, the answer
    P counts               HASH   forever    accept      deliveries accepted, duplicate, quarantined, refused by reason
    P stats:new            STRING forever    all         what was counted last and is in no hash yet, see
                                                          lua/figures.lua
    P stats:minute:<n>     HASH   26 hours   all         what was counted in that minute since 1970
    P stats:hour:<n>       HASH   35 days    all         the same in that hour
    P stats:totals         HASH   forever    all         the same since the store is in use
    P directory            HASH   1 hour       store_list  reference lists as HappyFox sent them, with the ms of each
    P batches              INT    forever    accept      counts batches, so that every batch writes
    P joins:quarantine     HASH   retention  accept      body digest -> id of a delivery in quarantine
    P paused               HASH   forever    pause       the pauses: account, routers, ticket:<n>; how many
                                                          tickets, and how many pauses have ended
    P waiting_for_resume   SET    forever    settle      lanes with handlers that wait for the end of a pause
    P store_epoch          INT    forever    accept      when this store was first used
    P memory               HASH   forever    claim       the server that wrote here last; since when the memory of
                                                          the store is in doubt, see lua/memory.lua
    P periodic_tasks       HASH   forever    worker      a schedule's handler, or :names -> its state (JSON)
    P matches:<handler>    LIST   7 days     worker      tickets that match its schedule and have no event yet
    P learned              HASH   forever    settle      how changes were learned (delivery or sweep), @, day since 1970
                                                          -> how many; without @ the sum of those before 35 days
    P shapes               HASH   forever    all         digest -> ms and shape of a delivery or an answer (JSON),
                                                          100 at most; more -> how many were not kept; learned, a
                                                          space and what -> ms, digest and value; refused ... -> ms
    P open                 ZSET   forever    worker      open tickets that sweeps have seen -> their number
    P storm                HASH   1 day      worker      since when far more deliveries arrive than usual, and how many
    P missed               LIST   35 days    settle      the last 200 turns with changes that a sweep found (JSON)
    {foxhooks}:workers     HASH   forever    worker      worker process -> ms of its last heartbeat
    {foxhooks}:fleet       HASH   1 day      all         process -> its version, settings and routers (JSON)
    {foxhooks}:fleet_seen  HASH   1 day      all         process -> ms of its last sign of life
    {foxhooks}:watchman    STRING 40 seconds all         the process that judges alerts
    {foxhooks}:alerts      HASH   35 days    all         alert and account -> what people have been told (JSON)
    P audit                STREAM 400 days   all         what people did, see audit.py; 20,000 lines
    P refusals             HASH   30 days    web         likely cause of a wrong signature -> how often; cause@ -> ms
    P job:<job>            STRING 1 day      dashboard   a job or a frozen selection of dead letters (JSON)
    P job_cancelled:<job>  INT    1 day      dashboard   1: the job is to stop
    P keys_used            HASH   30 days    web         label of a signing key -> ms when it last signed
    {foxhooks}:misdirected HASH   30 days    web         why no account could receive a request -> how often; reason@
                                                          -> ms
    {foxhooks}:misdirected_examples
                           ZSET   30 days    web         method and path of the last 20 such requests -> ms
    {foxhooks}:memory_used HASH   8 days      worker      hour -> bytes of memory that the store used
    {foxhooks}:account_log LIST   30 days    store       the last 20 moves and drops of accounts: who, when, what (JSON)
    {foxhooks}:session:<digest>
                           STRING 12 hours    dashboard   a person who is logged in (JSON)
    {foxhooks}:login:<digest>
                           INT    15 minutes  dashboard   how often a name and address, or an address, failed to log in
    {foxhooks}:wake        LIST   1 element  web, worker wakes an idle worker; a lost element costs one poll

Events, turns, dead letters, journal entries, plans, records and snapshots contain the number of their format, for later
versions.
"""

import re
from functools import cache

#: The list that every worker waits on: one, because keys of several accounts are in several slots of a cluster.
WAKE = "{foxhooks}:wake"

#: Worker processes and their last heartbeats. A worker is dead when its heartbeat is older than WORKER_LIFE (ms).
WORKERS = "{foxhooks}:workers"
WORKER_LIFE = 30_000

#: What each process says about itself, and its last sign of life, see fleet.py.
FLEET = "{foxhooks}:fleet"
FLEET_SEEN = "{foxhooks}:fleet_seen"

#: The process that judges alerts, and what people have been told.
WATCHMAN = "{foxhooks}:watchman"
ALERTS = "{foxhooks}:alerts"

#: How much memory the store has used, by hour.
MEMORY_USED = "{foxhooks}:memory_used"

#: The requests that look like webhooks but that no account could receive, and examples of them.
MISDIRECTED = "{foxhooks}:misdirected"
MISDIRECTED_EXAMPLES = "{foxhooks}:misdirected_examples"

#: What people have done with whole accounts.
ACCOUNT_LOG = "{foxhooks}:account_log"

#: How the keys begin of the people who are logged in to the dashboard, and of those who failed to.
_SESSION, _LOGIN = "{foxhooks}:session:", "{foxhooks}:login:"

#: All keys that no account has of its own, and those of an account, as in the table above, with their types.
SHARED = {
    WAKE: "list",
    WORKERS: "hash",
    FLEET: "hash",
    FLEET_SEEN: "hash",
    WATCHMAN: "string",
    ALERTS: "hash",
    MISDIRECTED: "hash",
    MISDIRECTED_EXAMPLES: "zset",
    ACCOUNT_LOG: "list",
    MEMORY_USED: "hash",
    _SESSION + "<digest>": "string",
    _LOGIN + "<digest>": "string",
}
KINDS = {
    "lane:<ticket>": "list",
    "joins:<ticket>": "hash",
    "event:<id>": "hash",
    "body:<digest>": "string",
    "schedule": "zset",
    "schedule:<class>": "zset",
    "schedule:timers": "zset",
    "leases": "hash",
    "lease_number": "string",
    "turn:<ticket>": "hash",
    "settling:<ticket>": "string",
    "quiet:<ticket>": "string",
    "snapshot:<ticket>": "string",
    "record:<turn>": "string",
    "settled:<turn>": "string",
    "turns": "zset",
    "history:<ticket>": "list",
    "calls_saved": "string",
    "dead_letters": "zset",
    "dead_letter:<id>": "hash",
    "held:<id>": "list",
    "emails:<address>": "zset",
    "permits:get": "zset",
    "permits:post": "zset",
    "in_flight": "zset",
    "gate": "hash",
    "creations": "zset",
    "drafts": "hash",
    "created:<ticket>": "string",
    "quarantine": "list",
    "state:<entry>": "hash",
    "hosts": "hash",
    "client_writes:<ticket>": "list",
    "client_calls": "stream",
    "client_counts": "hash",
    "client_key:<digest>": "hash",
    "counts": "hash",
    "stats:new": "string",
    "stats:minute:<n>": "hash",
    "stats:hour:<n>": "hash",
    "stats:totals": "hash",
    "directory": "hash",
    "batches": "string",
    "joins:quarantine": "hash",
    "paused": "hash",
    "waiting_for_resume": "set",
    "store_epoch": "string",
    "memory": "hash",
    "periodic_tasks": "hash",
    "matches:<handler>": "list",
    "learned": "hash",
    "shapes": "hash",
    "open": "zset",
    "storm": "hash",
    "missed": "list",
    "audit": "stream",
    "refusals": "hash",
    "job:<job>": "string",
    "job_cancelled:<job>": "string",
    "keys_used": "hash",
}


#: Matches the keys of all accounts.
ANY_ACCOUNT = "foxhooks:{*}:*"

#: A pattern that matches the keys that a move to another slot of a cluster has copied, but has not put in place yet.
ARRIVALS = "foxhooks:{*}:from:{*}:*"


def pattern(account: str) -> str:
    """Return a pattern that matches the keys of an account, whatever its name is, and no others."""
    return re.sub(r"([*?\[\]\\^-])", r"\\\1", prefix(account)) + "*"


@cache
def prefix(account: str) -> str:
    """Return the prefix of all keys of an account."""
    return f"foxhooks:{{{account}}}:"


def leaving(account: str, to: str) -> str:
    """Return what takes the place of an account's name while it waits in its own slot for a move to another one."""
    return f"{account}}}:to:{{{to}"


def arriving(account: str, of: str) -> str:
    """Return what takes the place of the name of a moved account while it waits in the slot of its new name."""
    return f"{account}}}:from:{{{of}"


def account_of(key: str) -> str:
    """Return the account of a key that matches ``ANY_ACCOUNT``; what is being moved is still that of the old name."""
    name, _, rest = key.removeprefix("foxhooks:{").partition("}:")
    return rest.removeprefix("from:{").partition("}:")[0] if rest.startswith("from:{") else name


def names(account: str) -> tuple[str, ...]:
    """Return one key of each kind of an account."""
    return tuple(prefix(account) + re.sub("<.+?>", "1", kind) for kind in KINDS)


def session(digest: str) -> str:
    """Return the key of a person who is logged in."""
    return _SESSION + digest


def failed_logins(digest: str) -> str:
    """Return the key of the failed logins of a name and address, or of an address."""
    return _LOGIN + digest


class Keys:
    """The names of the keys that Python code uses; the table above documents them."""

    def __init__(self, account: str) -> None:
        self.prefix = start = prefix(account)
        self.schedule = start + "schedule"
        self.timers = start + "schedule:timers"
        self.leases = start + "leases"
        self.turns = start + "turns"
        self.calls_saved = start + "calls_saved"
        self.dead_letters = start + "dead_letters"
        self.gate = start + "gate"
        self.quarantine = start + "quarantine"
        self.quarantine_joins = start + "joins:quarantine"
        self.counts = start + "counts"
        self.hosts = start + "hosts"
        self.audit = start + "audit"
        self.client_calls = start + "client_calls"
        self.client_counts = start + "client_counts"
        self.refusals = start + "refusals"
        self.keys_used = start + "keys_used"
        self.directory = start + "directory"
        self.paused = start + "paused"
        self.waiting_for_resume = start + "waiting_for_resume"
        self.store_epoch = start + "store_epoch"
        self.memory = start + "memory"
        self.periodic_tasks = start + "periodic_tasks"
        self.learned = start + "learned"
        self.missed = start + "missed"
        self.shapes = start + "shapes"
        self.storm = start + "storm"

    def lane(self, ticket: int | str) -> str:
        """Return the key of a ticket's waiting events."""
        return f"{self.prefix}lane:{ticket}"

    def event(self, event: str) -> str:
        """Return the key of an event."""
        return f"{self.prefix}event:{event}"

    def turn(self, ticket: int) -> str:
        """Return the key of a ticket's unfinished turn and pending work."""
        return f"{self.prefix}turn:{ticket}"

    def snapshot(self, ticket: int) -> str:
        """Return the key of what we knew about a ticket after its last turn."""
        return f"{self.prefix}snapshot:{ticket}"

    def record(self, turn: str) -> str:
        """Return the key of a settled turn's record."""
        return f"{self.prefix}record:{turn}"

    def history(self, ticket: int) -> str:
        """Return the key of a ticket's history."""
        return f"{self.prefix}history:{ticket}"

    def held(self, dead_letter: str) -> str:
        """Return the key of the emails that a dead letter holds."""
        return f"{self.prefix}held:{dead_letter}"

    def emails(self, address: str) -> str:
        """Return the key of the emails to an address, given as an HMAC."""
        return f"{self.prefix}emails:{address}"

    def job(self, job: str) -> str:
        """Return the key of a job of the dashboard."""
        return f"{self.prefix}job:{job}"

    def job_cancelled(self, job: str) -> str:
        """Return the key that says that a job is to stop."""
        return f"{self.prefix}job_cancelled:{job}"

    def dead_letter(self, dead_letter: str) -> str:
        """Return the key of a dead letter's evidence."""
        return f"{self.prefix}dead_letter:{dead_letter}"
