"""A text that never prints itself."""

from typing import Any, NoReturn


class Secret:
    """Wraps a key, password or code so that logs, tracebacks and reports show only asterisks.

    Not a dataclass on purpose: `dataclasses.asdict` would open it. An empty secret is false: not loaded.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Returns the text itself, for the one place that sends or checks it."""
        return self._text

    def __repr__(self) -> str:
        return "Secret('**********')"

    def __bool__(self) -> bool:
        return bool(self._text)

    def __eq__(self, other: object) -> bool:
        return self._text == other._text if isinstance(other, Secret) else NotImplemented

    def __hash__(self) -> int:
        return hash((Secret, self._text))

    def __copy__(self) -> "Secret":
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> "Secret":
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret is not pickled; load the settings again where they are needed")
