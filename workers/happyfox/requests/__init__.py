"""How each call of the API looks, group by group: pure functions that build requests."""
