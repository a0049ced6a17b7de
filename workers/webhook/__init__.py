"""Deliveries as HappyFox sends them: their signature, their body, and what it says."""

from workers.webhook.bodies import UnreadableBody
from workers.webhook.delivery import LARGEST, Delivery, parse
from workers.webhook.signature import HEADER, SPELLINGS, Verifier, sign

__all__ = ["HEADER", "LARGEST", "SPELLINGS", "Delivery", "UnreadableBody", "Verifier", "parse", "sign"]
