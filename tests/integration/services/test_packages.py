"""What installing asks of the machine, without installing anything."""

import os
import subprocess
from pathlib import Path

import pytest

from tools.services import packages
from tools.services.failures import NotInstalled
from tools.services.memcached import Memcached

NOBODY = 2**22 + 1  # above the highest pid


@pytest.mark.parametrize(
    ("writer", "before", "says"),
    [(os.getpid(), None, 101), (NOBODY, None, 0), (os.getpid(), 104, 101), (NOBODY, 104, 104)],
    ids=["while it installs", "left behind", "while it installs, over another", "left behind, over another"],
)
def test_the_policy_forbids_starts_only_while_its_writer_lives(
    tmp_path: Path, writer: int, before: int | None, says: int
) -> None:
    aside = tmp_path / "aside"
    if before is not None:
        aside.write_text(f"#!/bin/sh\nexit {before}\n")
        aside.chmod(0o755)
    policy = tmp_path / "policy"
    policy.write_text(packages.FORBIDS.format(pid=writer, aside=aside))

    assert subprocess.run(["sh", policy, "redis-server", "start"], check=False).returncode == says


@pytest.mark.parametrize(
    ("environment", "allowed"),
    [({}, False), ({"CI": "true"}, True), ({"INSTALL": "1"}, True), ({"INSTALL": "0"}, False), ({"CI": ""}, False)],
)
def test_nothing_is_installed_without_being_asked_for(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], allowed: bool
) -> None:
    for name in ("CI", "INSTALL"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    assert packages.may_install() is allowed


def test_what_is_missing_is_said_with_its_cure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Memcached, "missing", classmethod(lambda _: ["memcached"]))

    with pytest.raises(NotInstalled, match=r"apt install memcached"):
        Memcached(tmp_path / "memcached").start()
