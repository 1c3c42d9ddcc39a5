"""The desk on the command line: what could not be delivered, and what a person does about it."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from entrypoints.cli_errors import FAILED, load_settings, readable_errors
from entrypoints.cli_help import Commands
from ports.deliveries import Lane

if TYPE_CHECKING:
    from domain.delivery.dead_letters import DeadLetters
    from ports.deliveries import Delivery
    from ports.persistence import Sought

T = TypeVar("T")

SHOWN_MOST = 100
_PAGE = 100
_LONG_WORK = 20  # from so many on a bar shows how far it is

Json = Annotated[bool, typer.Option("--json", help="For machines.")]
All = Annotated[bool, typer.Option("--all", help="Everything that waits.")]
Ids = Annotated[list[str] | None, typer.Argument(help="As `list` shows them.", show_default=False)]
OfLane = Annotated[Lane | None, typer.Option("--lane", help="Only of this lane.")]
InName = Annotated[str, typer.Option("--name", help="Only with this in the name.", show_default=False)]
InSubject = Annotated[str, typer.Option("--subject", help="Only with this in the subject.", show_default=False)]
InReason = Annotated[str, typer.Option("--reason", help="Only with this in the reason.", show_default=False)]

dead_letters = Commands(help="What could not be delivered: list, show, replay or discard it.", no_args_is_help=True)


@dead_letters.command("list")
def list_(  # noqa: PLR0917 - options, each by its name
    as_json: Json = False,
    everything: All = False,
    lane: OfLane = None,
    name: InName = "",
    subject: InSubject = "",
    reason: InReason = "",
) -> None:
    """List what waits for a person, oldest first; with --json always all of it."""
    most = None if as_json or everything else SHOWN_MOST + 1
    sought = _sought(lane, name, subject, reason)
    found = _at_desk(lambda desk: _collect(desk, sought, most=most))
    if as_json:
        from entrypoints.web.operator import dead_letter_document

        typer.echo(json.dumps([dead_letter_document(each) for each in found], indent=2))
        return
    if not found:
        typer.echo("Nothing waits.")
        return
    from entrypoints.cli_tables import dead_letters_table, write

    shown = found if everything else found[:SHOWN_MOST]
    write(dead_letters_table(shown))
    if len(found) > len(shown):
        typer.echo(f"These are the oldest {SHOWN_MOST}; --all lists all.")


@dead_letters.command()
def show(id: Annotated[str, typer.Argument(help="As `list` shows it.")], as_json: Json = False) -> None:
    """Show one with its body and its story."""
    delivery = _at_desk(lambda desk: desk.get(id))
    from entrypoints.terminal import printable
    from entrypoints.web.operator import whole_dead_letter_document

    document: dict[str, Any] = {**whole_dead_letter_document(delivery)}
    if as_json:
        typer.echo(json.dumps(document, indent=2))
        return
    for name, value in document.items():
        if name == "story":
            typer.echo("story:")
            for line in value:
                typer.echo(printable(f"  {line['at']}  {line['what']}  {line['why']}".rstrip()))
        elif isinstance(value, dict):
            typer.echo(f"{name}:")
            for key, inner in value.items():
                typer.echo(printable(f"  {key}: {inner}"))
        else:
            typer.echo(printable(f"{name}: {'' if value is None else value}"))


@dead_letters.command()
def replay(  # noqa: PLR0917 - options, each by its name
    ids: Ids = None,
    everything: All = False,
    as_json: Json = False,
    lane: OfLane = None,
    name: InName = "",
    subject: InSubject = "",
    reason: InReason = "",
) -> None:
    """Try again from the start, at the same place in the order; with --all and a filter, all that match."""
    _change("replayed", ids or [], _sought(lane, name, subject, reason), everything=everything, as_json=as_json)


@dead_letters.command()
def discard(  # noqa: PLR0917 - options, each by its name
    ids: Ids = None,
    everything: All = False,
    as_json: Json = False,
    lane: OfLane = None,
    name: InName = "",
    subject: InSubject = "",
    reason: InReason = "",
    yes: Annotated[bool, typer.Option("--yes", help="With --all, do not ask on a terminal.")] = False,
) -> None:
    """Give up, so that what waits behind goes on; with --all and a filter, all that match."""
    sought = _sought(lane, name, subject, reason)
    if everything and not ids and not yes and sys.stdin.isatty():
        which = "everything that waits" if sought == _sought() else "all that match"
        typer.confirm(f"Give up {which}?", abort=True)
    _change("discarded", ids or [], sought, everything=everything, as_json=as_json)


def _sought(lane: Lane | None = None, name: str = "", subject: str = "", reason: str = "") -> "Sought":
    from ports.persistence import Sought

    return Sought(lane=lane, name=name, subject=subject, reason=reason)


def _change(outcome: str, ids: list[str], sought: "Sought", *, everything: bool, as_json: bool) -> None:
    if everything == bool(ids) or (ids and sought != _sought()):
        raise typer.BadParameter("give either ids, or --all with or without a filter", param_hint="ID…")

    async def work(desk: "DeadLetters") -> tuple[list[str], list[str]]:
        change = desk.replay if outcome == "replayed" else desk.discard
        # Collected first: what fails again meanwhile is not taken a second time.
        chosen = (
            [each.id for each in await _collect(desk, sought, most=None)] if everything else list(dict.fromkeys(ids))
        )
        return await _each(change, chosen, outcome)

    done, gone = _at_desk(work)
    if as_json:
        told = dict.fromkeys(done, outcome) | dict.fromkeys(gone, "not-found")
        typer.echo(json.dumps([{"id": each, "outcome": became} for each, became in told.items()], indent=2))
    else:
        typer.echo(f"{len(done)} {outcome}.")
        for each in gone:
            typer.echo(f"There is no dead letter {each}: it may have been replayed or discarded meanwhile.", err=True)
    if gone and not everything:
        raise typer.Exit(FAILED)


async def _each(change: Callable[[str], Awaitable[None]], ids: list[str], outcome: str) -> tuple[list[str], list[str]]:
    from domain.delivery.dead_letters import DeadLetterNotFound

    done: list[str] = []
    gone: list[str] = []
    for each in _with_bar(ids, outcome):
        try:
            await change(each)
        except DeadLetterNotFound:
            gone.append(each)
        else:
            done.append(each)
    return done, gone


def _with_bar(ids: list[str], outcome: str) -> Iterable[str]:
    if len(ids) < _LONG_WORK or not sys.stderr.isatty():
        return ids
    from rich.console import Console
    from rich.progress import track

    return track(ids, description=outcome, console=Console(stderr=True))


async def _collect(desk: "DeadLetters", sought: "Sought", *, most: int | None) -> "list[Delivery]":
    found: list[Delivery] = []
    async for each in _all(desk, sought):
        found.append(each)
        if len(found) == most:
            break
    return found


async def _all(desk: "DeadLetters", sought: "Sought") -> "AsyncIterator[Delivery]":
    after: int | None = 0
    while after is not None:
        page = await desk.page(after=after, limit=_PAGE, sought=sought)
        for each in page.items:
            yield each
        after = page.next_after


def _at_desk(work: "Callable[[DeadLetters], Awaitable[T]]") -> T:
    """Do work at the desk of the chosen database."""
    from domain.delivery.dead_letters import DeadLetterNotFound

    with readable_errors(DeadLetterNotFound):
        settings = load_settings(quiet=True)
        if settings.persistence.backend == "memory":
            typer.echo(
                "DATABASE_URL is memory://: what waits is known to the running process alone. "
                "Its operator page, /operator/, shows it.",
                err=True,
            )
            raise typer.Exit(FAILED)
        from entrypoints.startup import desk

        async def at_desk() -> T:
            async with desk(settings) as opened:
                return await work(opened)

        return asyncio.run(at_desk())
