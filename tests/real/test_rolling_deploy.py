"""Two versions side by side: each process is replaced while contacts write, forward and back again.

The other version is a copy of this one whose store functions, version and, in one case, stored formats differ.
"""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.fleet import Fleet
from tests.support.plugins import FAITHFUL
from tests.support.processes import ROOT
from tests.support.story import Story
from workers.version import __version__

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

#: What another release changes: the digest of the functions in the store, and its number.
NEXT = (
    ("workers/store/lua/header.lua", "-- The library", "-- The next library"),
    ("workers/version.py", __version__, "99.0.0"),
)
#: What a release changes that stores snapshots in a new format, and reads both.
NEW_FORMAT = (
    (
        "workers/tickets/snapshot.py",
        "msgspec.json.encode(snapshot)",
        "msgspec.json.encode(msgspec.structs.replace(snapshot, format=2))",
    ),
    ("workers/tickets/snapshot.py", "snapshot.format == 1", "snapshot.format in (1, 2)"),
    ("workers/engine/turn.py", "decode(stored).format > FORMAT", "decode(stored).format > 2"),
)


def release(folder: Path, changes: tuple[tuple[str, str, str], ...]) -> Path:
    """Write another release into a folder."""
    for package in ("service", "workers"):
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    for name, old, new in changes:
        text = (folder / name).read_text()
        assert old in text, f"{name} has changed: correct this test"
        (folder / name).write_text(text.replace(old, new, 1))
    return folder


def replace_all(fleet: Fleet, source: Path) -> None:
    """Replace one process after the other, the worker that came last at the end, as a platform does."""
    before, web = list(fleet.workers[-2:]), fleet.web
    for worker in before:
        fleet.ready_worker(PYTHONPATH=str(source))
        worker.terminate()
        assert worker.code == 0, worker.output
    if web:
        web.terminate()
    fleet.start_web(PYTHONPATH=str(source))
    fleet.wait(lambda: fleet.answers() == 200, "web is ready")


def deployed(deploy: Callable[..., Fleet]) -> tuple[Fleet, Story]:
    """Start this version, with two workers."""
    fleet = deploy(FAITHFUL, latency=0.02)
    for _ in range(2):
        fleet.ready_worker()
    fleet.start_web()
    fleet.wait(lambda: fleet.answers() == 200, "web is ready")
    return fleet, Story(fleet)


def check(fleet: Fleet, story: Story) -> None:
    """Check that everything was done once, in order, and by one worker at a time."""
    story.reply_to_all()
    fleet.settle(180)
    assert story.missing() == 0
    assert not any(call.overlapped for call in fleet.calls())
    assert fleet.mistaken() == []


def test_a_rolling_deploy_and_a_rollback_lose_nothing(deploy: Callable[..., Fleet], tmp_path: Path) -> None:
    fleet, story = deployed(deploy)
    other = release(tmp_path / "next", NEXT)
    with story.flowing():
        replace_all(fleet, other)
        shown = fleet.run("doctor", "--offline").stdout
        assert "worker (99.0.0)" in shown, shown
        replace_all(fleet, ROOT)
    check(fleet, story)


def test_after_a_rollback_what_the_newer_version_stored_waits_for_it(
    deploy: Callable[..., Fleet], tmp_path: Path
) -> None:
    fleet, story = deployed(deploy)
    other = release(tmp_path / "next", NEXT + NEW_FORMAT)
    with story.flowing():
        replace_all(fleet, other)
    fleet.settle(180)
    replace_all(fleet, ROOT)
    story.reply_to_all()
    old = fleet.workers[-2:]
    fleet.wait(lambda: any("newer version" in each.output for each in old), "an old worker says why it waits")
    replace_all(fleet, other)
    check(fleet, story)
