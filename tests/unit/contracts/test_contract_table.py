"""The table of contract cases tells a case that is kept by all from one that is not."""

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.contracts.event_broker import EventBrokerContract
from tests.contracts.persistence import PersistenceContract
from tools.contract_table import (
    ADAPTERS,
    MISSING,
    NO,
    ROOT,
    SKIPPED,
    YES,
    Cell,
    Table,
    adapter_of,
    cases_of,
    cell_of,
    read,
    suites_of,
    write,
)

PORT = "task_queue"
CASES = [case for suite in suites_of(PORT) for case in cases_of(suite)]
A_CASE = "test_what_was_handed_over_is_performed"


def a_table(*adapters: str) -> Table:
    """All of these keep every promise of the port."""
    return Table({Cell(PORT, adapter, case): YES for adapter in adapters for case in CASES})


@pytest.mark.parametrize("port", ADAPTERS)
def test_each_port_has_a_suite_with_cases_of_different_names(port: str) -> None:
    names = Counter(case for suite in suites_of(port) for case in cases_of(suite))

    assert names
    assert set(names.values()) == {1}


@pytest.mark.parametrize(
    ("port", "class_name", "parameters", "adapter"),
    [
        ("event_broker", "TestMemoryEventBrokerOutage", "", "memory"),
        ("event_broker", "TestKafka", "", "kafka"),
        ("event_broker", "TestRabbitMqOutage", "memory", "rabbitmq"),
        ("task_queue", "TestCeleryOnRedis", "", "celery-redis"),
        ("task_queue", "TestCeleryOnRabbitMQ", "", "celery-rabbitmq"),
        ("task_queue", "TestCelery", "rabbitmq-0", "celery-rabbitmq"),
        ("persistence", "TestPostgresqlPersistence", "", "postgresql"),
        ("weather", "TestOpenMeteo", "", "open_meteo"),
        ("event_broker", "TestNats", "", "TestNats"),
    ],
)
def test_a_test_class_tells_its_adapter(port: str, class_name: str, parameters: str, adapter: str) -> None:
    assert adapter_of(port, class_name, parameters) == adapter


def test_only_cases_of_a_suite_are_in_the_table() -> None:
    class TestKafka(EventBrokerContract):
        def test_of_its_own(self) -> None: ...

    class TestSqlite(PersistenceContract): ...

    assert cell_of(TestKafka, "test_the_largest_message_is_carried") == Cell(
        "event_broker", "kafka", "test_the_largest_message_is_carried"
    )
    assert cell_of(TestSqlite, "test_a_lease_runs_out") == Cell("persistence", "sqlite", "test_a_lease_runs_out")
    assert cell_of(TestKafka, "test_of_its_own") is None
    assert cell_of(None, "test_of_its_own") is None


def test_there_is_no_difference_when_all_keep_every_promise() -> None:
    table = a_table(*ADAPTERS[PORT])

    lines = list(table.in_full())

    assert table.is_whole
    assert lines[0].split() == [PORT, *ADAPTERS[PORT]]
    assert [line.split() for line in lines[1 : len(CASES) + 1]] == [[case, *[YES] * 4] for case in CASES]
    assert lines[len(CASES) + 1 :] == [
        f"task_queue: {len(CASES)} cases, 4 adapters, no difference",
        "",
        f"{len(CASES)} cases of 1 ports, no difference",
    ]


@pytest.mark.parametrize("result", [NO, SKIPPED, MISSING])
def test_a_case_that_one_adapter_does_not_keep_is_a_difference(result: str) -> None:
    table = a_table(*ADAPTERS[PORT])
    cell = Cell(PORT, "celery-redis", A_CASE)
    if result == MISSING:
        del table.results[cell]
    else:
        table.add(cell, result)

    assert not table.is_whole
    assert list(table.in_short(PORT)) == [
        f"task_queue: {len(CASES)} cases, 4 adapters, 1 difference",
        f"  {A_CASE}: celery-redis {result}",
    ]


def test_an_adapter_that_nobody_tests_is_a_difference() -> None:
    table = a_table("memory", "background", "celery-redis")

    assert not table.is_whole
    assert table.differences(PORT) == [f"celery-rabbitmq: missing in all of {len(CASES)} cases"]


def test_an_adapter_that_is_not_in_the_table_has_a_column_of_its_own() -> None:
    table = a_table(*ADAPTERS[PORT], "TestNats")

    assert table.is_whole
    assert table.adapters(PORT)[-1] == "TestNats"


def test_nothing_was_shown_when_nothing_was_run() -> None:
    assert not Table().is_whole


def test_many_differences_are_told_in_short() -> None:
    table = a_table(*ADAPTERS[PORT])
    for case in CASES[:5]:
        table.add(Cell(PORT, "memory", case), NO)

    lines = list(table.in_short(PORT, most=3))

    assert len(lines) == 5
    assert lines[-1] == "  and 2 more"


@pytest.mark.parametrize(
    ("results", "stays"), [((YES, NO, YES), NO), ((YES, SKIPPED), SKIPPED), ((SKIPPED, NO, SKIPPED), NO), ((YES,), YES)]
)
def test_of_several_results_the_worst_stays(results: Sequence[str], stays: str) -> None:
    table, cell = Table(), Cell(PORT, "memory", A_CASE)

    for result in results:
        table.add(cell, result)

    assert table.results == {cell: stays}


def test_a_table_is_read_as_it_was_written(tmp_path: Path) -> None:
    table = a_table("memory", "background")

    write(table, tmp_path / "report.json")

    assert read(tmp_path / "report.json").results == table.results


def test_a_run_of_pytest_leaves_a_report(tmp_path: Path) -> None:
    """With a suite of its own: one case fails in its set-up, one is skipped, one passes with one parameter of two."""
    report = tmp_path / "report.json"
    (tmp_path / "test_planted.py").write_text(PLANTED)
    command = [sys.executable, "-m", "pytest", "-p", "tests.contract_report", "-p", "no:cacheprovider", "-q"]
    command += ["--only-contracts", f"--contract-report={report}", str(tmp_path)]

    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert sorted(json.loads(report.read_text())) == [
        ["planted", "TestPlanted", "test_fails", "no"],
        ["planted", "TestPlanted", "test_has_parameters", "no"],
        ["planted", "TestPlanted", "test_is_kept", "yes"],
        ["planted", "TestPlanted", "test_is_not_run", "skipped"],
    ], done.stdout


PLANTED = """
import pytest

class PlantedContract:
    __module__ = "tests.contracts.planted"

    @pytest.fixture
    def broken(self):
        raise RuntimeError

    def test_is_kept(self): pass
    def test_fails(self, broken): pass
    def test_is_not_run(self): pytest.skip("no server")
    @pytest.mark.parametrize("number", [1, 2])
    def test_has_parameters(self, number): assert number == 1

class TestPlanted(PlantedContract):
    def test_of_its_own(self): raise RuntimeError
"""
