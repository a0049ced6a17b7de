"""The HTTP library can be replaced by httpx2, which has the same API."""

import subprocess
import sys

import pytest

from tests.support.processes import ROOT

TRANSPORT = (
    "tests/workers/happyfox/test_http.py",
    "tests/workers/happyfox/test_multipart.py",
    "tests/workers/alerts",
    "tests/service/commands/test_send.py",
)


@pytest.mark.e2e
@pytest.mark.timeout(600)
def test_the_transport_works_on_httpx2() -> None:
    """The tests of what makes HTTP calls run once more, with httpx2 in the place of httpx."""
    command = ["-m", "pytest", "-p", "tests.support.on_httpx2", "-p", "no:cacheprovider", *TRANSPORT]
    done = subprocess.run([sys.executable, *command], cwd=ROOT, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "HTTP library: httpx2 2." in done.stdout
