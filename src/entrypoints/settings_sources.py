"""Where values come from, and the one list of what is wrong with them."""

import difflib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from io import StringIO
from pathlib import Path

from dotenv.parser import parse_stream

from entrypoints.terminal import printable

PREFIX = "CROSSDOCK_"


class Origin(StrEnum):
    """Where a value was found."""

    DEFAULT = "default"
    ENVIRONMENT = "environment"
    DOTENV = ".env"


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with one variable, and what is allowed."""

    variable: str
    wrong: str
    allowed: str = ""

    def __str__(self) -> str:
        return f"{self.wrong}; allowed: {self.allowed}" if self.allowed else self.wrong


class SettingsError(Exception):
    """The settings cannot be used; ``problems`` is everything that is wrong with them."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__(
            "the settings cannot be used:\n"
            + "\n".join(f"  {problem.variable}: {problem}" for problem in self.problems)
        )


class Given:
    """The values that were given, the environment before ``.env``.

    An empty value counts as none, as it does in a compose file; in the environment it still hides the one in ``.env``.
    """

    def __init__(self, environ: Mapping[str, str], dotenv: Mapping[str, str]) -> None:
        both = {**dotenv, **environ}
        self.values: Mapping[str, str] = {name: text.strip() for name, text in both.items() if text.strip()}
        self._environ = environ

    def origin(self, name: str) -> Origin:
        """Where the value in use comes from."""
        if name not in self.values:
            return Origin.DEFAULT
        return Origin.ENVIRONMENT if name in self._environ else Origin.DOTENV

    def unknown(self, known: Collection[str]) -> list[Problem]:
        """A problem for each name with our prefix that means nothing."""
        return [
            Problem(printable(name), _suggestion(name, known), "the names in .env.example")
            for name in sorted(self.values)
            if name.upper().startswith(PREFIX) and name not in known
        ]


def read_dotenv(path: Path) -> tuple[Mapping[str, str], list[Problem]]:
    """The values of a ``.env`` file, none when there is no such file, and a problem for each line that cannot be read.

    Values are not interpolated: a ``$`` in a password is a ``$``.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        return {}, []
    except (OSError, UnicodeDecodeError) as error:
        return {}, [Problem(".env", f"cannot be read ({type(error).__name__})", "a text file in UTF-8")]
    values, problems = {}, []
    for line in parse_stream(StringIO(text)):
        if line.error:
            problems.append(Problem(f".env line {line.original.line}", "cannot be read", "NAME=value"))
        elif line.key is not None:
            values[line.key] = line.value or ""
    return values, problems


def _suggestion(name: str, known: Collection[str]) -> str:
    ours = [candidate.removeprefix(PREFIX) for candidate in known if candidate.startswith(PREFIX)]
    near = difflib.get_close_matches(name.upper().removeprefix(PREFIX), ours, n=1)
    return f"is unknown; did you mean {PREFIX}{near[0]}?" if near else "is unknown"
