"""That what watches this service asks for metrics that there are, and leads whoever is woken to a page."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from entrypoints import backlog
from entrypoints.consequences import RESTS_ON
from entrypoints.metrics import siblings
from entrypoints.metrics.exposition import exposition
from entrypoints.testing import crossdock
from tests.unit.metrics.scrape import read

ROOT = Path(__file__).parents[3]
RULES = (ROOT / "monitoring" / "alerts.yml").read_text()
RUNBOOKS = (ROOT / "docs" / "runbooks.md").read_text()
DASHBOARD = json.loads((ROOT / "monitoring" / "grafana" / "dashboards" / "crossdock.json").read_text())
ALERTS = dict(re.findall(r"- alert: (\w+)\n +expr: (.+)", RULES))

PARTS = ("Symptom", "Where to look", "What to do", "It is over")
OF_PROMETHEUS = {"up"}


def asked_for(expression: str) -> set[str]:
    """The metrics that an expression looks at, and those of a label's values."""
    bare = re.sub(r'"[^"]*"', "", expression)
    return set(re.findall(r"\b(?:crossdock|process)_\w+|\bup\b", bare))


def expressions(of: Any) -> Iterator[str]:
    """Every expression of the dashboard, wherever it stands."""
    if isinstance(of, dict):
        yield from (of[name] for name in ("expr", "query") if isinstance(of.get(name), str) and "(" in of[name])
        for value in of.values():
            yield from expressions(value)
    elif isinstance(of, list):
        for value in of:
            yield from expressions(value)


async def test_every_metric_that_is_asked_for_is_there() -> None:
    wanted = set[str]().union(*map(asked_for, (*ALERTS.values(), *expressions(DASHBOARD))))
    async with crossdock(CROSSDOCK_WEATHER="open_meteo,sample") as dock:
        await dock.client.get("/orders/")
        text = exposition(await dock.container.metrics().families()).decode()

    told = {name for name, _ in read(text).samples} | set(re.findall(r"^# TYPE (\w+)", text, re.MULTILINE))
    buckets = {f"{name}_bucket" for name in re.findall(r"^# TYPE (\w+) histogram", text, re.MULTILINE)}
    assert len(wanted) > 20
    assert wanted - told - buckets == OF_PROMETHEUS & wanted


def test_every_alert_has_its_page_and_every_page_its_alert() -> None:
    pages = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", RUNBOOKS, re.MULTILINE | re.DOTALL))
    links = re.findall(r"runbook_url: docs/runbooks\.md#(\w+)", RULES)

    assert len(ALERTS) == RULES.count("- alert:")
    assert list(pages) == list(ALERTS)
    assert links == [name.lower() for name in ALERTS]
    assert [name for name, page in pages.items() if [part for part in PARTS if f"**{part}" not in page]] == []


def test_what_the_alert_of_checks_takes_for_a_consequence_is_one() -> None:
    consequences = re.findall(r'check=~"([^"]+)"} and on \(cause\)', ALERTS["CrossdockCheckInTrouble"])

    assert [each.split("|") for each in consequences] == [sorted(RESTS_ON)]


def test_a_scrape_is_answered_in_time_whoever_does_not_answer() -> None:
    """Prometheus waits no longer than from one scrape to the next."""
    interval = re.search(r"scrape_interval: (\d+)s", (ROOT / "monitoring" / "prometheus.yml").read_text())

    assert interval is not None
    assert backlog.ANSWER_SECONDS < siblings.ANSWER_SECONDS < float(interval[1])


def test_every_metric_that_a_page_names_is_in_the_table_of_metrics() -> None:
    table = set(re.findall(r"^\| `(crossdock_\w+)`", (ROOT / "docs" / "operating.md").read_text(), re.MULTILINE))

    assert asked_for(RUNBOOKS) - {"up"} <= table
