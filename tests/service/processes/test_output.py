"""The output of several processes as one."""

import io
import json
from datetime import datetime, timedelta

from service.processes.output import OURSELVES, Output


def test_each_line_says_whose_it_is() -> None:
    stream = io.StringIO()
    Output(stream).show("web", "ready")
    Output(stream).show(OURSELVES, "started")
    assert stream.getvalue() == "      web | ready\n foxhooks | started\n"


def test_for_machines_every_line_is_json() -> None:
    stream = io.StringIO()
    output = Output(stream, plain=True)
    output.show("web", '{"message": "ready"}')
    output.show(OURSELVES, "started")
    assert [json.loads(line)["message"] for line in stream.getvalue().splitlines()] == ["ready", "started"]


def test_our_own_lines_have_time_and_level_like_all_others() -> None:
    stream = io.StringIO()
    Output(stream, plain=True).show(OURSELVES, "web ended with exit code 1; starting it again in 1 s", "warning")
    line = json.loads(stream.getvalue())
    assert datetime.fromisoformat(line["at"]).utcoffset() == timedelta(0)
    assert (line["level"], line["logger"]) == ("warning", "service.processes.supervisor")
