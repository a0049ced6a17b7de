"""The files that Heroku reads are valid: app.json, the Procfile, .profile and .python-version."""

import json
import os
import subprocess
from pathlib import Path

import jsonschema
import pytest

from tests.support.deploy import STARTER, procfile
from tests.support.processes import ROOT

# The parts of app.json that we use, as Heroku's Dev Center describes them ("app.json Schema").
TEXT = {"type": "string", "minLength": 1}
APP = {
    "type": "object",
    "additionalProperties": False,
    "required": ["name", "description", "addons", "env", "formation", "stack", "buildpacks"],
    "properties": {
        "name": {**TEXT, "pattern": r"^[a-zA-Z-_\.]+", "maxLength": 300},
        "description": TEXT,
        "keywords": {"type": "array", "items": TEXT},
        "stack": {"enum": ["heroku-22", "heroku-24", "heroku-26"]},
        "buildpacks": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["url"],
                "additionalProperties": False,
                "properties": {"url": TEXT},
            },
        },
        "addons": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["plan"],
                "additionalProperties": False,
                "properties": {"plan": TEXT, "as": TEXT, "options": {"type": "object"}},
            },
        },
        "formation": {
            "type": "object",
            "additionalProperties": {
                "type": "object",
                "required": ["quantity"],
                "additionalProperties": False,
                "properties": {"quantity": {"type": "integer", "minimum": 0}, "size": TEXT},
            },
        },
        "env": {
            "type": "object",
            "propertyNames": {"pattern": "^[A-Z][A-Z0-9_]*$"},
            "additionalProperties": {
                "type": "object",
                "additionalProperties": False,
                "properties": {
                    "description": TEXT,
                    "value": {"type": "string"},
                    "required": {"type": "boolean"},
                    "generator": {"enum": ["secret"]},
                },
            },
        },
    },
}


def profiled(folder: Path, url: str) -> str:
    """Return the REDIS_URL of a process after Heroku's shell has read .profile."""
    done = subprocess.run(
        ["sh", "-euc", '. ./.profile; printf %s "$REDIS_URL"'],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "REDIS_URL": url},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def test_app_json_has_the_documented_shape() -> None:
    jsonschema.validate(json.loads((ROOT / "app.json").read_text()), APP)


def test_app_json_adds_a_store_and_runs_every_process_of_the_procfile() -> None:
    app = json.loads((ROOT / "app.json").read_text())
    assert [addon["as"] for addon in app["addons"]] == ["REDIS"]
    assert app["formation"].keys() == procfile(ROOT).keys() - {"release"}


def test_the_projects_procfile_needs_no_installed_project() -> None:
    assert procfile(ROOT) == {
        "web": "python -m service web",
        "worker": "python -m service worker",
        "release": "python -m service doctor --offline",
    }


def test_the_starters_procfile_uses_the_installed_command() -> None:
    assert procfile(STARTER) == {
        "web": "foxhooks web",
        "worker": "foxhooks worker",
        "release": "foxhooks doctor --offline",
    }


@pytest.mark.parametrize("name", [".profile", ".python-version"])
def test_the_starter_has_what_the_project_has(name: str) -> None:
    assert (STARTER / name).read_text() == (ROOT / name).read_text()


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ("rediss://:word@host:6380", "rediss://:word@host:6380?ssl_cert_reqs=none"),
        ("rediss://host:6380?ssl_cert_reqs=required", "rediss://host:6380?ssl_cert_reqs=required"),
        ("redis://host:6379", "redis://host:6379"),
        ("", ""),
    ],
)
def test_only_an_encrypted_store_is_used_without_checking_its_certificate(given: str, found: str) -> None:
    assert profiled(ROOT, given) == found


def test_profile_works_without_redis_url() -> None:
    subprocess.run(["sh", "-ec", ". ./.profile"], cwd=ROOT, env={"PATH": os.environ["PATH"]}, check=True)
