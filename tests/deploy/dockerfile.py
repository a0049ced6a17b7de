"""The Dockerfile's own lines, read and run without Docker."""

import shlex
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
FILE = ROOT / "deploy" / "Dockerfile"
PREFIX = "/opt/foxhooks"


def instructions() -> list[tuple[str, str]]:
    """Each instruction with its arguments, continued lines joined."""
    text = FILE.read_text().replace("\\\n", " ")
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [(line.split(maxsplit=1)[0], line.split(maxsplit=1)[1]) for line in lines]


def copied() -> list[tuple[list[str], str]]:
    """What is copied out of the project: sources and target."""
    found = []
    for name, arguments in instructions():
        if name == "COPY" and not arguments.startswith("--from="):
            *sources, target = shlex.split(arguments)
            found.append((sources, target))
    return found


def build(folder: Path) -> Path:
    """Does in `folder` what the build stage does in /opt/foxhooks and /src; gives the new bin folder."""
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
