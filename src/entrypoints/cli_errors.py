"""What goes wrong on the command line: told in a few lines with what to do about it, and in the exit code."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from entrypoints.settings import Settings

FAILED = 1
BAD_SETTINGS = 2


def load_settings(*, quiet: bool = False) -> "Settings":
    """The settings of this environment and of `.env` here, and logging as they say; ``quiet`` is for short commands."""
    from entrypoints.observability import configure_logging
    from entrypoints.settings import Settings

    settings = Settings.load(os.environ, Path(".env"))
    level = settings.logging.level
    configure_logging(
        settings.logging.format, "warning" if quiet and level == "info" else level, secrets=settings.secrets
    )
    for suspect in settings.suspects:
        where = f" (stands in {suspect.where})" if suspect.where else ""
        typer.echo(f"crossdock: {suspect.variable} {suspect.wrong}{where}", err=True)
    return settings


@contextmanager
def readable_errors(*more: type[Exception]) -> Iterator[None]:
    """Turn what was foreseen, and ``more``, into words and an exit code; what was not keeps its traceback."""
    from entrypoints.settings import SettingsError
    from entrypoints.terminal import printable
    from ports.errors import PortError

    foreseen: tuple[type[Exception], ...] = (PortError, OSError, *more)
    try:
        yield
    except SettingsError as error:
        count = len(error.problems)
        typer.echo(f"crossdock: {count} setting{'s' if count > 1 else ''} cannot be used\n", err=True)
        for problem in error.problems:
            typer.echo(f"  {problem.variable}\n    {problem.wrong}", err=True)
            if problem.allowed:
                typer.echo(f"    allowed: {problem.allowed}", err=True)
            if problem.where:
                typer.echo(f"    stands in: {problem.where}", err=True)
        typer.echo("\n`.env.example` lists all settings.", err=True)
        raise typer.Exit(BAD_SETTINGS) from None
    except foreseen as error:
        # Errors of ports are written for operators: they name the service and what to look at.
        typer.echo(f"crossdock: {printable(str(error))}", err=True)
        raise typer.Exit(FAILED) from None
