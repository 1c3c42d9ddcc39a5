"""Prometheus' own tool, which reads rules, configurations and what a process tells as it does."""

from pathlib import Path
from subprocess import run

import pytest

from tools.services.programs import program

ROOT = Path(__file__).parents[3]
MONITORING = ROOT / "monitoring"
SECONDS = 60


def promtool(*arguments: str | Path, given: str = "") -> str:
    """What it says; it must be content."""
    tool = program("promtool")
    if tool is None:
        pytest.skip("promtool is not installed: it is in Debian's package prometheus")
    command = [str(tool), *map(str, arguments)]
    done = run(command, input=given, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"
    return done.stdout + done.stderr
