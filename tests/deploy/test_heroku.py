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


def profiled(folder: Path, url: str, **environ: str) -> str:
    """Return the REDIS_URL of a process after Heroku's shell has read .profile on a dyno."""
    done = subprocess.run(
        ["sh", "-euc", '. ./.profile; printf %s "$REDIS_URL"'],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "DYNO": "web.1", "REDIS_URL": url, **environ},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def test_app_json_has_the_documented_shape() -> None:
    jsonschema.validate(json.loads((STARTER / "app.json").read_text()), APP)


def test_app_json_adds_a_store_and_runs_every_process_of_the_procfile() -> None:
    app = json.loads((STARTER / "app.json").read_text())
    assert [addon["as"] for addon in app["addons"]] == ["REDIS"]
    assert app["formation"].keys() == procfile(STARTER).keys() - {"release"}


def test_the_number_of_web_processes_is_not_left_to_the_buildpack() -> None:
    assert json.loads((STARTER / "app.json").read_text())["env"]["WEB_CONCURRENCY"]["value"] == "1"
    assert "WEB_CONCURRENCY=1" in (STARTER / "README.md").read_text()


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


ADDON = "rediss://:word@ec2-3-80-1-2.compute-1.amazonaws.com:6380"


@pytest.mark.parametrize("url", [ADDON, "rediss://h:p4@ec2-9-1-1-1.eu-west-1.compute.amazonaws.com:7729"])
def test_on_a_dyno_the_certificate_of_herokus_store_is_not_verified(url: str) -> None:
    assert profiled(ROOT, url) == f"{url}?ssl_cert_reqs=none"


@pytest.mark.parametrize(
    "url",
    [
        "rediss://:word@store.example:6380",
        "rediss://:word@master.acme.cache.amazonaws.com:6379",
        "rediss://:word@ec2-3-80-1-2.compute-1.amazonaws.com.evil.example:6380",
        "rediss://:x@ec2-3-80-1-2.compute-1.amazonaws.com:6380@store.example:6380",
        f"{ADDON}?ssl_cert_reqs=required",
        f"{ADDON}?ssl_ca_certs=heroku.pem",
        ADDON.replace("rediss", "redis"),
        "redis://host:6379",
        "",
    ],
)
def test_every_other_address_stays_as_it_is(url: str) -> None:
    assert profiled(ROOT, url) == url


def test_elsewhere_every_certificate_is_verified() -> None:
    assert profiled(ROOT, ADDON, DYNO="") == ADDON


def test_profile_works_without_redis_url() -> None:
    subprocess.run(["sh", "-ec", ". ./.profile"], cwd=ROOT, env={"PATH": os.environ["PATH"]}, check=True)
