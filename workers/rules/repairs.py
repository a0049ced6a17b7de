"""Repair a line of a rules file that is not TOML: each repair rewrites it as its author may have meant it.

Authors know YAML, JSON, other languages and word processors, and forget quotes, commas and brackets. A repair is only a
guess; whether TOML accepts it is checked where mistakes are explained.
"""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from workers.rules import terms
from workers.rules.conditions import CONDITIONS
from workers.rules.rule import RULE_KEYS
from workers.rules.terms import meant

#: How many lines before the reported one may contain the mistake: an open bracket is noticed late.
ABOVE: Final = 12

#: A line that is meant to begin a rule.
HEADER: Final = re.compile(r"\s*(?:-\s*)?\[?\s*\[?\s*[\"']?rules?[\"']?\s*\]{0,3}\s*\]?\s*:?\s*")

_TEXTS: Final = re.compile(r"""("(?:[^"\\]|\\.)*"|'[^']*')""")
_ASSIGNED: Final = re.compile(r"""(?P<key>\s*(?:[^=#"']|"[^"]*"|'[^']*')*?)(?P<sign>\s*=\s*)(?P<value>.*)""")
_COMMENT: Final = re.compile(r"""((?:[^#"']|"(?:[^"\\]|\\.)*"|'[^']*')*?)(\s*#.*)?""")
_YAML: Final = re.compile(
    r"""\s*(?P<item>- +)?(?P<key>"[^"]*"|'[^']*'|[\w.\- ]+?)\s*:(?:\s+(?P<value>.*)|(?=["'\[{])(?P<near>.*))?"""
)
_ITEM: Final = re.compile(r"\s*-\s+(.+)")
_BARE_KEY: Final = re.compile(r"[A-Za-z0-9_-]+")
_PLAIN: Final = re.compile(r"(?:true|false|[+-]?\d+(?:\.\d+)?|\d{4}-\d\d-\d\d)")
_DAY: Final = re.compile(r"(\d\d?)([./-])(\d\d?)\2(\d{4})")
_DURATION: Final = re.compile(r"\d+ ?(?:s|m|h|d|w)\w*")
_INVISIBLE: Final = re.compile("[\u00a0\u2000-\u200b\u202f\u2060\u3000\ufeff]")
_DOUBLE_QUOTES: Final = re.compile("[\u201c-\u201f\u00ab\u00bb\uff02]")
_SINGLE_QUOTES: Final = re.compile("[\u2018-\u201b\u00b4`]")
_BOOLEANS: Final = {
    **dict.fromkeys(("true", "yes", "on", "enabled"), "true"),
    **dict.fromkeys(("false", "no", "off", "disabled"), "false"),
    **dict.fromkeys(("null", "none", "nil", "~"), '""'),
}

Rows = Sequence[str]


@dataclass(frozen=True, slots=True)
class Repair:
    """A line, and perhaps those after it, as they may have been meant."""

    mistake: str
    rows: tuple[str, ...]
    """They replace as many rows."""
    fix: str = ""
    """What to write, if it is not simply the first row."""


# Repairs of characters


def _invisible(rows: Rows, at: int) -> Iterator[Repair]:
    plain = "".join(
        part if number % 2 else _INVISIBLE.sub(" ", part) for number, part in enumerate(_TEXTS.split(rows[at]))
    )
    if plain != rows[at]:
        yield Repair("an invisible character, such as a no-break space, is where a blank belongs", (plain,))


def _curly(rows: Rows, at: int) -> Iterator[Repair]:
    doubled = _DOUBLE_QUOTES.sub('"', rows[at])
    for row in (doubled, _SINGLE_QUOTES.sub("'", doubled), _SINGLE_QUOTES.sub('"', doubled)):
        if row != rows[at]:
            yield Repair("it has typographic quotes, which a word processor or a website made", (row,))


def _comment(rows: Rows, at: int) -> Iterator[Repair]:
    row = re.sub(r"""^((?:[^"']|"[^"]*"|'[^']*')*?)(?://|/\*|<!--|--|;|%)(?=\s|\w)""", r"\1#", rows[at], count=1)
    if row != rows[at]:
        yield Repair("a comment begins with #", (re.sub(r"\s*(?:\*/|-->)\s*$", "", row),))


def _sign(rows: Rows, at: int) -> Iterator[Repair]:
    found = re.fullmatch(r"""(\s*)([\w."' -]+?)\s*(===?|:=|=>|=~|~=|->|\+=|!=|<>|:\s*=|is|eq)\s*(\S.*)""", rows[at])
    if found is None or (found[3] in ("is", "eq") and not rows[at][: found.start(3)].endswith(" ")):
        return
    indent, key, sign, value = found.groups()
    if sign in ("!=", "<>") and not key.startswith("set"):
        head, _, last = key.rpartition(".")
        row = f"{indent}{head}{'.' if head else ''}not_{last} = {_value(value)}"
        yield Repair(f"TOML has no {sign}; not_ before a condition negates it", (row,))
    else:
        yield Repair(f"a key and its value have = between them, not {sign}", (f"{indent}{key} = {_value(value)}",))


def _boolean(rows: Rows, at: int) -> Iterator[Repair]:
    head, value, tail = _split(rows[at])
    meant = _BOOLEANS.get(value.lower())
    if head and meant and (value.lower() not in ("on", "off") or "once" in head):
        what = "an empty text means none" if meant == '""' else "true and false are in lower case"
        yield Repair(f"{value} is no value in TOML; {what}", (f"{head}{meant}{tail}",))


def _after_value(rows: Rows, at: int) -> Iterator[Repair]:
    head, value, tail = _split(rows[at])
    if re.fullmatch(r"\s*\{.*\}", rows[at]):
        yield Repair("a comma is missing", (f"{rows[at]},",))
    if head and value.rstrip().endswith((",", ";", ".")):
        yield Repair("something follows the value", (f"{head}{value.rstrip().rstrip(',;.')}{tail}",))


def _two_keys(rows: Rows, at: int) -> Iterator[Repair]:
    head, value, _ = _split(rows[at])
    two = re.fullmatch(r"""(.*?["'\]}\w])\s*[,;]?\s+(?:(and|or|&&|\|\|)\s+)?[\w."]+\s*=.*""", value, re.IGNORECASE)
    if head and two:
        fix = "write each key on a line of its own"
        if (two[2] or "").lower() in ("or", "||"):
            fix = 'if one of several conditions is enough, write when.any = [{ tag = "vip" }, { status = "New" }]'
        yield Repair("two keys are on one line", (f"{head}{two[1]}",), fix)


# Repairs of keys and headers


def _header(rows: Rows, at: int) -> Iterator[Repair]:
    if HEADER.fullmatch(rows[at]):
        yield Repair("each rule begins with [[rule]]", ("[[rule]]",))
    elif found := re.fullmatch(r"\s*\[\[?\s*rules?\s*\]\]?\s+([^#\s].*=.*)", rows[at]):
        yield Repair(
            "two lines are on one", ("[[rule]]",), f"write [[rule]] on a line of its own, and below it {found[1]}"
        )
    elif found := re.fullmatch(r"(\s*\[)\s*([\w.\"' -]+?)\s*", rows[at]):
        yield Repair("a bracket is missing", (f"{found[1]}{found[2]}]",))


def _yaml(rows: Rows, at: int) -> Iterator[Repair]:
    """Rewrite a line of YAML or JSON, or a list of YAML that begins in it."""
    found = _YAML.fullmatch(_split_comment(rows[at])[0].rstrip())
    if found is None or "=" in found["key"]:
        if rows[at].strip() in ("{", "}", "---", "...", "},", "[", "]"):
            yield Repair("this is JSON or YAML, not TOML", ("",), "remove the line; write each key as key = value")
        return
    value = (found["value"] or found["near"] or "").strip().rstrip(",").rstrip()
    indent = rows[at][: len(rows[at]) - len(rows[at].lstrip())]
    key, named = _key(found["key"].strip("\"'")), "this line is YAML or JSON; TOML writes key = value"
    inner = _indented(rows, at)
    items = [item[1] for row in inner if (item := _ITEM.fullmatch(row))]
    if value in ("[", "{"):
        yield Repair("this is JSON or YAML, not TOML", ("",), "write each rule below [[rule]], each key as key = value")
    elif value and value not in ("|", ">", "|-", ">-"):
        row = f"{key} = {_value(value)}"
        begins = "write [[rule]] on a line of its own, and below it " if found["item"] and key == "name" else "write "
        yield Repair(named, (indent + row,), begins + row)
    elif value:
        texts = [*(row.strip() for row in inner[:-1]), f'{inner[-1].strip()}"""'] if inner else []
        yield Repair(named, (f'{key} = """', *texts), f'write {key} = """ before the text, and """ after it')
    elif items and len(items) == len(inner):
        row = f"{key} = [{', '.join(_value(item) for item in items)}]"
        yield Repair(named, (row, *("" for _ in inner)))
    elif inner and key in ("when", "set"):
        nested = [next((each.rows[0] for each in _yaml([f"{key}.{row.strip()}"], 0)), "") for row in inner]
        if all(nested):
            yield Repair(named, ("", *nested), f"write {' and '.join(nested)}, without a line {key}:")
    elif inner and (meaning := meant(key, terms.KEYS)):
        yield Repair(named, ("",), meaning)
    elif not inner:
        yield from _unquoted([f"{indent}{key} ="], 0)


def _json(rows: Rows, at: int) -> Iterator[Repair]:
    """Rewrite an object of JSON that is on one line."""
    try:
        table = json.loads(rows[at].strip().rstrip(","))
    except (ValueError, RecursionError):
        return
    if isinstance(table, dict) and table:
        keys = ", then ".join(f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in _flat(table))
        fix = f"write [[rule]] on a line of its own, and below it, each on its own, {keys}"
        yield Repair("this is JSON, not TOML", ("",), fix)


def _flat(table: dict[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the values of nested tables with their keys in dots."""
    for key, value in table.items():
        path = f"{above}{_key(key)}"
        if isinstance(value, dict):
            yield from _flat(value, f"{path}.")
        else:
            yield path, value


def _indented(rows: Rows, at: int) -> list[str]:
    """Return the rows after this one that belong to it in YAML."""
    margin = len(rows[at]) - len(rows[at].lstrip())
    found: list[str] = []
    for row in rows[at + 1 :]:
        deeper = len(row) - len(row.lstrip()) > margin or (row.lstrip().startswith("- ") and not _YAML.fullmatch(row))
        if not row.strip() or not deeper:
            break
        found.append(row)
    return found


def _missing_sign(rows: Rows, at: int) -> Iterator[Repair]:
    if found := re.fullmatch(r"""(\s*[\w.-]+)\s+(["'\[{].*|true|false|\d.*)""", rows[at]):
        yield Repair("= is missing after the key", (f"{found[1]} = {found[2]}",))


def _key_with_blanks(rows: Rows, at: int) -> Iterator[Repair]:
    found = _ASSIGNED.fullmatch(rows[at])
    if found and found["key"].strip() and "[" not in found["key"]:
        key = found["key"].strip()
        meant = _key(key)
        if meant != key:
            what = "blanks" if " " in key else "this character"
            row = f"{found['sign'].strip()} {found['value']}"
            yield Repair(f"a key without quotes cannot have {what}", (f"{meant} {row}",))


def _key(written: str) -> str:
    """Return a key as TOML spells it: `add tags` is add_tags, `when text` is when.text, and a field gets quotes."""
    known = {*RULE_KEYS, *CONDITIONS, *(f"when.{each}" for each in CONDITIONS)}
    words = written.split()
    for between in ("_", "."):
        joined = between.join(words)
        if joined in known or joined in ("set.status", "set.priority", "set.assignee", "set.due_date"):
            return joined
    head, mark, name = written.rpartition("fields.")
    if mark and not name.startswith(('"', "'")):
        return written if _BARE_KEY.fullmatch(name) else f"{head}{mark}{json.dumps(name, ensure_ascii=False)}"
    if any(quote in written for quote in "\"'") or all(map(_BARE_KEY.fullmatch, written.split("."))):
        return written
    return json.dumps(written, ensure_ascii=False)


# Repairs of values


def _unquoted(rows: Rows, at: int) -> Iterator[Repair]:
    head, value, tail = _split(rows[at])
    if not head or any(quote in value for quote in "\"'"):
        return
    if not value:
        yield Repair(
            "the value is missing", (f'{head.rstrip()} ""{tail}',), "write a value after =, or remove the line"
        )
    elif _value(value) != value:
        what = f"a duration such as {value} needs quotes" if _DURATION.fullmatch(value) else "a text needs quotes"
        yield Repair(what, (f"{head}{_value(value)}{tail}",))


def _inner_quote(rows: Rows, at: int) -> Iterator[Repair]:
    """Put a text that contains its own quotes, or a backslash, into quotes that allow it."""
    head, value, tail = _split(rows[at])
    found = re.fullmatch(r"""(["'])(.*)\1""", value)
    if not head or found is None or found[2].startswith(found[1]) or re.search(r"""["']\s*,\s*["']""", value):
        return
    quote, text = found.groups()
    if quote == "'" and "'" in text:
        problem = "a text in single quotes cannot contain an apostrophe"
        yield Repair(problem, (f"{head}{json.dumps(text, ensure_ascii=False)}{tail}",))
    elif "\\" in text and "'" not in text:
        fix = f"write expressions with a backslash in single quotes: {head.strip()} '{text}'"
        yield Repair("unescaped '\\' in a string", (f"{head}'{text}'{tail}",), fix)
    elif '"' in text:
        new = f"'{text}'" if "'" not in text else json.dumps(text, ensure_ascii=False)
        yield Repair("a text in double quotes contains a double quote", (f"{head}{new}{tail}",))


def _line_break(rows: Rows, at: int) -> Iterator[Repair]:
    """Join a text in simple quotes that continues on the next lines."""
    found = _ASSIGNED.fullmatch(rows[at])
    if found is None or not re.fullmatch(r"""(["'])(?!\1).*""", found["value"]):
        return
    quote, text = found["value"][0], found["value"][1:]
    if quote in text:
        return
    for end in range(at + 1, min(at + 40, len(rows))):
        row = rows[end]
        if re.match(r"\s*\[|\s*[\w.]+\s*=", row):
            return
        if row.rstrip().endswith(quote) and row.count(quote) == 1:
            first = f"{found['key']}{found['sign']}{quote * 3}{text}"
            last = f"{row.rstrip()}{quote * 2}"
            fix = f"write {quote * 3} in place of {quote} at both ends of the text"
            yield Repair("a text with several lines needs three quotes", (first, *rows[at + 1 : end], last), fix)
            return


def _missing_quote(rows: Rows, at: int) -> Iterator[Repair]:
    """Insert one quote, or exchange one that differs from the other."""
    head, value, tail = _split(rows[at])
    if not head:
        return
    whole = f"{value}{tail}"
    mistake = "a quote is missing"
    if found := re.fullmatch(r"""(["'])([^"']*)["']""", value):
        yield Repair("the quotes at both ends differ", (f"{head}{found[1]}{found[2]}{found[1]}{tail}",))
    for quote in sorted("\"'", key=lambda each: each not in value):
        for place in [len(value), *_places(value)]:
            yield Repair(mistake, (f"{head}{value[:place]}{quote}{value[place:]}{tail}",))
        if tail:
            yield Repair(mistake, (f"{head}{whole.rstrip()}{quote}",))


def _places(value: str) -> list[int]:
    """Return where a quote may be missing in a list or a table: beside its brackets and commas."""
    return [
        place for found in re.finditer(r"\s*[,\]}]|[\[=,]\s*|(?<=^)", value) for place in {found.start(), found.end()}
    ]


def _list(rows: Rows, at: int) -> Iterator[Repair]:
    """Correct the brackets and commas of a list."""
    head, value, tail = _split(rows[at])
    if not head:
        return
    several = re.fullmatch(
        r"""[(\[{]?\s*((?:"[^"]*"|'[^']*'|\d+)(?:(?:\s*[,;]\s*|\s+or\s+|\s+)(?:"[^"]*"|'[^']*'|\d+))*)\s*,?\s*[)\]}]*""",
        value,
    )
    items = re.findall(r"""\"[^"]*"|'[^']*'|\d+""", several[1]) if several else []
    if len(items) > 1 or (items and value[0] in "([{"):
        mistake = "a comma is missing" if value.startswith("[") and value.endswith("]") else "a bracket is missing"
        mistake = "a list is written in square brackets" if value[:1] != "[" else mistake
        yield Repair(mistake, (f"{head}[{', '.join(items)}]{tail}",))
    if value.startswith("[") and not value.endswith("]"):
        yield Repair("] is missing", (f"{head}{value.rstrip(', ')}]{tail}",))
    if value.startswith("[") and re.fullmatch(r"\[[\w\s,@.-]+\]?", value):
        items = [_value(each.strip()) for each in value.strip("[]").split(",") if each.strip()]
        yield Repair("texts in a list need quotes", (f"{head}[{', '.join(items)}]{tail}",))


def _table(rows: Rows, at: int) -> Iterator[Repair]:
    """Correct a table in braces: it has = between key and value, no comma at its end, and one line."""
    end = next((each for each in range(at, min(at + ABOVE, len(rows))) if "}" in rows[each]), at)
    head, value, tail = _split(" ".join([rows[at], *(row.strip() for row in rows[at + 1 : end + 1])]))
    if not head or "{" not in value:
        return
    row = re.sub(r""",\s*}""", " }", re.sub(r"""([{,]\s*)"?([\w.]+)"?\s*:\s*""", r"\1\2 = ", value))
    mistake = "a table in braces is on one line" if end > at else "a table in braces has = after each key"
    mistake = mistake if end > at or row.count("=") != value.count("=") else "a table in braces has no comma at its end"
    candidates = [row, f"{row} }}", f"{row.rstrip(']').rstrip()} }}]", f"{row}]"]
    for number, each in enumerate(candidates):
        yield Repair(
            "a bracket is missing" if number else mistake, (f"{head}{each}{tail}", *("" for _ in range(end - at)))
        )


def _value(written: str) -> str:
    """Return a value with the quotes that TOML needs."""
    written = written.strip().rstrip(",;").rstrip()
    if _PLAIN.fullmatch(written) or written[:1] in "\"'{":
        return written
    if written[:1] == "[" and written[-1:] == "]":
        return f"[{', '.join(_value(each) for each in written[1:-1].split(',') if each.strip())}]"
    if found := _DAY.fullmatch(written):
        day, month = sorted((int(found[1]), int(found[3])), reverse=found[2] == "/")
        day, month = (int(found[1]), int(found[3])) if found[2] != "/" else (day, month)
        return f"{found[4]}-{month:02}-{day:02}"
    if (meant := _BOOLEANS.get(written.lower())) and written.lower() not in ("on", "off"):
        return meant
    return f"'{written}'" if "\\" in written and "'" not in written else json.dumps(written, ensure_ascii=False)


def _split(row: str) -> tuple[str, str, str]:
    """Split a line into its key with =, its value, and its comment; the first is empty if there is no =."""
    found = _ASSIGNED.fullmatch(row)
    if found is None or not found["key"].strip():
        return "", row, ""
    value, comment = _split_comment(found["value"])
    return f"{found['key']}{found['sign']}", value.rstrip(), comment


def _split_comment(text: str) -> tuple[str, str]:
    found = _COMMENT.fullmatch(text)
    return (found[1], found[2] or "") if found else (text, "")


#: All repairs; those that are more certain come first.
REPAIRS: Final[tuple[Callable[[Rows, int], Iterator[Repair]], ...]] = (
    _invisible,
    _curly,
    _header,
    _comment,
    _sign,
    _boolean,
    _yaml,
    _json,
    _missing_sign,
    _key_with_blanks,
    _unquoted,
    _two_keys,
    _inner_quote,
    _line_break,
    _list,
    _table,
    _after_value,
    _missing_quote,
)
