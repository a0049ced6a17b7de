"""What the deployment files say, read without their tools: the Dockerfile, Procfiles and Kubernetes manifests."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.processes import ROOT

STARTER = ROOT / "examples" / "starter"
DOCKERFILE = ROOT / "deploy" / "Dockerfile"
PREFIX = "/opt/foxhooks"
MANIFESTS = ROOT / "deploy" / "kubernetes"
BASE = MANIFESTS / "base"


def instructions() -> list[tuple[str, str]]:
    """Return each instruction of the Dockerfile with its arguments, continued lines joined."""
    text = DOCKERFILE.read_text().replace("\\\n", " ")
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [(line.split(maxsplit=1)[0], line.split(maxsplit=1)[1]) for line in lines]


def copied() -> list[tuple[list[str], str]]:
    """Return what the Dockerfile copies out of the project: sources and target."""
    found = []
    for name, arguments in instructions():
        if name == "COPY" and not arguments.startswith("--from="):
            *sources, target = shlex.split(arguments)
            found.append((sources, target))
    return found


def build_image(folder: Path) -> Path:
    """Do in `folder` what the build stage does in /opt/foxhooks and /src; return the new bin folder."""
    prefix, source = folder / "foxhooks", folder / "src"
    source.mkdir(parents=True)
    environment = {
        "HOME": str(folder),
        "PATH": f"{prefix / 'bin'}:{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin",
    }
    for sources, target in copied():
        for name in sources:
            place = source / target / name if target.endswith("/") else source / target
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, place, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(ROOT / name, place)
    for name, arguments in instructions():
        if name == "RUN":
            command = arguments.replace(PREFIX, str(prefix))
            done = subprocess.run(
                ["sh", "-ec", command],
                cwd=source,
                env=environment,
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return prefix / "bin"


#: Runs a command in the root of an image as Kubernetes would: as its user, on a read-only root with /tmp and /app.
CONTAINED = """
root=$1; app=$2; shift 2
mount --bind "$root" "$root"
mount --bind "$app" "$root/app"
mount -t tmpfs tmpfs "$root/tmp"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount -o remount,ro,bind "$root"
exec /usr/sbin/chroot --userspec=10001:10001 "$root" env --chdir=/app "$@"
"""


def build_container(folder: Path) -> Path:
    """Build the image with buildah on a Debian of our own, because no image registry is needed; return its root."""
    storage = folder / "storage.conf"
    storage.write_text(f'[storage]\ndriver = "vfs"\ngraphroot = "{folder}/graph"\nrunroot = "{folder}/run"\n')
    environ = {**os.environ, "CONTAINERS_STORAGE_CONF": str(storage), "BUILDAH_ISOLATION": "chroot"}

    def run(*command: str) -> str:
        done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        return done.stdout.strip()

    base = folder / "debian.tar"
    packages = "--include=python3,python3-venv,ca-certificates"
    run("mmdebstrap", "--variant=minbase", packages, "bookworm", str(base))
    container = run("buildah", "from", "scratch")
    run("buildah", "add", "--quiet", container, str(base), "/")
    run("buildah", "run", container, "--", "ln", "-s", "python3", "/usr/bin/python")
    run("buildah", "commit", "--quiet", container, "localhost/debian-python")
    certificates = ["--volume", "/etc/ssl/certs:/etc/ssl/certs:ro"]
    build = ["buildah", "bud", "--quiet", "--build-arg", "BASE=localhost/debian-python", *certificates]
    run(*build, "--file", str(DOCKERFILE), "--tag", "localhost/foxhooks", str(ROOT))
    return Path(run("buildah", "mount", run("buildah", "from", "localhost/foxhooks")))


def procfile(folder: Path) -> dict[str, str]:
    """Return the process types with their commands, read as Heroku reads them."""
    lines = (re.fullmatch(r"([A-Za-z0-9_-]+):\s*(.+)", line) for line in (folder / "Procfile").read_text().splitlines())
    return {found[1]: found[2] for found in lines if found}


def resources() -> list[dict[str, Any]]:
    """Return every resource of the base and its components, and the example secrets."""
    paths = [each for each in sorted(MANIFESTS.rglob("*.yaml")) if each.name != "kustomization.yaml"]
    return [
        found
        for path in paths
        if path.parent.name != "secret-files"  # it holds only patches
        for found in yaml.safe_load_all(path.read_text())
    ]


def config() -> dict[str, str]:
    """Return the settings of the base."""
    [generator] = yaml.safe_load((BASE / "kustomization.yaml").read_text())["configMapGenerator"]
    return dict(literal.split("=", 1) for literal in generator["literals"])


def deployments() -> list[dict[str, Any]]:
    """Return the Deployments and the StatefulSet among them."""
    return [found for found in resources() if found["kind"] in ("Deployment", "StatefulSet")]


def pod(name: str) -> dict[str, Any]:
    """Return the pod template of a Deployment."""
    specs: list[dict[str, Any]] = [
        found["spec"]["template"]["spec"] for found in deployments() if found["metadata"]["name"] == name
    ]
    [spec] = specs
    return spec


def kubectl(*arguments: str) -> str:
    """Run kubectl and return what it prints; skip the test without it, except in CI."""
    command = shutil.which("kubectl")
    if command is None:
        if os.environ.get("CI"):
            pytest.fail("kubectl is not installed, but CI needs it")
        pytest.skip("kubectl is not installed")
    done = subprocess.run([command, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
