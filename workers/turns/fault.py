"""Faults: an exception of a plug-in that is being loaded, told by its type, its words and the line of the plug-in."""

import traceback
from pathlib import Path

OWN = Path(__file__).parents[1]


def fault(error: BaseException) -> str:
    """Tells the exception and where in the plug-in it came from.

    For loading only: an exception of a handler that runs may hold a customer's words.
    """
    words = str(error).partition("\n")[0]
    if isinstance(error, SyntaxError):
        words = error.msg
    said = f"{type(error).__name__}: {words}" if words else type(error).__name__
    return f"{said} ({where})" if (where := _line(error)) else said


def _line(error: BaseException) -> str:
    """The last line of the plug-in's own folder in the traceback, `file:line`; empty when it never got there."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}"
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith("<")
        and OWN not in Path(frame.filename).parents
        and Path(frame.filename).parent.name != "importlib"
    ]
    if not frames:
        return ""
    home = Path(frames[0].filename).parent
    last = [frame for frame in frames if Path(frame.filename).parent == home][-1]
    return f"{last.filename}:{last.lineno}"
