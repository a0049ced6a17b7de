"""HappyFox's objects as frozen values: tickets, rows, contacts, staff, reference data."""
