"""Words made fit for a terminal: those of other people, and our own beside a number."""


def plain(text: str) -> str:
    """Gives a text without what a terminal would obey: control characters become spaces, and so do line ends."""
    return "".join(sign if sign.isprintable() else " " for sign in text)


def many(count: int, what: str, does: str = "") -> str:
    """Gives a number with what it counts, and with what that does."""
    one = count == 1
    return f"{count} {what}{'' if one else 's'}" + (f" {does}{'s' if one else ''}" if does else "")


def some(count: int, what: str) -> str:
    """Gives a number with what it counts; none is "no"."""
    return many(count, what) if count else f"no {what}s"
