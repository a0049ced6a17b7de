"""Keys: every key that the class names is in the table of its module."""

import inspect
import re

from workers.store import keys
from workers.store.keys import KINDS, SHARED, Keys, prefix


def named() -> set[str]:
    """Return the keys without their prefix, with an X for the argument of a method."""
    known = Keys("acme")
    fixed = {value for name, value in vars(known).items() if name != "prefix"}
    methods = [method for name, method in inspect.getmembers(known, inspect.ismethod) if not name.startswith("_")]
    return {name.removeprefix(prefix("acme")) for name in fixed | {method("X") for method in methods}}


def test_every_key_that_keys_names_is_in_the_table() -> None:
    documented = set(re.findall(r"^    P (\S+)", keys.__doc__ or "", re.MULTILINE))
    assert named() <= {re.sub(r"<\w+>", "X", name) for name in documented}


def test_the_lists_of_keys_are_the_rows_of_the_table() -> None:
    rows = re.findall(r"^    (P |\{foxhooks\}:)(\S+)\s+([A-Z]+) ", keys.__doc__ or "", re.MULTILINE)
    types = {"INT": "string"}
    found = [(start, name, types.get(type_, type_.lower())) for start, name, type_ in rows]
    assert list(KINDS.items()) == [(name, type_) for start, name, type_ in found if start == "P "]
    assert {start + name: type_ for start, name, type_ in found if start != "P "} == SHARED
