"""The settings as others read them: the file to start from, and what is in effect."""

from collections.abc import Iterable
from itertools import groupby
from textwrap import wrap
from typing import NotRequired

from typing_extensions import TypedDict

from entrypoints.settings import Settings
from entrypoints.settings_slots import Line

_TITLES = {
    "persistence": "Persistence",
    "event_broker": "Event broker",
    "task_queue": "Task queue",
    "delivery": "Delivery",
    "weather": "Weather",
    "cache": "Cache",
    "mailer": "Mailer",
    "identity": "Identity",
    "server": "Server",
    "logging": "Logging",
    "telemetry": "Telemetry",
    "errors": "Errors",
    "files": "Settings from files",
    "faults": "Faults on purpose",
}
_HEAD = """\
# All settings with their defaults. Copy this file to .env and change what you need; the environment wins over .env.
# Instead of NAME=value each may be given as NAME_FILE=/path of a file that holds the value.
# Made by `make env`; a test keeps it current.
"""


def env_example() -> str:
    """The text of `.env.example`: each variable with its default, what it means and what is allowed, by port."""
    blocks = [_HEAD]
    for port, lines in groupby(Settings.defaults().lines, key=lambda line: line.port):
        blocks.append(f"# --- {_TITLES.get(port, port.capitalize())} ---\n")
        for line in lines:
            meaning = (
                f"{line.variable.meaning[0].upper()}{line.variable.meaning[1:]}. Allowed: {line.variable.allowed}."
            )
            told = "\n".join(f"# {part}" for part in wrap(meaning, 116, break_on_hyphens=False))
            blocks.append(f"{told}\n#{line.variable.name}={line.default}\n")
    return "\n".join(blocks)


class SettingDocument(TypedDict):
    """A setting in effect; what may be secret is masked. ``file`` is there when it was read from one of its own."""

    value: str
    origin: str
    file: NotRequired[str]
    default: str
    port: str
    used: bool


def settings_document(lines: Iterable[Line]) -> dict[str, SettingDocument]:
    """Each setting by its name."""
    return {
        line.variable.name: {
            "value": line.shown,
            "origin": line.origin,
            **({} if line.file is None else {"file": str(line.file)}),  # type: ignore[typeddict-item]
            "default": line.default,
            "port": line.port,
            "used": line.used,
        }
        for line in lines
    }
