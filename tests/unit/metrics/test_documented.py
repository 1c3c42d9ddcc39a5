"""That the table of metrics in the documents is the truth, and all of it."""

import re
from pathlib import Path

from entrypoints.metrics.family import Family, Kind
from entrypoints.testing import crossdock

OPERATING = Path(__file__).parents[3] / "docs" / "operating.md"
ROW = re.compile(r"^\| `(crossdock_\w+)` \| (\w+) \|([\w, ]*)\| .+ \|$", re.MULTILINE)
ENDINGS = {Kind.COUNTER: "_total", Kind.INFO: "_info"}


def told(family: Family) -> tuple[str, str, tuple[str, ...]]:
    return family.name + ENDINGS.get(family.kind, ""), family.kind, family.labels


async def test_the_table_of_metrics_is_what_a_process_tells() -> None:
    table = {
        (name, kind, tuple(re.findall(r"\w+", labels))) for name, kind, labels in ROW.findall(OPERATING.read_text())
    }

    async with crossdock() as dock:
        families = await dock.container.metrics().families()

    ours = [family for family in families if family.name.startswith("crossdock_")]
    assert {told(family) for family in ours} == table
    assert len(ours) == len(table)
