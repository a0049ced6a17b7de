"""Write docs/commands.md from the commands themselves: python -m tests.support.command_page."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parents[2] / "docs" / "commands.md"

HEAD = """\
# Commands

`foxhooks COMMAND --help` shows the same in the terminal. Every listing has `--json`. A command exits with 0 when it is
done, with 1 when it failed, and with 2 when it was used in a wrong way. Wherever a ticket is named, its number and its
display id both work.

<!-- Written by `python -m tests.support.command_page`; a test compares it with the commands. -->
"""


def page() -> str:
    """Return the page."""
    from service.cli import COMMANDS, load

    return HEAD + "\n".join(line for name in sorted(COMMANDS) for line in _sections(load(name), name)) + "\n"


def _sections(command: Any, path: str) -> Iterator[str]:
    """Yield the section of a command, and those of its subcommands."""
    yield f"\n{'##' if ' ' not in path else '###'} {path}\n"
    yield _text(command.help)
    if children := getattr(command, "commands", None):
        for name in sorted(children):
            yield from _sections(children[name], f"{path} {name}")
        return
    yield f"\n    foxhooks {path} {_usage(command)}".rstrip()
    if options := list(_options(command)):
        yield "\n| Option | Meaning |\n|---|---|"
        yield from (f"| {names} | {meaning} |" for names, meaning in options)


def _usage(command: Any) -> str:
    arguments = [each for each in command.params if each.param_type_name == "argument" and not each.hidden]
    words = [_name(each) if each.required else f"[{_name(each)}]" for each in arguments]
    return " ".join([*words, "[OPTIONS]"] if len(list(_options(command))) > len(arguments) else words)


def _options(command: Any) -> Iterator[tuple[str, str]]:
    for each in command.params:
        if each.hidden or "--help" in each.opts:
            continue
        if each.param_type_name == "argument":
            yield f"`{_name(each)}`", _text(each.help)
            continue
        value = "" if each.is_flag else f" {each.metavar or each.name.upper()}"
        yield ", ".join(f"`{name}{value}`" for name in (*each.opts, *each.secondary_opts)), _text(each.help)


def _name(argument: Any) -> str:
    return str(argument.metavar or argument.name).upper()


def _text(text: str | None) -> str:
    """Return a help text for Markdown, with its paragraphs; in a table it has only one."""
    return (text or "").strip().replace("\b\n", "").replace("|", "\\|").replace("<", "&lt;")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
