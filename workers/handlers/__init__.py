"""The handlers that ship with foxhooks, written only against `workers`."""
