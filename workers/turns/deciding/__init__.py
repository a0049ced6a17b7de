"""Deciding: every handler is asked once, and what they want becomes a plan. Pure."""
