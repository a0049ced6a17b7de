"""Turns: from changes to intents, from intents to a plan, from the plan to effects. Pure."""
