"""The output of several processes as one."""

import io
import json

from service.output import OURSELVES, Output


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
