"""The engine under a seeded schedule of workers, people and faults, and checkers over what happened."""
