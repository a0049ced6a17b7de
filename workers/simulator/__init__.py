"""A simulated HappyFox: one account in memory, with an injected clock.

`service.processes.simulator` serves it over HTTP. It imitates what HappyFox's articles about tickets, contacts and
limits (KB 1148) describe, and what published clients and receivers do. Behavior that is not documented is a switch in
`Options`.
"""

from workers.simulator.faults import ApiFault, HookFault
from workers.simulator.http import ApiRequest, ApiResponse, LoggedCall
from workers.simulator.options import Options
from workers.simulator.simulator import PendingCall, Simulator
from workers.simulator.webhooks import Hook, WebhookDelivery

__all__ = [
    "ApiFault",
    "ApiRequest",
    "ApiResponse",
    "Hook",
    "HookFault",
    "LoggedCall",
    "Options",
    "PendingCall",
    "Simulator",
    "WebhookDelivery",
]
