"""What a command says when it cannot do its work: what happened, and what to do next."""

import sys


class CommandError(Exception):
    """A command cannot go on; the text is for the person who typed it. It ends with exit code 1."""


def report(error: Exception) -> bool:
    """Prints an error that a person can act on; False for a mistake of ours, which needs its traceback."""
    # Imported here: `foxhooks --help` needs none of it.
    from workers.errors import FoxhooksError
    from workers.settings import SettingsError

    if isinstance(error, SettingsError):
        lines = [f"  - {complaint}" for complaint in error.complaints]
        print("These settings need correcting:", *lines, sep="\n", file=sys.stderr)
        return True
    if isinstance(error, CommandError | FoxhooksError):
        print(f"foxhooks: {error}", file=sys.stderr)
        return True
    return False
