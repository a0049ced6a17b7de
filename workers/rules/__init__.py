"""Conditions, shared by the shipped handlers and the rules file."""
