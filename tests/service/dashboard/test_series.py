"""Figures in steps of time: what is chosen, and what the store has counted."""

import pytest
import redis
from starlette.exceptions import HTTPException

from service.dashboard.series import Chosen, choose
from tests.support.commands import take_in
from tests.support.dashboard import visiting
from workers.store.figures import HOUR, MINUTE

NOW = 1_000_000 * HOUR + 90_000


def test_each_minute_of_the_last_hour_is_the_default() -> None:
    this = NOW // MINUTE * MINUTE
    assert choose({}, NOW) == Chosen(this - HOUR, this + MINUTE, MINUTE)


def test_ages_and_times_are_understood() -> None:
    asked = {"from": str(NOW - 2 * HOUR), "to": "1h", "step": "1h"}
    assert choose(asked, NOW) == Chosen((1_000_000 - 2) * HOUR, 1_000_000 * HOUR, HOUR)


@pytest.mark.parametrize(
    ("query", "why"),
    [
        ({"step": "90s"}, "whole minutes"),
        ({"step": "0s"}, "whole minutes"),
        ({"step": "x"}, "step: "),
        ({"from": "1h", "to": "2h"}, "before `to`"),
        ({"from": "24h"}, "more than 1,000 steps"),
        ({"from": "2d", "step": "5m"}, "26 hours"),
        ({"from": "36d", "step": "1h"}, "35 days"),
        ({"from": "-1h"}, "from: "),
    ],
)
def test_mistakes_are_explained(query: dict[str, str], why: str) -> None:
    with pytest.raises(HTTPException) as refused:
        choose(query, NOW)
    assert why in refused.value.detail


@pytest.mark.parametrize("step", ["1m", "7m", "1h", "1d"])
def test_what_was_counted_is_returned(step: str, valkey_url: str, store: redis.Redis) -> None:
    take_in(store)
    with visiting(valkey_url) as visitor:
        found = visitor.api(f"/accounts/acme/figures?step={step}").json()
        assert sum(each["counted"].get("in accepted", 0) for each in found["items"]) == 2
        assert found["items"][0]["at"] == found["begin"]
        assert found["end"] - found["items"][-1]["at"] == found["step_seconds"] * 1000
