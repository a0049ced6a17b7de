"""Deliveries as HappyFox sends them: their signature, their body, and what it says."""

from workers.webhook.bodies import UnreadableBody
from workers.webhook.delivery import LARGEST, Delivery, parse
from workers.webhook.hosts import KnownHosts, known_hosts
from workers.webhook.signature import HEADER, SPELLINGS, Verifier, sign

__all__ = [
    "HEADER",
    "LARGEST",
    "SPELLINGS",
    "Delivery",
    "KnownHosts",
    "UnreadableBody",
    "Verifier",
    "known_hosts",
    "parse",
    "sign",
]
