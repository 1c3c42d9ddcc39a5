"""What holds for all tests."""

import os
import random
from collections import Counter
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TypeVar

import hypothesis
import pytest

from tests.logged import logging_restored

Report = TypeVar("Report", pytest.TestReport, pytest.CollectReport)

pytest_plugins = ["tests.services", "tests.contract_report"]

_FOLDER = Path(__file__).parent
_IN_CI = os.environ.get("CI") == "true"
_SEED = "TEST_SEED"
_TERMINAL = ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR")

# No deadline: machines stall. A failure prints how to see it again.
hypothesis.settings.register_profile("crossdock", deadline=None, print_blob=True)
hypothesis.settings.load_profile("crossdock")


def pytest_configure() -> None:
    # In the environment, so that the workers of one run share it.
    os.environ.setdefault(_SEED, str(random.randrange(2**32)))
    # What is printed depends on the test alone and not on the terminal that happens to run it.
    for name in _TERMINAL:
        os.environ.pop(name, None)


def pytest_report_header() -> str:
    return f"seed: {os.environ[_SEED]} (again with {_SEED}={os.environ[_SEED]})"


@pytest.fixture
def dice(request: pytest.FixtureRequest) -> random.Random:
    """Chance that can be repeated: the run's seed and the test's name decide it."""
    return random.Random(f"{os.environ[_SEED]} {request.node.nodeid}")


@pytest.fixture
def logging_as_it_was() -> Iterator[None]:
    """What a test makes of logging ends with it."""
    with logging_restored():
        yield


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if "jaeger" not in config.option.markexpr:
        costly = [item for item in items if item.get_closest_marker("jaeger")]
        items[:] = [item for item in items if item not in costly]
        config.hook.pytest_deselected(items=costly)
    for item in items:
        if item.path.is_relative_to(_FOLDER / "integration"):
            item.add_marker(pytest.mark.integration)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    return _no_skip_in_ci(report)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    return _no_skip_in_ci(report)


def _no_skip_in_ci(report: Report) -> Report:
    """At home a service that is not there is skipped; CI is where it has to be, and no failure is expected there."""
    if _IN_CI and report.skipped:
        report.outcome = "failed"
        report.longrepr = f"skipped, which is a failure with CI=true: {_reason(report)}"
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Count what was skipped, by reason: nobody shall take it for tested."""
    skipped = terminalreporter.stats.get("skipped", [])
    if not skipped:
        return
    reasons = Counter(_reason(report) for report in skipped)
    terminalreporter.section(f"{len(skipped)} skipped")
    for reason, count in reasons.most_common():
        terminalreporter.line(f"{count:5}  {reason}")


def _reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    told = report.longrepr
    return (told[2] if isinstance(told, tuple) else str(told)).removeprefix("Skipped: ")
