"""The settings as people read them: the file to start from."""

from itertools import groupby
from textwrap import wrap

from entrypoints.settings import Settings

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
