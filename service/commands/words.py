"""Words of other people, made fit for a terminal."""


def plain(text: str) -> str:
    """Gives a text without what a terminal would obey: control characters become spaces, and so do line ends."""
    return "".join(sign if sign.isprintable() else " " for sign in text)
