"""The standing servers in containers, by `compose.yaml`, where an engine answers."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

from tools.services.addresses import FOLDER, SHIFT
from tools.services.failures import Failure

COMPOSE: Final = Path(__file__).parents[2] / "compose.yaml"
CLIENT: Final = ("docker",)
PROJECT: Final = "crossdock-services"
ANSWERS_WITHIN: Final = 10
STARTS_WITHIN: Final = 900  # with its image on the way


def engine_answers() -> bool:
    """Whether there is an engine, not its client alone, and Compose. The ports of compose.yaml are fixed."""
    if SHIFT or not shutil.which("docker"):
        return False
    try:
        return all(
            subprocess.run([*CLIENT, *asked], capture_output=True, check=False, timeout=ANSWERS_WITHIN).returncode == 0
            for asked in (["info"], ["compose", "version"])
        )
    except subprocess.TimeoutExpired:
        return False


def start(name: str) -> None:
    """Return when its health check is content. `Failure` has the last of what it said."""
    try:
        _compose("--profile", name, "up", "--detach", "--wait", "--wait-timeout", "90", name)
    except Failure as failed:
        raise Failure(f"{failed}\n{_compose('--profile', name, 'logs', '--tail', '20', name)}") from failed


def stop(name: str) -> None:
    """Stop it, and remove it with its data."""
    _compose("--profile", name, "rm", "--stop", "--force", "--volumes", name)


def tidy() -> None:
    """Remove what is left when no server is."""
    _compose("--profile", "*", "down", "--volumes", "--remove-orphans")


def _compose(*arguments: str) -> str:
    command = [*CLIENT, "compose", "--project-name", PROJECT, "--file", str(COMPOSE), *arguments]
    environment = {**os.environ, "SERVICES_FOLDER": str(FOLDER)}
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment,
            check=False,
            timeout=STARTS_WITHIN,
        )
    except subprocess.TimeoutExpired as late:
        raise Failure(f"`{' '.join(command)}` did not end within {STARTS_WITHIN} s") from late
    if done.returncode:
        raise Failure(f"`{' '.join(command)}` failed:\n{done.stdout}")
    return done.stdout
