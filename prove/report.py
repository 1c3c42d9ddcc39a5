"""What a proof has shown, for people."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from prove.verdict import Counts

HEAD = (
    "choice", "scenario", "promised", "kept", "unknown", "events", "twice", "mails", "again", "desk", "recovery s", "",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Outcome:
    """Of one scenario on one choice."""

    choice: str
    scenario: str
    counts: Counts | None
    recovery: float
    faults: list[str]
    notes: list[str] = field(default_factory=list)


def table(outcomes: Sequence[Outcome]) -> Iterator[str]:
    """Lines with a column for each number."""
    rows = [HEAD, *(_row(outcome) for outcome in outcomes)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEAD))]
    for row in rows:
        yield "  ".join(
            text.ljust(width) if column < 2 else text.rjust(width)
            for column, (text, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()


def verdict(outcomes: Sequence[Outcome]) -> str:
    """One line."""
    broken = [outcome for outcome in outcomes if outcome.faults]
    if broken:
        where = ", ".join(f"{outcome.scenario} on {outcome.choice}" for outcome in broken)
        return f"BROKEN: {sum(len(outcome.faults) for outcome in broken)} faults in {where}"
    kept = sum(outcome.counts.kept for outcome in outcomes if outcome.counts)
    return (
        f"KEPT: no loss, no double effect, no disorder, no ghost in {len(outcomes)} scenarios, {kept} orders and users"
    )


def _row(outcome: Outcome) -> tuple[str, ...]:
    counts = outcome.counts
    numbers = (
        ["–"] * 8
        if counts is None
        else [
            str(number)
            for number in (
                counts.promised,
                counts.kept,
                counts.unknown,
                counts.events,
                counts.duplicates,
                counts.mails,
                counts.mails_again,
                counts.desk,
            )
        ]
    )
    return (
        outcome.choice,
        outcome.scenario,
        *numbers,
        f"{outcome.recovery:.1f}",
        "broken" if outcome.faults else "kept",
    )
