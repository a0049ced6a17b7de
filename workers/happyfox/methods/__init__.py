"""The API as methods, group by group; ``Client`` has all of them."""
