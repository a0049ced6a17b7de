"""The public API: every name can be imported, and none of it before it is used."""

import subprocess
import sys

import pytest

import workers

#: Prints what starting a command has imported of what only handlers need.
PROGRAM = """
import sys
import service.commands.status
print([name for name in ("workers.engine", "workers.happyfox", "workers.rules") if name in sys.modules])
"""


def test_every_name_of_the_api_can_be_imported() -> None:
    assert sorted(workers._HOMES) == sorted(workers.__all__)
    assert all(getattr(workers, name) is not None for name in workers.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'Ruoter'"):
        _ = workers.Ruoter  # type: ignore[attr-defined]


def test_a_command_that_runs_no_handlers_imports_none_of_what_they_need() -> None:
    result = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False)
    assert (result.stdout, result.stderr) == ("[]\n", "")
