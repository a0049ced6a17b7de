"""The engine, and what an author of handlers imports."""
