"""The tables [clients.NAME]: every mistake is reported with its fix, and no token is shown."""

import pytest

from tests.support.settings import Loaded, Refused
from workers.settings import Part

TABLE = '[clients.reporting]\ntoken = "hidden-token"\n'


@pytest.mark.parametrize(
    ("toml", "words"),
    [
        (TABLE + 'allow = ["ticket:read"]', "did you mean 'tickets:read'?"),
        (TABLE + 'allow = ["tickets:raed", "tickets:notes"]', "did you mean 'tickets:note'?"),
        (TABLE + 'allow = ["everything"]', "or *"),
        (TABLE + 'class = "fast"', "interactive"),
        (TABLE + "wait = -1", "wait"),
        (TABLE + "wait = 601", "600"),
        (TABLE + "categories = []", "is not a list of categories"),
        (TABLE + "categories = [true]", "other than an id or a name"),
        (TABLE + 'alow = ["*"]', "did you mean 'allow'?"),
        ("[clients.reporting]\nallow = []", "token (foxhooks.toml): is missing"),
        ('[clients.reporting]\ntoken = ""', "token (foxhooks.toml): is empty"),
        ('[clients.reporting]\ntoken = "env:NOT_SET"', "NOT_SET, which is not set"),
        ('[clients.reporting]\ntoken = "hidden-token two"', "contains a space"),
        ('[clients."Reporting:1"]\ntoken = "hidden-token"', "is not a valid name of a client"),
        (TABLE + '[clients.triage]\ntoken = "hidden-token"', "is also another client's"),
    ],
)
def test_a_mistake_is_reported_with_its_fix(refused: Refused, toml: str, words: str) -> None:
    found = "\n".join(map(str, refused(toml=toml, part="gateway")))
    assert words in found
    assert "clients" in found
    assert "hidden-token" not in found


def test_each_unknown_permission_is_reported_with_the_nearest(refused: Refused) -> None:
    found = refused(toml=TABLE + 'allow = ["tickets:raed", "contact:read"]', part="gateway")
    fixes = "\n".join(map(str, found))
    assert "did you mean 'tickets:read'?" in fixes
    assert "did you mean 'contacts:read'?" in fixes


def test_a_client_has_these_values(loaded: Loaded) -> None:
    values = 'allow = ["tickets:read"]\nclass = "bulk"\nwait = 2.5\ncategories = ["Billing", 4]\n'
    settings = loaded({"TOKEN": "hidden-token"}, TABLE.replace("hidden-token", "env:TOKEN") + values, part="gateway")
    client = settings.clients["reporting"]
    assert client.token.reveal() == "hidden-token"
    assert "hidden-token" not in repr(client)
    assert (client.priority, client.wait, client.categories) == ("bulk", 2.5, ("Billing", 4))
    assert client.may("tickets:read")
    assert not client.may("tickets:note")


def test_nothing_is_allowed_unless_it_is_granted(loaded: Loaded) -> None:
    client = loaded(toml=TABLE, part="gateway").clients["reporting"]
    assert not client.allow
    assert (client.priority, client.wait) == ("normal", 30)


@pytest.mark.parametrize("part", ["web", "worker"])
def test_other_processes_read_no_client(loaded: Loaded, part: Part) -> None:
    assert not loaded(toml='[clients.reporting]\ntoken = "env:NOT_SET"\nallow = ["nonsense"]', part=part).clients
