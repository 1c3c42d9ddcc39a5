import shutil
import socket
import subprocess
import time
from pathlib import Path

import pytest

from tools.node import FOLDER, NODE, install


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("package.json", "package-lock.json", ".npmrc"):
        shutil.copy(FOLDER / name, tmp_path)
    monkeypatch.setenv("npm_config_cache", str(tmp_path / "cache"))
    return tmp_path


def test_without_a_registry_there_is_a_reason_and_no_installation(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        monkeypatch.setenv("npm_config_registry", f"http://127.0.0.1:{nobody.getsockname()[1]}/")

        why = install(folder)

    assert why is not None
    assert why.startswith("npm said:\n")
    assert "ECONNREFUSED" in why
    assert not (folder / "node_modules" / ".made-from").exists()


def test_a_registry_that_never_answers_is_not_waited_for(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        monkeypatch.setenv("npm_config_registry", f"http://127.0.0.1:{silent.getsockname()[1]}/")
        started = time.monotonic()

        why = install(folder, seconds=2)

    assert why == "it took more than 2 s"
    assert time.monotonic() - started < 20


def test_node_comes_with_the_test_tools() -> None:
    told = subprocess.run([str(NODE), "--version"], capture_output=True, text=True, check=True, timeout=30).stdout

    assert int(told.removeprefix("v").partition(".")[0]) >= 22
