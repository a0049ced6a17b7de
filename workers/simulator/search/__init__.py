"""Finding and ordering: the `q` grammar of tickets and contacts, and the sort codes."""
