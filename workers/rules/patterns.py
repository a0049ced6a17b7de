"""Recognize values that are written for another kind of search: boolean words, wildcards, lists in one text.

An expression is a regular expression, other conditions compare the whole value. What somebody wrote instead is often a
valid value, which no ticket ever has.
"""

import re
from collections.abc import Iterator
from typing import Any, Final

from workers.rules.checks import FIELDS, TEXTS
from workers.rules.expressions import ONLY_REGEX, wildcard
from workers.rules.values import as_list

Advice = tuple[str, str]
"""What is wrong, and how to write it."""

#: Conditions that compare the whole value with one that a person may write as a pattern.
_COMPARED: Final = (
    "status",
    "priority",
    "category",
    "assignee",
    "tag",
    "contact_group",
    "source",
    "rule",
    "from",
    "to",
)

_SPECIAL: Final = re.compile(r"[\\.^$*+?{}\[\]()|]")
_WORD: Final = r"[\w'\"-]+(?: [\w'\"-]+){0,1}"
_COMMAS: Final = re.compile(rf"{_WORD}(?:\s*[,;]\s*{_WORD})+")
_BOOLEAN: Final = re.compile(r"\s(?:(AND|OR)(?:\s+NOT)?|NOT|&&?)\s")
_QUOTED: Final = re.compile(r"""(["'])([^"']+)\1(?:\s+(or|and)\s+(["'])([^"']+)\4)*""")
#: What no address has, although mail servers may accept it.
_PATTERN: Final = re.compile(r"[*%^$|\\()\[\]{}?]")


def misread(written: str) -> Advice | None:
    """Return what is probably wrong with an expression that is valid."""
    return _as_search(written) or _as_pattern(written)


def _as_search(written: str) -> Advice | None:
    """Recognize boolean words, lists and quotes."""
    if found := _BOOLEAN.search(written):
        return _boolean(written, found)
    if _COMMAS.fullmatch(written):
        words = "|".join(word.strip(" \"'") for word in re.split("[,;]", written))
        return (
            f"the text must contain the {'comma' if ',' in written else 'semicolon'}, too",
            f"write '{words}' for any of them",
        )
    if _QUOTED.fullmatch(written):
        words = "|".join(re.findall(r"""["']([^"']+)["']""", written))
        return "the text must contain the quotes, too", f"write '{words}'"
    return None


def _boolean(written: str, found: "re.Match[str]") -> Advice:
    problem = f"{found[0].strip()} is not an operator, so the text must contain it"
    words = [word.strip().strip("\"'()") for word in re.split(r"\s+(?:AND|OR|&&?)\s+", written)]
    if "NOT" in found[0] or any(word.startswith("NOT ") for word in words):
        kept, _, excluded = re.sub(r"\b(?:AND|OR)\s+NOT\b", "NOT", written).partition(" NOT ")
        return problem, f"write when.text = '{kept.strip()}' and when.not_text = '{excluded.strip()}'"
    if found[1] == "OR":
        return problem, f"write '{'|'.join(words)}'"
    all_of = "".join(f"(?=.*{word})" for word in words)
    return problem, f"write '^{all_of}', which is found if the text contains all of them"


def _as_pattern(written: str) -> Advice | None:
    """Recognize wildcards, slashes, and signs that a regular expression does not mean literally."""
    if found := re.fullmatch(r"%([^%]+)%?|([^%]*[^\W\d])%", written):
        return (
            "% is no wildcard, so the text must contain it",
            f"write '{found[1] or found[2]}', which is found anywhere",
        )
    if found := re.fullmatch(r"/(.+)/[gimsux]*", written):
        return "the text must contain the slashes, too", f"write '{found[1]}'"
    fixed, sign = written, ""
    if found := re.search(r"\w(\+\+)(?![\w(\[])", written):
        fixed, sign = written.replace("++", r"\+\+"), f"in {found[0]!r}, ++ repeats the letter before it"
    elif found := re.search(r"(?<!\\)\$(\d)", written):
        fixed, sign = written.replace(found[0], f"\\{found[0]}"), "$ is the end of the text, so nothing can follow it"
    elif (found := re.search(r"\w\*(?=\s|$)", written)) and not _SPECIAL.search(written.replace("*", "")):
        fixed, sign = written.replace("*", ""), f"* is no wildcard: in {found[0]!r}, it repeats the letter before it"
    return (sign, f"write '{fixed}'") if sign else None


def address_problem(key: str, written: str) -> Advice | None:
    """Return what is wrong with an address or a domain that no contact can have."""
    value = written.strip()
    if not value:
        return None
    if _PATTERN.search(value):
        pattern = wildcard(value)
        if key == "contact_domain" and not value.startswith(("*", "%", ".")):
            pattern = f"@{pattern.lstrip('^@')}"
        what = "address" if key == "contact_email" else "domain"
        problem = f"the whole {what} is compared, so {value!r} never holds"
        return problem, f"write when.contact_email_matches = '{pattern}'"
    return _email_problem(value) if key == "contact_email" else _domain_problem(value)


def _email_problem(value: str) -> Advice | None:
    if re.fullmatch(r"@[^@\s,]+|[^@\s,]+\.[^@\s,]+", value):
        return f"{value!r} is no whole address", f'write when.contact_domain = "{value.lstrip("@")}"'
    if not re.fullmatch(r"[^@\s,;<>]+@[^@\s,;<>]+", value):
        return f"{value!r} is not an address", 'write it as "sam@bigcorp.example", several in a list'
    return None


def _domain_problem(value: str) -> Advice | None:
    plain = value.lstrip("@")
    domain = re.sub(r"^(?:https?://)?(?:www\.)?|/.*$", "", plain)
    if "@" in domain:
        return f"{value!r} is an address", f'write when.contact_email = "{value}"'
    if domain != plain:
        return f"{value!r} is a website, not the part of an address after @", f'write when.contact_domain = "{domain}"'
    if re.search(r"[\s,;<>]", domain):
        return f"{value!r} is not a domain", 'write it as "bigcorp.example", several in a list'
    return None


def misread_conditions(table: Any) -> Iterator[tuple[str, str, str]]:
    """Yield each doubtful value of valid conditions: its key, what is probably wrong, and the fix."""
    for given, value in table.items():
        key = given.removeprefix("not_")
        if key in ("any", "not"):
            for inner in as_list(value):
                yield from ((given, problem, fix) for _, problem, fix in misread_conditions(inner))
        elif key in FIELDS:
            for field, one in value.items():
                yield from _compared(given, f'{given}."{field}"', one)
        elif key in TEXTS:
            for one in as_list(value):
                if advice := misread(one):
                    yield (
                        given,
                        f"when.{given}: {advice[0]}",
                        advice[1].replace("when.text", f"when.{key}").replace("when.not_text", f"when.not_{key}"),
                    )
        elif key in _COMPARED:
            yield from _compared(given, given, value)


def _compared(given: str, written: str, value: Any) -> Iterator[tuple[str, str, str]]:
    for one in as_list(value):
        if isinstance(one, str) and (advice := _compared_whole(written, one)):
            yield given, f"when.{written} compares the whole value, {advice[0]}", advice[1]


def _compared_whole(key: str, value: str) -> Advice | None:
    """Return what is wrong with a value that looks like a pattern."""
    head, _, plain = key.rpartition("not_")
    several = (
        re.split(r"\s*\|\|?\s*|\s+OR\s+", value) if key.partition(".")[0].removeprefix("not_") != "rule" else [value]
    )
    several = re.split(r"\s*,\s*", value) if plain == "tag" and len(several) == 1 else several
    if len(several) > 1 and all(several) and not ONLY_REGEX.search(value):
        items = ", ".join(f'"{each.strip(chr(40) + chr(41))}"' for each in several)
        return f"not alternatives: no value is {value!r}", f"write a list: when.{key} = [{items}]"
    if found := re.fullmatch(r"(?:!=?|<>|not |NOT )\s*(\w.*)", value):
        return f"and {value!r} is no negation", f'write when.{head}not_{plain} = "{found[1]}"'
    if re.match(r"[<>]=?\s*\S", value):
        return f"and {value!r} is no comparison", f'write each value in a list: when.{key} = ["...", "..."]'
    if "{{" in value or "{%" in value:
        return "and a condition cannot contain variables", "write the value itself"
    if re.fullmatch(r"\*.+|.+\*|%.+%|/.+/", value) or ONLY_REGEX.search(value):
        return f"so {value!r} is no pattern", f'write each value in a list: when.{key} = ["...", "..."]'
    return None
