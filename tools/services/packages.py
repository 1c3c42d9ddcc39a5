"""Installs Debian packages, without letting them start their daemons."""

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Final

from tools.services.failures import Failure

SECONDS: Final = 1200
APT: Final = ("apt-get", "--quiet", "--option=DPkg::Lock::Timeout=300")  # another apt-get is waited for
POLICY: Final = Path("/usr/sbin/policy-rc.d")  # asked by invoke-rc.d and deb-systemd-invoke before they start anything
ASIDE: Final = POLICY.with_name("policy-rc.d.aside")
UNITS: Final = {
    "postgresql": "postgresql.service",
    "rabbitmq-server": "rabbitmq-server.service",
    "redis-server": "redis-server.service",
    "memcached": "memcached.service",
    "prometheus": "prometheus.service",
}
# It forbids as long as who wrote it lives: should that be killed, the machine is as it was.
FORBIDS: Final = '#!/bin/sh\n[ ! -d /proc/{pid} ] || exit 101\n[ ! -x {aside} ] || exec {aside} "$@"\n'


def may_install() -> bool:
    """Whether whoever runs this has allowed it."""
    return os.environ.get("CI") == "true" or os.environ.get("INSTALL", "") not in {"", "0"}


def install(packages: Sequence[str]) -> None:
    """Install them, as root. `Failure` says what hindered it."""
    if not shutil.which("apt-get"):
        raise Failure(f"this is no Debian, so {', '.join(packages)} cannot be installed by apt-get")
    with _no_daemons():
        _as_root([*APT, "update"])
        _as_root([*APT, "install", "--yes", "--no-install-recommends", *packages])
    if Path("/run/systemd/system").exists():  # nor shall the next boot start them
        _as_root(["systemctl", "disable", "--now", *(UNITS[package] for package in packages if package in UNITS)])


def _as_root(command: Sequence[str | Path]) -> None:
    sudo = [] if os.geteuid() == 0 else ["sudo", "--non-interactive"]
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    keep = ["env", "DEBIAN_FRONTEND=noninteractive"] if sudo else []
    try:
        done = subprocess.run(
            [*sudo, *keep, *command],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=SECONDS,
        )
    except (FileNotFoundError, subprocess.TimeoutExpired) as failed:
        raise Failure(f"{' '.join(map(str, command))} cannot be run: {failed}") from failed
    if done.returncode:
        raise Failure(f"{' '.join(map(str, command))} failed with {done.returncode}:\n{done.stdout}")


@contextmanager
def _no_daemons() -> Iterator[None]:
    """A policy for the time of the installation; one that was there is put aside and comes back."""
    if POLICY.exists() and not ASIDE.exists():
        _as_root(["mv", POLICY, ASIDE])
    with NamedTemporaryFile("w", suffix=".sh") as policy:
        policy.write(FORBIDS.format(pid=os.getpid(), aside=ASIDE))
        policy.flush()
        _as_root(["install", "--mode=755", policy.name, POLICY])
    try:
        yield
    finally:
        if ASIDE.exists():
            _as_root(["mv", ASIDE, POLICY])
        else:
            _as_root(["rm", "--force", POLICY])
