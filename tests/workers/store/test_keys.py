"""Keys: the one class that spells key names knows every key of the table, and no other."""

import inspect
import re

from workers.store import keys
from workers.store.keys import Keys, prefix


def spelled() -> set[str]:
    """Return every key that `Keys` spells, with an X for what a method is given, and without the prefix."""
    known = Keys("acme")
    fixed = {value for name, value in vars(known).items() if name != "prefix"}
    methods = [method for name, method in inspect.getmembers(known, inspect.ismethod) if not name.startswith("_")]
    return {name.removeprefix(prefix("acme")) for name in fixed | {method("X") for method in methods}}


def test_every_key_of_the_table_is_spelled_by_keys_and_no_other() -> None:
    documented = set(re.findall(r"^    P (\S+)", keys.__doc__ or "", re.MULTILINE))
    documented = {re.sub(r"<\w+>", "X", name) for name in documented}
    assert {"permits:get", "permits:post"} <= documented
    assert spelled() == documented - {"permits:get", "permits:post"} | {"permits:X"}
