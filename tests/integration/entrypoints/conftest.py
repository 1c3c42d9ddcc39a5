import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.entrypoints.api import PATIENCE, ROOT, Api

Start = Callable[..., Api]


@pytest.fixture
def migrated(database_url: str) -> str:
    migrate = [sys.executable, "-m", "entrypoints.cli", "migrate"]
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT / "src"), "DATABASE_URL": database_url}
    subprocess.run(migrate, env=environ, check=True, capture_output=True, timeout=PATIENCE)
    return database_url


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    started: list[Api] = []

    def begin(url: str, *arguments: str, **environ: str) -> Api:
        started.append(Api(url, tmp_path, *arguments, **environ))
        return started[-1]

    yield begin
    for api in started:
        for pid in api.children:
            os.kill(pid, signal.SIGKILL)
        api.parent.kill()
        api.parent.wait()
