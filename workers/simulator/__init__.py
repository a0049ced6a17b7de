"""A HappyFox that fits on a laptop: one account, pure, driven by an injected clock.

`service.processes.simulator` puts it on a socket. Sources of what it imitates: HappyFox's tickets and contacts
articles, KB 1148 on limits, and clients and receivers published by others; what nobody knows is a switch in
`Options`.
"""

from workers.simulator.exchange import Call, Request, Response
from workers.simulator.faults import Fault, HookFault
from workers.simulator.hooks import Delivery, Hook
from workers.simulator.options import Options
from workers.simulator.pipeline import Pending
from workers.simulator.simulator import Simulator

__all__ = [
    "Call",
    "Delivery",
    "Fault",
    "Hook",
    "HookFault",
    "Options",
    "Pending",
    "Request",
    "Response",
    "Simulator",
]
