"""Tables for people."""

import os
import sys
from collections.abc import Iterable
from itertools import groupby

from rich.console import Console
from rich.table import Table
from rich.text import Text

from entrypoints.doctor import Finding
from entrypoints.settings_slots import Line
from entrypoints.terminal import printable
from ports.deliveries import Delivery

_WIDE = 240  # where neither a terminal nor COLUMNS says how wide it is, nothing is cut


def write(table: Table) -> None:
    """Show the table on standard output."""
    known = sys.stdout.isatty() or os.environ.get("COLUMNS", "").isdecimal()
    Console(width=None if known else _WIDE).print(table)


def settings_table(lines: Iterable[Line]) -> Table:
    """Each variable with its value and where that comes from, by port."""
    table = _table("setting", "value", "origin")
    for port, group in groupby(lines, key=lambda line: line.port):
        table.add_row(Text(port.replace("_", " "), style="bold"))
        for line in group:
            origin = line.origin if line.file is None else f"{line.origin} {line.file}"
            told = _text(origin if line.used else f"{origin}, not used by this choice")
            table.add_row(f"  {line.variable.name}", _text(line.shown), told, style=None if line.used else "dim")
    return table


def dead_letters_table(deliveries: Iterable[Delivery]) -> Table:
    """One row for each that waits."""
    table = _table("id", "lane", "name", "subject", "attempts", "last failed", "reason")
    for each in deliveries:
        table.add_row(
            _text(each.id),
            each.lane,
            _text(each.name),
            _text(each.subject or ""),
            str(each.attempts),
            "" if each.last_failed_at is None else f"{each.last_failed_at:%Y-%m-%d %H:%M:%S}Z",
            _text(each.reason or ""),
        )
    return table


def findings_table(found: Iterable[Finding]) -> Table:
    """What was found about each thing; below what is not as it has to be, what to do about it."""
    table = _table("check", "status", "cause", "what was found")
    for finding in found:
        style = None if finding.status == "ready" else "red"
        table.add_row(finding.check, Text(finding.status, style or "green"), finding.cause, _text(finding.detail))
        if finding.cure:
            table.add_row("", "", "", Text(f"→ {finding.cure}", style="bold"))
    return table


def _table(*columns: str) -> Table:
    table = Table(box=None, header_style="dim", pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _text(value: str) -> Text:
    # Text and not str: what others wrote may hold the markup of rich.
    return Text(printable(value))
