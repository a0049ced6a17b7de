"""A HappyFox that fits on a laptop: one account in memory, with an injected clock.

`service.processes.simulator` serves it on a socket. It imitates what HappyFox's tickets and contacts articles, KB 1148
on limits, and published clients and receivers describe; whatever nobody knows is a switch in `Options`.
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
