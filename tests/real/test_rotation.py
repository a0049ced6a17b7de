"""Keys are changed while contacts write, as docs/rotation.md says: nothing is lost and nothing is done twice."""

import dataclasses
from collections.abc import Callable

import pytest

from tests.support.fleet import SECRET, Fleet, P
from tests.support.plugins import FAITHFUL
from tests.support.story import Story

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

NEW = "another-key-of-the-webhooks"


@pytest.fixture
def fleet(deploy: Callable[..., Fleet]) -> Fleet:
    fleet = deploy(FAITHFUL, latency=0.02)
    fleet.ready_worker()
    start_web(fleet, SECRET)
    return fleet


def start_web(fleet: Fleet, secrets: str) -> None:
    if fleet.web:
        fleet.web.terminate()
    fleet.start_web(HAPPYFOX_WEBHOOK_SECRETS=secrets)
    fleet.wait(lambda: fleet.answers() == 200, "web is ready")


def refused(fleet: Fleet) -> int:
    """Return how many deliveries had a wrong signature."""
    with fleet.redis() as client:
        return int(client.hget(f"{P}counts", "bad-signature") or 0)


def test_the_signing_key_is_changed(fleet: Fleet) -> None:
    story = Story(fleet)
    with story.flowing():
        start_web(fleet, f"{NEW},{SECRET}")
        old = list(fleet.simulator.hooks)
        fleet.simulator.set_hooks([dataclasses.replace(hook, key=NEW) for hook in old])
        fleet.wait(lambda: not fleet.simulator.webhooks.waiting, "what was signed with the old key is delivered")
        shown = fleet.run("webhooks", HAPPYFOX_WEBHOOK_SECRETS=f"{NEW},{SECRET}").stdout
        assert "last used" in shown, shown
        start_web(fleet, NEW)
    fleet.settle(120)
    assert story.missing() == 0
    assert refused(fleet) == 0


def test_an_api_key_that_is_gone_too_early_delays_and_loses_nothing(fleet: Fleet) -> None:
    story = Story(fleet)
    api = fleet.simulator.api
    with story.flowing():
        api.options = dataclasses.replace(api.options, key="another-key", code="another-code")
        with fleet.redis() as client:
            fleet.wait(lambda: client.hget(f"{P}gate", "state") == b"denied", "HappyFox refuses the old key")
    fleet.workers[0].terminate()
    fleet.ready_worker(HAPPYFOX_API_KEY="another-key", HAPPYFOX_AUTH_CODE="another-code")
    fleet.settle(180)
    assert story.missing() == 0
    shown = fleet.run("doctor", HAPPYFOX_API_KEY="another-key", HAPPYFOX_AUTH_CODE="another-code").stdout
    assert "accepts the API key" in shown
