"""The command line. What a command needs is imported when it runs, so that help comes at once."""

import json
from typing import Annotated

import typer

from entrypoints.cli_dead_letters import dead_letters
from entrypoints.cli_errors import load_settings, readable_errors

app = typer.Typer(
    help="Users, orders and the weather; brokers, queues and databases are chosen by settings.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,  # its tracebacks show local variables, and with them secrets
)
app.add_typer(dead_letters, name="dead-letters")


def _tell_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"crossdock {version('crossdock')}")
        raise typer.Exit


@app.callback()
def _whole(
    _version: Annotated[
        bool, typer.Option("--version", callback=_tell_version, is_eager=True, help="Say which version this is.")
    ] = False,
) -> None:
    pass


@app.command()
def up(
    workers: Annotated[
        int, typer.Option(min=1, envvar="WEB_CONCURRENCY", help="Only 1: everything shares this one process.")
    ] = 1,
) -> None:
    """Migrate, then run everything in one process."""
    if workers != 1:
        raise typer.BadParameter(
            "`crossdock up` is one process with all roles in it; with several workers each would be a whole service of "
            "its own, with its own in-memory broker, and a message of one would never reach another",
            param_hint="--workers",
        )
    with readable_errors():
        settings = load_settings()
        from entrypoints.startup import StartError, run_up

        with readable_errors(StartError):
            code = run_up(settings)
    raise typer.Exit(code)


@app.command()
def migrate() -> None:
    """Bring the database to the newest schema.

    Safe to run twice at once.
    """
    with readable_errors():
        settings = load_settings()
        from entrypoints.startup import migrate as bring_to_newest

        changed = bring_to_newest(settings)
    typer.echo("The database has the newest schema now." if changed else "The database has the newest schema already.")


@app.command()
def config(as_json: Annotated[bool, typer.Option("--json", help="For machines.")] = False) -> None:
    """Show the settings in effect and where each comes from.

    Secrets are masked.
    """
    with readable_errors():
        settings = load_settings()
    if as_json:
        document = {
            line.variable.name: {
                "value": line.shown,
                "origin": line.origin,
                "default": line.default,
                "port": line.port,
                "used": line.used,
            }
            for line in settings.lines
        }
        typer.echo(json.dumps(document, indent=2))
        return
    from entrypoints.cli_tables import settings_table, write

    write(settings_table(settings.lines))


@app.command()
def openapi() -> None:
    """Print the OpenAPI document."""
    from entrypoints.container import build
    from entrypoints.settings import Settings
    from entrypoints.web.app import create_app

    # The document is the same whatever is chosen.
    document = create_app(build(Settings.defaults()), operator_token=None).openapi()
    typer.echo(json.dumps(document, indent=2))


def main() -> None:
    """Run the command line."""
    app(prog_name="crossdock")


if __name__ == "__main__":
    main()
