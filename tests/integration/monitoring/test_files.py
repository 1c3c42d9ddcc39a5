"""What stands in monitoring/, as its readers read it: Prometheus by promtool, Grafana by its schema."""

import json
from pathlib import Path

import pytest

from entrypoints.testing import crossdock
from tests.foreign import attempt, node_packages
from tests.integration.monitoring.promtool import MONITORING, ROOT, promtool
from tests.unit.metrics.test_monitoring import DASHBOARD, expressions
from tools.node import NODE

DASHBOARDS = sorted((MONITORING / "grafana" / "dashboards").glob("*.json"))


async def test_prometheus_has_nothing_to_say_against_our_metrics() -> None:
    async with crossdock() as dock:
        await dock.client.post("/register-user/", json={"email": "ann@example.com"})
        await dock.settle()
        await dock.clock.run(dock.client.get("/weather/Lisbon"))
        text = (await dock.client.get("/metrics")).text

    assert promtool("check", "metrics", given=text) == ""


def test_the_configuration_and_the_rules_are_read() -> None:
    assert "16 rules found" in promtool("check", "config", MONITORING / "prometheus.yml")


def test_every_panel_asks_in_words_that_prometheus_understands(tmp_path: Path) -> None:
    asked = [each for each in expressions(DASHBOARD) if not each.startswith("label_values(")]
    rules = [
        {"record": f"panel:{number}", "expr": each.replace("$__rate_interval", "1m").replace("$job", ".*")}
        for number, each in enumerate(asked)
    ]
    file = tmp_path / "rules.yml"
    file.write_text(json.dumps({"groups": [{"name": "panels", "rules": rules}]}))  # JSON is YAML

    assert f"{len(rules)} rules found" in promtool("check", "rules", file)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "node_modules").symlink_to(node_packages())
    (tmp_path / "package.json").write_text('{"type": "module"}')
    return tmp_path


def compiles(folder: Path, dashboard: str) -> str:
    """What Grafana's schema has against a dashboard; nothing, if all is well."""
    head = "import { type Dashboard, ThresholdsMode } from '@grafana/schema';\nexport const dashboard: Dashboard = "
    # Who writes TypeScript has to name the values of an enumeration.
    named = dashboard.replace('"mode": "absolute"', '"mode": ThresholdsMode.Absolute')
    (folder / "dashboard.ts").write_text(f"{head}{named};\n")
    options = ("--noEmit", "--strict", "--skipLibCheck", "--target", "es2022", "--module", "esnext")
    compiler = node_packages() / "typescript" / "bin" / "tsc"
    done = attempt(NODE, compiler, *options, "--moduleResolution", "bundler", "dashboard.ts", cwd=folder)
    return done.stdout


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_a_dashboard_is_what_grafana_takes(path: Path, folder: Path) -> None:
    text = path.read_text()

    assert compiles(folder, text) == ""
    assert "TS2322" in compiles(folder, text.replace('"w": 8', '"w": "wide"', 1)), "and would be refused otherwise"


def test_the_panels_of_the_dashboard_do_not_lie_over_one_another() -> None:
    taken = [
        (column, line)
        for panel in DASHBOARD["panels"]
        for place in [panel["gridPos"]]
        for column in range(place["x"], place["x"] + place["w"])
        for line in range(place["y"], place["y"] + place["h"])
    ]
    ids = [panel["id"] for panel in DASHBOARD["panels"]]

    assert len(set(taken)) == len(taken)
    assert max(column for column, _ in taken) < 24
    assert len(set(ids)) == len(ids)


def test_compose_shows_grafana_and_prometheus_what_stands_here() -> None:
    compose = (ROOT / "compose.yaml").read_text()

    assert "./monitoring:/etc/prometheus:ro" in compose
    for inside in ("provisioning:/etc/grafana/provisioning", "dashboards:/var/lib/grafana/dashboards"):
        assert f"./monitoring/grafana/{inside}:ro" in compose
    provider = (MONITORING / "grafana" / "provisioning" / "dashboards" / "crossdock.yml").read_text()
    assert "path: /var/lib/grafana/dashboards" in provider
