"""Lanes: the truth in Redis. Events waiting, leases, turns, records; every script lives here."""
