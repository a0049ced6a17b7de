"""Calls of other programs: what they may do, and how each is performed beside the engine's own work."""
