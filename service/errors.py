"""What a command reports when it cannot do its work: what happened, and what to do next."""

import sys


class CommandError(Exception):
    """A command cannot continue; the text is for the person who typed it. The exit code is 1."""


def report(error: Exception) -> bool:
    """Print an error that a person can fix; return False for a bug, which needs its traceback."""
    # Imported here: `foxhooks --help` needs none of it.
    from workers.errors import FoxhooksError
    from workers.settings import SettingsError

    if isinstance(error, SettingsError):
        lines = [f"  - {complaint}" for complaint in error.problems]
        print("These settings need correcting:", *lines, sep="\n", file=sys.stderr)
        return True
    if isinstance(error, CommandError | FoxhooksError):
        print(f"foxhooks: {error}", file=sys.stderr)
        return True
    return False
