"""`foxhooks new project`: write a project that Heroku and Kubernetes can run, with locked requirements."""

import hashlib
import json
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from importlib.metadata import Distribution, distribution
from pathlib import Path
from urllib.parse import unquote, urlsplit

from service.errors import CommandError
from workers import __version__

#: The files of examples/starter that a project begins with; its requirements are written here.
FILES = (
    ".gitignore",
    ".profile",
    ".python-version",
    "Procfile",
    "README.md",
    "app.json",
    "foxhooks.toml",
    "handlers.py",
    "rules.toml",
    "test_handlers.py",
)
#: The folder of these files and of the locked requirements, below the prefix of an installed foxhooks.
SHARED = Path("share") / "foxhooks"

HEAD = f"""\
# Written by `foxhooks new project`: foxhooks {__version__} and everything it needs, each with its hash.
# Add your own packages with their hashes, too; `pip-compile --generate-hashes` or `uv pip compile` writes them.
"""


def new_project(folder: Path) -> None:
    """Write the project into a folder, which is made if it is missing; existing files are never overwritten.

    Raises CommandError before anything is written if a file exists or foxhooks' own package cannot be found.
    """
    names = [*FILES, "requirements.txt", "wheels"]
    if existing := [name for name in names if (folder / name).exists()]:
        raise CommandError(f"not overwritten: {', '.join(existing)} in {folder}; choose an empty folder")
    starter, lock = _sources()
    with tempfile.TemporaryDirectory() as scratch:
        wheel = _wheel(Path(scratch))
        folder.mkdir(parents=True, exist_ok=True)
        for name in FILES:
            shutil.copyfile(starter / name, folder / name)
        ours = f"foxhooks=={__version__}"
        if wheel is not None:
            (folder / "wheels").mkdir()
            shutil.copyfile(wheel, folder / "wheels" / wheel.name)
            digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
            ours = f"./wheels/{wheel.name} --hash=sha256:{digest}"
        locked = re.sub("(?m)^#.*\n", "", lock.read_text(encoding="utf-8"))
        (folder / "requirements.txt").write_text(f"{HEAD}{ours}\n{locked}", encoding="utf-8")
    print(f"Wrote a project into {folder}. Next, in that folder:")
    print("  python3 -m venv .venv && .venv/bin/pip install -r requirements.txt")
    print("  .venv/bin/pip install pytest && .venv/bin/pytest")
    print("  .venv/bin/foxhooks doctor --offline")
    print("README.md says how to deploy it.")


def _sources() -> tuple[Path, Path]:
    """Return the starter's folder and the locked requirements: of the checkout, else of the installed package."""
    checkout = Path(__file__).parents[2]
    if (checkout / "examples" / "starter").is_dir():
        return checkout / "examples" / "starter", checkout / "requirements.txt"
    installed = Path(sysconfig.get_path("data")) / SHARED
    if not installed.is_dir():
        raise CommandError(f"{installed} is missing: install foxhooks again")
    return installed / "starter", installed / "requirements.txt"


def _wheel(scratch: Path) -> Path | None:
    """Return the wheel of foxhooks to put into the project; None if pip can download foxhooks from an index."""
    origin = _origin(distribution("foxhooks"))
    if origin is None:
        return None
    if origin.is_file():
        return origin
    source = scratch / "source"  # a build leaves files behind, so it gets a copy
    source.mkdir()
    for name in ("pyproject.toml", "requirements.txt", "README.md", "LICENSE"):
        shutil.copyfile(origin / name, source / name)
    for name in ("service", "workers", "examples/starter"):
        shutil.copytree(origin / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "--quiet", "--no-deps"]
    done = subprocess.run(
        [*pip, "--no-build-isolation", "--wheel-dir", str(scratch), str(source)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise CommandError(f"the wheel of foxhooks cannot be built from {origin}: {done.stderr.strip()[-500:]}")
    [wheel] = scratch.glob("foxhooks-*.whl")
    return wheel


def _origin(installed: Distribution) -> Path | None:
    """Return the checkout or wheel that foxhooks was installed from (PEP 610); None if it was an index."""
    record = json.loads(installed.read_text("direct_url.json") or "{}")
    parts = urlsplit(record.get("url", ""))
    path = Path(unquote(parts.path))
    return path if parts.scheme == "file" and path.exists() else None
