"""The files around the code: what GitHub and pre-commit read is well formed and agrees with the project."""

import hashlib
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

ROOT = Path(__file__).parents[1]
WORKFLOW = ROOT / ".github" / "workflows" / "test.yml"
FORMS = sorted(path for path in (ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml") if path.name != "config.yml")
DOCUMENTS = [
    *ROOT.glob("*.md"),
    *(ROOT / "docs").glob("*.md"),
    ROOT / "deploy" / "README.md",
    ROOT / "examples" / "starter" / "README.md",
]
TEXT = {"type": "string", "minLength": 1}
# The parts of GitHub's form schema that we use ("Syntax for issue forms").
FORM = {
    "type": "object",
    "additionalProperties": False,
    "required": ["name", "description", "body"],
    "properties": {
        "name": TEXT,
        "description": TEXT,
        "labels": {"type": "array", "items": TEXT},
        "body": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["type", "attributes"],
                "properties": {
                    "type": {"enum": ["markdown", "textarea", "input", "dropdown"]},
                    "id": {"type": "string", "pattern": "^[A-Za-z0-9_-]+$"},
                    "validations": {
                        "type": "object",
                        "additionalProperties": False,
                        "properties": {"required": {"type": "boolean"}},
                    },
                    "attributes": {
                        "type": "object",
                        "additionalProperties": False,
                        "properties": {
                            **dict.fromkeys(("label", "description", "placeholder", "value", "render"), TEXT),
                            "options": {"type": "array", "minItems": 1, "uniqueItems": True, "items": TEXT},
                        },
                    },
                },
            },
        },
    },
}


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.name)
def test_an_issue_form_has_the_documented_shape(path: Path) -> None:
    form = load(path)
    jsonschema.validate(form, FORM)
    for field in form["body"]:
        assert ("value" if field["type"] == "markdown" else "label") in field["attributes"]
        assert (field["type"] == "dropdown") == ("options" in field["attributes"])


def test_the_workflow_runs_every_supported_python_and_store() -> None:
    jobs = load(WORKFLOW)["jobs"]
    classifiers = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["classifiers"]
    supported = {found[1] for found in (re.fullmatch(r".*:: (3\.\d+)", text) for text in classifiers) if found}
    tested = jobs["test"]["strategy"]["matrix"]["include"]

    assert set(jobs["check"]["strategy"]["matrix"]["python"]) == supported
    assert {job["python"] for job in tested} == supported
    assert {(job["server"], job["release"].partition(".")[0]) for job in tested} == {
        ("redis", "7"),
        ("redis", "8"),
        ("valkey", "8"),
        ("valkey", "9"),
    }
    assert load(WORKFLOW)["permissions"] == {"contents": "read"}
    for job in jobs.values():
        assert {"runs-on", "timeout-minutes", "steps"} <= job.keys()
        assert all(("run" in step) != ("uses" in step) for step in job["steps"])


@pytest.mark.parametrize("job", ["check", "test", "coverage", "demo"])
def test_the_workflow_runs_targets_that_the_makefile_has(job: str) -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    commands = [step["run"] for step in load(WORKFLOW)["jobs"][job]["steps"] if "run" in step]
    called = [found[1] for found in (re.match(r"make PYTHON=python (\w+)", command) for command in commands) if found]
    assert called
    assert set(called) <= targets


def test_the_workflows_have_no_known_weakness() -> None:
    zizmor = Path(sys.executable).parent / "zizmor"
    done = subprocess.run(
        [zizmor, "--offline", "--quiet", "--no-progress", ROOT / ".github" / "workflows"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.e2e
def test_a_wheel_of_the_same_commit_has_the_same_bytes() -> None:
    def build() -> str:
        subprocess.run(["make", "wheel"], cwd=ROOT, capture_output=True, check=True)
        [wheel] = (ROOT / "dist").glob("*.whl")
        return hashlib.sha256(wheel.read_bytes()).hexdigest()

    assert build() == build()


def test_dependabot_watches_every_ecosystem_in_a_folder_that_has_one() -> None:
    updates = {
        update["package-ecosystem"]: update["directory"] for update in load(ROOT / ".github/dependabot.yml")["updates"]
    }
    assert updates == {"pip": "/", "github-actions": "/", "docker": "/deploy"}
    assert (ROOT / "deploy" / "Dockerfile").exists()


def test_pre_commit_installs_nothing() -> None:
    repositories = load(ROOT / ".pre-commit-config.yaml")["repos"]
    assert [found["repo"] for found in repositories] == ["local"]
    for hook in repositories[0]["hooks"]:
        assert hook["language"] in {"system", "pygrep"}
        if hook["language"] == "system":
            assert shlex.split(hook["entry"])[0].startswith(".venv/bin/")
        else:
            re.compile(hook["entry"])


def anchors(text: str) -> set[str]:
    """Return the anchors of a page: those that GitHub makes of its headings, and its own."""
    titles = re.findall(r"^#+ (.*)$", re.sub(r"```.*?```", "", text, flags=re.DOTALL), re.MULTILINE)
    made = {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}
    return made | set(re.findall(r'<a id="([^"]+)">', text))


@pytest.mark.parametrize("page", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_in_a_document_leads_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        if "://" in link:
            continue
        if not target.exists() or (anchor and anchor not in anchors(target.read_text())):
            broken.append(link)
    assert broken == []


@pytest.mark.parametrize("page", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_test_named_in_a_document_exists(page: Path) -> None:
    sources = "".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    assert [name for name in re.findall(r"`(test_\w+)`", page.read_text()) if f"def {name}(" not in sources] == []


def test_the_glossary_is_in_alphabetical_order_and_defines_each_term_once() -> None:
    terms = re.findall(r"^\*\*(.+?)\*\*:", (ROOT / "docs" / "glossary.md").read_text(), re.MULTILINE)
    order = [term.lower().replace("_", " ") for term in terms]
    assert order == sorted(set(order))
