"""The output of several processes as one, and the environment of a child."""

import io
import json
from datetime import datetime, timedelta
from pathlib import Path

from service.processes.supervisor import GRACE, RECEIVERS, Child, Output
from service.web import app
from service.web.connections import Limits
from tests.support.processes import ROOT


def test_each_line_names_its_process() -> None:
    stream = io.StringIO()
    Output(stream).show("web", "ready")
    Output(stream).say("started")
    assert stream.getvalue() == "      web | ready\n foxhooks | started\n"


def test_for_programs_every_line_is_json() -> None:
    stream = io.StringIO()
    output = Output(stream, as_json=True)
    output.show("web", '{"message": "ready"}')
    output.say("started")
    assert [json.loads(line)["message"] for line in stream.getvalue().splitlines()] == ["ready", "started"]


def test_the_supervisors_own_lines_have_time_and_level_like_all_others() -> None:
    stream = io.StringIO()
    Output(stream, as_json=True).say("web ended with exit code 1; restarting it in 1 s", "warning")
    line = json.loads(stream.getvalue())
    assert datetime.fromisoformat(line["at"]).utcoffset() == timedelta(0)
    assert (line["level"], line["logger"]) == ("warning", "service.processes.supervisor")


def test_a_plug_in_may_have_the_name_of_one_of_our_modules(tmp_path: Path) -> None:
    """With the folder `service` itself on the path, a plug-in called `web` would be `service.web`."""
    child = Child("web", ["web"], {"PYTHONPATH": "/mine"}, tmp_path)
    assert child._environ["PYTHONPATH"] == f"{ROOT}:/mine"


def test_stopping_fits_into_the_time_limits_of_the_platforms() -> None:
    """Heroku kills after 30 s, and so does Kubernetes, where `preStop` takes 5 s of them."""
    together = max(GRACE[name] for name in RECEIVERS)
    assert together + sum(GRACE[name] for name in GRACE if name not in RECEIVERS) < 30
    assert Limits().accept + 5 < GRACE["web"]
    assert 5 + Limits().accept + app.GRACE < 25
