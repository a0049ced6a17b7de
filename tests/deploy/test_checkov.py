"""Checkov finds nothing in the Kubernetes manifests but what is left to the user, each with a reason.

Checkov needs about a hundred packages, many of them older than ours, so it is installed into an environment of its own.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.deploy import MANIFESTS, kubectl
from tests.support.processes import ROOT

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

VERSION = "3.3.30"

#: Checks that do not apply, and why.
SKIPPED = {
    "CKV_K8S_11": "a CPU limit slows a process down although nobody else needs the time; requests guarantee its share",
    "CKV_K8S_15": "tags are versions, which never move, and pods must start while the registry is down",
    "CKV_K8S_35": "secrets are files with the component secret-files",
    "CKV_K8S_43": "the digest of an image that users build themselves is known to them only: set it in the overlay",
}

#: Components that exclude each other.
CHOICES = (("autoscaling", "ingress"), ("keda", "gateway-api", "secret-files"))


@pytest.fixture(scope="module")
def checkov() -> Path:
    """Return the program, installed once for this checkout."""
    folder = ROOT / "build" / f"checkov-{VERSION}"
    program, ready = folder / "bin" / "checkov", folder / "ready"
    if not ready.exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        install = ["install", "--quiet", "--disable-pip-version-check", f"checkov=={VERSION}"]
        subprocess.run([folder / "bin" / "python", "-m", "pip", *install], check=True)
        ready.touch()
    return program


def rendered(folder: Path, choice: tuple[str, ...]) -> str:
    """Return the base with all components but those that the choice excludes."""
    excluded = {name for other in CHOICES if other != choice for name in other}
    chosen = [each for each in sorted((MANIFESTS / "components").iterdir()) if each.name not in excluded]
    overlay = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "namespace": "foxhooks",
        "resources": [os.path.relpath(MANIFESTS / "base", folder)],
        "components": [os.path.relpath(each, folder) for each in chosen],
    }
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(overlay))
    return kubectl("kustomize", str(folder))


def check(checkov: Path, file: Path, *skipped: str) -> dict[str, Any]:
    """Run Checkov on a file, without its network."""
    options = ("--skip-download", "--framework", "kubernetes", "--output", "json", "--quiet", "--compact")
    skip = ("--skip-check", ",".join(skipped)) if skipped else ()
    done = subprocess.run([checkov, *options, *skip, "--file", file], capture_output=True, text=True, check=False)
    assert done.stdout, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def failed(found: dict[str, Any]) -> set[str]:
    checks = found["results"]["failed_checks"]
    return {f"{each['check_id']} {each['check_name']}: {each['resource']}" for each in checks}


@pytest.mark.parametrize("choice", CHOICES, ids=", ".join)
def test_checkov_finds_nothing_else(checkov: Path, tmp_path: Path, choice: tuple[str, ...]) -> None:
    file = tmp_path / "rendered.yaml"
    file.write_text(rendered(tmp_path, choice))
    found = check(checkov, file, *SKIPPED)
    assert found["summary"]["passed"] > 200
    assert failed(found) == set()


def test_each_skipped_check_would_fail(checkov: Path, tmp_path: Path) -> None:
    file = tmp_path / "rendered.yaml"
    file.write_text(rendered(tmp_path, CHOICES[0]))
    assert {each.split()[0] for each in failed(check(checkov, file))} == SKIPPED.keys()
