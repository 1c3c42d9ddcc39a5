"""The command line. What a command needs is imported when it runs, so that help comes at once."""

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from entrypoints.cli_dead_letters import dead_letters
from entrypoints.cli_errors import FAILED, load_settings, readable_errors
from entrypoints.cli_help import Commands

if TYPE_CHECKING:
    from entrypoints.roles import Role
    from entrypoints.settings import Settings

app = Commands(
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
    _play(lambda settings: _processes().run_up(settings))


@app.command()
def api(
    workers: Annotated[
        int, typer.Option(min=1, max=256, envvar="WEB_CONCURRENCY", help="Processes that share the port.")
    ] = 1,
    fd: Annotated[int | None, typer.Option(hidden=True, help="The listening socket, from the parent.")] = None,
    place: Annotated[str | None, typer.Option(hidden=True, help="Among those on the socket, from the parent.")] = None,
) -> None:
    """Answer HTTP requests; relay, consumer and worker run beside it.

    Wants PostgreSQL and a real broker.
    """
    if fd is None or place is None:
        _play(lambda settings: _processes().run_api(settings, workers=workers))
    else:
        _play(lambda settings: _processes().run_api_worker(settings, fd, place))


@app.command()
def relay() -> None:
    """Carry what was recorded to the broker and to the task queue.

    Several may run.
    """
    _play(lambda settings: _processes().run_role(_role("relay"), settings))


@app.command()
def consumer() -> None:
    """Receive events and run reactions.

    Several may run; they share the work.
    """
    _play(lambda settings: _processes().run_role(_role("consumer"), settings))


@app.command()
def worker(
    concurrency: Annotated[
        int | None,
        typer.Option(min=1, max=256, help="Processes that perform tasks; one for each processor if not said."),
    ] = None,
) -> None:
    """Perform the tasks that Celery brings.

    Several may run. `celery -A entrypoints.celery_worker worker` does the same.
    """
    _play(lambda settings: _processes().run_worker(settings, concurrency=concurrency))


def _processes() -> Any:
    from entrypoints import processes

    return processes


def _role(name: str) -> "Role":
    from entrypoints.roles import Role

    return Role(name)


def _play(run: Callable[["Settings"], int]) -> None:
    """Run a process that lasts, and exit with its code."""
    from entrypoints.ending import end_when_told
    from entrypoints.listening import StartError

    end_when_told()  # what follows imports for a second or two
    with readable_errors():
        settings = load_settings()
        with readable_errors(StartError):
            code = run(settings)
    raise typer.Exit(code)


@app.command()
def migrate() -> None:
    """Bring the database to the newest schema.

    Safe to run twice at once.
    """
    with readable_errors():
        settings = load_settings()
        from entrypoints.processes import migrate as bring_to_newest

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
        from entrypoints.settings_report import settings_document

        typer.echo(json.dumps(settings_document(settings.lines), indent=2))
        return
    from entrypoints.cli_tables import settings_table, write

    write(settings_table(settings.lines))


@app.command()
def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="For machines.")] = False,
    wait: Annotated[
        float, typer.Option(min=0, max=86400, metavar="SECONDS", help="Look again until all is well, so long at most.")
    ] = 0,
    ask_weather: Annotated[
        bool, typer.Option("--ask-weather", help="Ask the weather provider as well, which spends a call.")
    ] = False,
) -> None:
    """Look at each service that was chosen, and say what to do.

    Also at the schema and the topics. Changes nothing, and exits with 1 when something is wrong.
    """
    import asyncio
    from dataclasses import asdict

    from entrypoints.doctor import examine_until_well, is_well
    from entrypoints.observability import configure_logging
    from entrypoints.roles import Role, check

    with readable_errors():
        settings = load_settings(quiet=True)
        check(Role.UP, settings)
        if settings.logging.level != "debug":
            # What goes wrong is what it tells.
            configure_logging(settings.logging.format, "critical", secrets=settings.secrets)
        found = asyncio.run(examine_until_well(settings, seconds=wait, ask_weather=ask_weather))
    well = is_well(found)
    if as_json:
        checks = {finding.check: {k: v for k, v in asdict(finding).items() if k != "check"} for finding in found}
        typer.echo(json.dumps({"status": "ready" if well else "unavailable", "checks": checks}, indent=2))
    else:
        from entrypoints.cli_tables import findings_table, write

        write(findings_table(found))
        wrong = sum(finding.status != "ready" for finding in found)
        typer.echo("\nAll is well." if well else f"\n{wrong} of {len(found)} are not as they have to be.")
    raise typer.Exit(0 if well else FAILED)


@app.command()
def openapi() -> None:
    """Print the OpenAPI document."""
    from entrypoints.container import build
    from entrypoints.settings import Settings
    from entrypoints.web.app import create_app

    # The document is the same whatever is chosen.
    document = create_app(build(Settings.defaults()), operator_token=None).openapi()
    typer.echo(json.dumps(document, indent=2))


@app.command()
def asyncapi() -> None:
    """Print the AsyncAPI document: the events, with the names that these settings give topics and exchange."""
    from entrypoints.asyncapi import describe_events

    with readable_errors():
        broker = load_settings().event_broker
    document = describe_events(topic_prefix=broker.topic_prefix, partitions=broker.partitions)
    typer.echo(json.dumps(document, indent=2, ensure_ascii=False))


def main() -> None:
    """Run the command line."""
    app(prog_name="crossdock")


if __name__ == "__main__":
    main()
