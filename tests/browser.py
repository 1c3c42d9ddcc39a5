"""The browser of the system."""

from pathlib import Path

import pytest

from tools.services.packages import install, may_install
from tools.services.programs import program


def chromium() -> Path:
    """Chromium, installed where that is allowed."""
    if program("chromium") is None and may_install():
        install(["chromium"])
    found = program("chromium")
    if found is None:
        pytest.skip("chromium is not installed: apt install chromium (INSTALL=1 or CI=true does it)")
    return found
