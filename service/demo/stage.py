"""The stage of the demo: a folder of its own, free ports, fresh secrets, and the settings file that names them."""

import os
import secrets
import socket
from dataclasses import dataclass
from pathlib import Path

from service.processes.child import Child

ACCOUNT = "demo"
#: The staff member of the simulated account that we write as.
STAFF = 7
LOOPBACK = "127.0.0.1"

#: What the demo's handlers are told: three that ship, each with a table of matches.
HANDLERS = """\
handlers = [
    "workers.handlers.auto_tag:router",
    "workers.handlers.private_note:router",
    "workers.handlers.staff_update:router",
]

[permissions]
staff-update = ["reply"]                # answering a customer needs a grant

[router.auto-tag]
match = [
    { text = "refund|chargeback", tags = ["refund"] },
    { contact_domain = "bigcorp.example", tags = ["vip"] },
]

[router.private-note]
match = [
    { on = "ticket-created", contact_domain = "bigcorp.example", note = "VIP contact: answer within the hour." },
]

[router.staff-update]
match = [
    { on = "contact-replied", status = "Closed", set.status = "In Progress", reply = "Thank you, we are on it again." },
    { on = "smart-rule", rule = "Unresponded for 60 min", set = { assignee = "Ada King", priority = "High" } },
]
"""

ACCOUNT_TABLE = """
[accounts.{account}]
url = "{happyfox}"
api_key = "{key}"
auth_code = "{code}"
webhook_secrets = ["{secret}"]
staff_id = {staff}
"""

#: Variables of a person's own settings, none of which may reach the demo.
OURS = ("FOXHOOKS_", "HAPPYFOX_")
COMMON = {"HOST", "LOG_FORMAT", "LOG_LEVEL", "PORT", "REDIS_URL", "SENTRY_DSN", "WEB_CONCURRENCY"}


@dataclass(frozen=True, slots=True)
class Stage:
    """Where the demo plays."""

    folder: Path
    web: str
    """Address of the web process."""
    happyfox: str
    """Address of the simulated HappyFox."""
    key: str
    code: str
    secret: str

    @property
    def hook(self) -> str:
        """The URL a person would enter as the webhook's."""
        return f"{self.web}/webhooks/{ACCOUNT}/"

    def children(self) -> list[Child]:
        """Gives the parts, in the order they start and end; the simulated HappyFox outlives the worker."""
        environ = environment()
        return [Child(name, arguments, environ, self.folder) for name, arguments in self._commands().items()]

    def _commands(self) -> dict[str, list[str]]:
        where = ["--host", LOOPBACK, "--port", self.happyfox.rpartition(":")[2]]
        who = ["--account", ACCOUNT, "--key", self.key, "--code", self.code]
        hook = ["--hook", self.hook, "--secret", self.secret]
        return {"web": ["web"], "worker": ["worker"], "simulator": ["simulator", *where, *who, *hook]}


def build(folder: Path, handlers: str = HANDLERS) -> Stage:
    """Sets the stage in an empty folder: chooses ports and secrets and writes foxhooks.toml."""
    web, happyfox = free_ports(2)
    stage = Stage(
        folder,
        f"http://{LOOPBACK}:{web}",
        f"http://{LOOPBACK}:{happyfox}",
        *(secrets.token_hex(8) for _ in range(3)),
    )
    top = f'port = {web}\nhost = "{LOOPBACK}"\nlog_format = "console"\n'
    table = ACCOUNT_TABLE.format(
        account=ACCOUNT,
        happyfox=stage.happyfox,
        key=stage.key,
        code=stage.code,
        secret=stage.secret,
        staff=STAFF,
    )
    (folder / "foxhooks.toml").write_text(top + handlers + table)
    return stage


def environment() -> dict[str, str]:
    """Gives this process's environment without a setting of foxhooks in it."""
    return {name: value for name, value in os.environ.items() if not name.startswith(OURS) and name not in COMMON}


def free_ports(count: int) -> list[int]:
    """Finds free ports of the loopback address, all different."""
    listeners = [socket.create_server((LOOPBACK, 0)) for _ in range(count)]
    ports = [listener.getsockname()[1] for listener in listeners]
    for listener in listeners:
        listener.close()
    return ports
