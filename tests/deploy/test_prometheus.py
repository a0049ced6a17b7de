"""The alert rules: Prometheus accepts them, and each fires exactly when it should (needs Debian's prometheus)."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

RULES = Path(__file__).parents[2] / "deploy" / "prometheus"

pytestmark = pytest.mark.e2e


def promtool(*args: str) -> str:
    """Run promtool beside the rules; without it, skip the test, except in CI."""
    if shutil.which("promtool") is None:
        if os.environ.get("CI"):
            pytest.fail("promtool is not installed; CI needs the package prometheus")
        pytest.skip("promtool is not installed")
    done = subprocess.run(["promtool", *args], cwd=RULES, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_prometheus_accepts_the_rules() -> None:
    assert "SUCCESS: 14 rules found" in promtool("check", "rules", "alerts.yaml")


def test_each_rule_fires_when_it_should() -> None:
    assert "SUCCESS" in promtool("test", "rules", "alerts.test.yaml")
    rules = set(re.findall(r"alert: (\w+)", (RULES / "alerts.yaml").read_text()))
    fired = re.findall(r"alertname: (\w+)\n +exp_alerts", (RULES / "alerts.test.yaml").read_text())
    assert rules - set(fired) == set()
