"""The commands: each module owns the options and the output of its own."""
