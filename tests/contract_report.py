"""A plugin of pytest that notes what became of each case of a contract, by adapter.

At the end of a run of everything it says in short whether the adapters of a port differ.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tools.contract_table import NO, SKIPPED, YES, Cell, Table, cell_of, write

_PROPERTY = "contract"  # travels with the reports of a test, also from the processes of pytest-xdist
_table = pytest.StashKey[Table]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("contracts")
    group.addoption("--contract-report", metavar="FILE", help="write what became of each contract case, by adapter")
    group.addoption("--only-contracts", action="store_true", help="run the cases of contracts and no other test")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_table] = Table()
    config.pluginmanager.register(_Recorder(config.stash[_table]))


class _Recorder:
    def __init__(self, table: Table) -> None:
        self._table = table

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        for name, value in report.user_properties:
            if name == _PROPERTY:
                result = YES if report.passed else SKIPPED if report.skipped else NO
                self._table.add(Cell(*str(value).split("/")), result)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    others = [item for item in items if not any(_noted(item))]
    if config.getoption("--only-contracts"):
        config.hook.pytest_deselected(items=others)
        items[:] = [item for item in items if item not in set(others)]


def _noted(item: pytest.Item) -> Iterator[Cell]:
    """The cell that a test fills, noted for its reports."""
    if isinstance(item, pytest.Function):
        parameters = item.callspec.id if hasattr(item, "callspec") else ""
        cell = cell_of(item.cls, item.originalname, parameters)
        if cell is not None:
            item.user_properties.append((_PROPERTY, f"{cell.port}/{cell.adapter}/{cell.case}"))
            yield cell


def pytest_sessionfinish(session: pytest.Session) -> None:
    config = session.config
    path = config.getoption("--contract-report")
    if path and not hasattr(config, "workerinput"):
        write(config.stash[_table], Path(path))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    table = config.stash[_table]
    everything = config.args_source is pytest.Config.ArgsSource.TESTPATHS and not config.getoption("keyword")
    if everything and table.ports and not config.getoption("--only-contracts"):
        terminalreporter.section("contracts")
        for port in table.ports:
            for line in table.in_short(port):
                terminalreporter.line(line)
