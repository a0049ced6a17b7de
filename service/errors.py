"""What a command reports when it cannot do its work: what happened, and what to do next."""


class CommandError(Exception):
    """A command cannot continue; the text is for the person who typed it. The exit code is 1."""
