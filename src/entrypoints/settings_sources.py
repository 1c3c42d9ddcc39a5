"""Where values come from, and the one list of what is wrong with them."""

import difflib
from collections.abc import Collection, Iterable, Mapping, Set
from dataclasses import dataclass, field
from enum import StrEnum
from io import StringIO
from pathlib import Path

from dotenv.parser import parse_stream

from entrypoints.settings_files import FORM, SUFFIX, Unreadable, files_in, value_in, with_files
from entrypoints.terminal import printable

PREFIX = "CROSSDOCK_"
FOLDER = "CROSSDOCK_SECRETS_DIR"
_NEAR = 0.9  # one or two letters of an ordinary name


class Origin(StrEnum):
    """Where a value was found."""

    DEFAULT = "default"
    ENVIRONMENT = "environment"
    DOTENV = ".env"
    FILE = "file"


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with one variable, and what is allowed."""

    variable: str
    wrong: str
    allowed: str = ""
    where: str = field(default="", compare=False)  # where the value stands, when that is not the environment

    def __str__(self) -> str:
        told = f"{self.wrong}; allowed: {self.allowed}" if self.allowed else self.wrong
        return f"{told}; stands in {self.where}" if self.where else told


class SettingsError(Exception):
    """The settings cannot be used; ``problems`` is everything that is wrong with them."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__(
            "the settings cannot be used:\n"
            + "\n".join(f"  {problem.variable}: {problem}" for problem in self.problems)
        )


@dataclass(frozen=True, slots=True)
class Found:
    """A value, where it was found, and the file that it stood in."""

    text: str
    origin: Origin
    file: Path | None = None
    where: str = ""  # as a `Problem` says it


class Given:
    """The values that were given, and what is wrong with where they stand."""

    def __init__(
        self, found: Mapping[str, Found], problems: Iterable[Problem] = (), suspects: Iterable[Problem] = ()
    ) -> None:
        self._found = found
        self.suspects = tuple(suspects)  # what may be a mistake, and is not refused
        self.values: Mapping[str, str] = {name: one.text.strip() for name, one in found.items()}
        self.problems = tuple(problems)

    def origin(self, name: str) -> Origin:
        """Where the value in use comes from."""
        return self._found[name].origin if name in self._found else Origin.DEFAULT

    def file(self, name: str) -> Path | None:
        """The file that the value in use stood in."""
        return self._found[name].file if name in self._found else None

    def where(self, name: str) -> str:
        """Where the value in use stands, in words; nothing for the environment."""
        return self._found[name].where if name in self._found else ""

    def lacks(self, name: str) -> bool:
        """Whether a value was given and could not be had."""
        return any(problem.variable in {name, f"{name}{SUFFIX}"} for problem in self.problems)


def given(environ: Mapping[str, str], dotenv: Mapping[str, str], known: Set[str]) -> Given:
    """The values of these settings: of the environment, else of ``.env``, else of the folder of secrets.

    The first two give a value by its name or by the name of a file with it. An empty value counts as none, as it does
    in a compose file; in the environment it still hides what stands behind.
    """
    found: dict[str, Found] = {}
    problems: list[Problem] = []
    sources = ((environ, Origin.ENVIRONMENT), (dotenv, Origin.DOTENV))
    folder = next((source[FOLDER].strip() for source, _ in sources if FOLDER in source), "")
    files = _folder(folder, problems) if folder else {}
    for name in known:
        for source, origin in sources:
            if name in source or f"{name}{SUFFIX}" in source:
                one = _found_in(source, origin, name, problems)
                break
        else:
            one = _found_in_folder(files.get(name, ()), name, problems)
        if one is not None:
            found[name] = one
    names = with_files(known - {FOLDER}) | {FOLDER}
    for source, where in ((environ, ""), (dotenv, str(Origin.DOTENV)), (dict.fromkeys(files, "x"), f"{FOLDER}")):
        filled = {name for name in source if source[name].strip()} - names
        problems.extend(_unknown({name for name in filled if name.upper().startswith(PREFIX)}, names, where))
    suspects = (suspect for source, origin in sources for suspect in _suspects(source, names, _place(origin)))
    return Given(found, problems, suspects)


def _found_in(source: Mapping[str, str], origin: Origin, name: str, problems: list[Problem]) -> Found | None:
    value, path = source.get(name, ""), source.get(f"{name}{SUFFIX}", "").strip()
    if value.strip() and path:
        wrong = f"is given twice: by itself and by {name}{SUFFIX}"
        problems.append(Problem(name, wrong, "one of them", _place(origin)))
        return None
    if not path or name == FOLDER:
        return Found(value, origin, where=_place(origin)) if value.strip() else None
    try:
        # Not the path itself: it may be a secret, given by mistake.
        where = f"the file that {name}{SUFFIX} names"
        return Found(value_in(Path(path)), Origin.FILE, Path(path), where)
    except Unreadable as error:
        wrong = f"names a file that {error}"
        problems.append(Problem(f"{name}{SUFFIX}", wrong, f"the path of {FORM}", _place(origin)))
        return None


def _found_in_folder(paths: Collection[Path], name: str, problems: list[Problem]) -> Found | None:
    if len(paths) > 1:
        problems.append(
            Problem(name, f"is given twice in {FOLDER}: in capitals and in small letters", "one of the two")
        )
        return None
    for path in paths:
        try:
            return Found(value_in(path), Origin.FILE, path, f"the file {path.name} of {FOLDER}")
        except Unreadable as error:
            problems.append(
                Problem(name, f"is a file in {FOLDER} that {error}", "a text file of one line, at most 64 KiB")
            )
    return None


def _folder(path: str, problems: list[Problem]) -> Mapping[str, tuple[Path, ...]]:
    try:
        return files_in(Path(path))
    except Unreadable as error:
        problems.append(Problem(FOLDER, str(error), "the path of a folder"))
        return {}


def _place(origin: Origin) -> str:
    return str(origin) if origin is Origin.DOTENV else ""


def _unknown(names: Iterable[str], known: Collection[str], where: str) -> list[Problem]:
    """A problem for each of these names, which mean nothing."""
    allowed = "the names in .env.example, each also with _FILE"
    return [Problem(printable(name), _suggestion(name, known), allowed, where) for name in sorted(names)]


def _suspects(source: Mapping[str, str], known: Collection[str], where: str) -> list[Problem]:
    """Names that are ours but for a letter or two: environment and ``.env`` belong to others as well."""
    strange = {name for name, value in source.items() if value.strip() and not name.upper().startswith(PREFIX)}
    return [
        Problem(printable(name), f"is read by nobody here; did you mean {meant}?", where=where)
        for name in sorted(strange.difference(known))
        if (meant := near(name, known))
    ]


def near(name: str, known: Collection[str]) -> str:
    """The name that this one is but for a letter or two, or nothing."""
    close = [candidate for candidate in known if abs(len(candidate) - len(name)) <= 2]
    found = difflib.get_close_matches(name.upper(), close, n=1, cutoff=_NEAR)
    return found[0] if found else ""


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
        elif line.key is not None and line.value is None:
            problems.append(Problem(f".env line {line.original.line}", "has no `=`", "NAME=value"))
        elif line.key is not None:
            values[line.key] = line.value or ""
    return values, problems


def _suggestion(name: str, known: Collection[str]) -> str:
    # Without the prefix, which would make all of them alike.
    ours = {candidate.removeprefix(PREFIX): candidate for candidate in sorted(known, reverse=True)}
    if name.upper().startswith(PREFIX):
        ours = {short: candidate for short, candidate in ours.items() if candidate.startswith(PREFIX)}
    found = difflib.get_close_matches(name.upper().removeprefix(PREFIX), ours, n=1)
    return f"is unknown; did you mean {ours[found[0]]}?" if found else "is unknown"
