"""audit: what it lists, and which words it knows."""

import re

import pytest
import redis

from tests.support.commands import run, shown, wrong
from workers.store.audit import ACTS, By, note
from workers.store.client import Store
from workers.store.client_figures import note_call
from workers.store.scripts import modules

pytestmark = pytest.mark.usefixtures("web_settings")


@pytest.fixture(autouse=True)
def _lines(store: redis.Redis) -> None:
    with Store(store) as opened:
        opened.run(note("acme", By("ada"), "sweep", "account"))
        opened.run(note_call("acme", "triage", "done", "wrote a note on", "ticket 7"))


def test_an_unknown_word_is_refused_with_the_known_ones() -> None:
    assert "no 'swep'; did you mean 'sweep'?" in wrong("audit", "--what", "swep")
    assert all(each in wrong("audit", "--what", "nonsense") for each in ("pause", "reset loop guard"))


@pytest.mark.parametrize(
    ("options", "found"),
    [
        (("--what", "sweep"), ["ada"]),
        (("--what", "wrote a note on"), ["triage"]),
        (("--what", "wrote a note on", "--who", "ada"), []),
        (("--what", "forget"), []),
    ],
)
def test_a_known_word_may_find_nothing(options: tuple[str, ...], found: list[str]) -> None:
    assert [line["who"] for line in shown("audit", *options)] == found


def test_every_act_that_the_store_writes_is_known() -> None:
    source = "".join(modules().values())
    names = re.findall(r"audit(?:\(|, )P, now, [\w.\[\]]+, ([^,]*),", source)
    written = {word for name in names for word in re.findall(r"'(\w[\w ]*)'", name)}
    assert {"pause", "resume", "forget", "store restored"} <= written
    assert written <= set(ACTS)


def test_tables_end_without_spaces() -> None:
    lines = run("audit").stdout.splitlines()
    assert len(lines) > 2
    assert [each for each in lines if each != each.rstrip()] == []
