"""Shows that every adapter of a port was held to every case of its contract: a row for each case, a column for each.

Without arguments it runs the contract cases and no other test. ``--report FILE`` reads what an earlier run of pytest
with ``--contract-report FILE`` has left. The exit code is 1 when an adapter lacks a case, failed it or was not there.
"""

import argparse
import importlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[1]
DIFFERENCES_MOST = 20  # in the short form
YES, SKIPPED, NO, MISSING = "yes", "skipped", "no", "missing"
_WORST_LAST = [YES, SKIPPED, NO]

# Of each port its adapters, and of each adapter the words by which the names of its test classes tell it.
ADAPTERS: Mapping[str, Mapping[str, Sequence[str]]] = {
    "event_broker": {"memory": ["memory"], "kafka": ["kafka"], "rabbitmq": ["rabbit"]},
    "task_queue": {
        "memory": ["memory"],
        "background": ["background"],
        "celery-redis": ["celery", "redis"],
        "celery-rabbitmq": ["celery", "rabbit"],
    },
    "persistence": {"memory": ["memory"], "sqlite": ["sqlite"], "postgresql": ["postgres"]},
    "cache": {"memory": ["memory"], "redis": ["redis"], "memcached": ["memcached"]},
    "quota": {"memory": ["memory"], "redis": ["redis"]},
    "identity": {
        "oidc-keycloak": ["oidc", "keycloak"],
        "oidc-provider": ["oidc", "oidcprovider"],
        "oidc-by-hand": ["oidc", "madebyhand"],
    },
    "mailer": {"memory": ["memory"], "log": ["log"], "smtp": ["smtp"]},
    "weather": {
        "openweather-tls": ["openweather", "tls"],
        "open_meteo-tls": ["meteo", "tls"],
        "openweather-recorded": ["openweather", "asitanswers"],  # or asked itself, with WEATHER_LIVE=1
        "open_meteo-recorded": ["meteo", "asitanswers"],
        "openweather": ["openweather"],
        "open_meteo": ["meteo"],
        "sample": ["sample"],
        "resilient": ["resilient"],
    },
}


@dataclass(frozen=True, slots=True)
class Cell:
    """One case of one adapter's."""

    port: str
    adapter: str
    case: str


def suites_of(port: str) -> list[type]:
    """The suites of a port: what it promises, and what it promises when its server goes away, if it has one."""
    suites = []
    for module in (port, f"{port}_outage"):
        if (ROOT / "tests" / "contracts" / f"{module}.py").exists():
            contents = vars(importlib.import_module(f"tests.contracts.{module}"))
            name = "".join(word.capitalize() for word in module.split("_")) + "Contract"
            suites.append(contents[name])
    return suites


def cases_of(suite: type) -> list[str]:
    """The names of the cases of a suite, in their order."""
    names = [name for part in suite.__mro__ for name in vars(part) if name.startswith("test_")]
    return list(dict.fromkeys(names))


def cell_of(cls: type | None, case: str, parameters: str = "") -> Cell | None:
    """Which cell of the table a test fills; None when it is no case of a contract."""
    for part in cls.__mro__ if cls else ():
        if part.__module__.startswith("tests.contracts.") and case in vars(part):
            port = part.__module__.split(".")[2].removesuffix("_outage").removesuffix("_parts")
            assert cls is not None  # noqa: S101 - it has a part
            return Cell(port, adapter_of(port, cls.__name__, parameters), case)
    return None


def adapter_of(port: str, class_name: str, parameters: str = "") -> str:
    """The adapter that a test class proves; the name of the class when the port has no such adapter."""
    for text in (class_name.lower(), f"{class_name} {parameters}".lower()):
        for adapter, words in ADAPTERS.get(port, {}).items():
            if all(word in text for word in words):
                return adapter
    return class_name


@dataclass(slots=True)
class Table:
    """What became of each case, by adapter."""

    results: dict[Cell, str] = field(default_factory=dict)

    def add(self, cell: Cell, result: str) -> None:
        """Note a result; of several (a case has parameters, and phases) the worst stays."""
        self.results[cell] = max(self.results.get(cell, YES), result, key=_WORST_LAST.index)

    @property
    def ports(self) -> list[str]:
        """The ports of which some case was run."""
        found = {cell.port for cell in self.results}
        return [*(port for port in ADAPTERS if port in found), *sorted(found - ADAPTERS.keys())]

    def adapters(self, port: str) -> list[str]:
        """The columns: those that there have to be, and what else was found."""
        known = list(ADAPTERS.get(port, {}))
        return [*known, *sorted({cell.adapter for cell in self.results if cell.port == port} - set(known))]

    def cases(self, port: str) -> list[str]:
        """The rows."""
        return [case for suite in suites_of(port) for case in cases_of(suite)]

    def row(self, port: str, case: str) -> list[str]:
        """What became of a case, by adapter."""
        return [self.results.get(Cell(port, adapter, case), MISSING) for adapter in self.adapters(port)]

    def differences(self, port: str) -> list[str]:
        """A line for each case that is not kept, and seen to be kept, by all; for all cases of an adapter at once."""
        adapters, cases = self.adapters(port), self.cases(port)
        rows = {case: dict(zip(adapters, self.row(port, case), strict=True)) for case in cases}
        lines = []
        for adapter in adapters:
            results = {row[adapter] for row in rows.values()}
            if len(results) == 1 and results != {YES}:
                lines.append(f"{adapter}: {results.pop()} in all of {len(cases)} cases")
                for row in rows.values():
                    del row[adapter]
        for case, row in rows.items():
            different = [f"{adapter} {result}" for adapter, result in row.items() if result != YES]
            if different:
                lines.append(f"{case}: {', '.join(different)}")
        return lines

    def in_short(self, port: str, *, most: int = DIFFERENCES_MOST) -> Iterator[str]:
        """How many cases a port has, and what differs."""
        differences = self.differences(port)
        verdict = f"{len(differences) or 'no'} difference{'s' * (len(differences) > 1)}"
        yield f"{port}: {len(self.cases(port))} cases, {len(self.adapters(port))} adapters, {verdict}"
        yield from (f"  {difference}" for difference in differences[:most])
        if len(differences) > most:
            yield f"  and {len(differences) - most} more"

    def in_full(self) -> Iterator[str]:
        """The whole table, line by line."""
        for port in self.ports:
            adapters, cases = self.adapters(port), self.cases(port)
            rows = [[port, *adapters], *([case, *self.row(port, case)] for case in cases)]
            widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
            for row in rows:
                yield "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
            yield from self.in_short(port, most=len(cases) + len(adapters))
            yield ""
        differences = sum(len(self.differences(port)) for port in self.ports)
        number = sum(len(self.cases(port)) for port in self.ports)
        yield f"{number} cases of {len(self.ports)} ports, {differences or 'no'} difference{'s' * (differences > 1)}"

    @property
    def is_whole(self) -> bool:
        """Whether every adapter was seen to keep every promise."""
        return bool(self.ports) and not any(self.differences(port) for port in self.ports)


def write(table: Table, path: Path) -> None:
    """Keep a table for later."""
    rows = [[cell.port, cell.adapter, cell.case, result] for cell, result in table.results.items()]
    path.write_text(json.dumps(rows, indent=0), encoding="utf-8")


def read(path: Path) -> Table:
    """A table that was kept."""
    return Table({Cell(*cell): result for *cell, result in json.loads(path.read_text(encoding="utf-8"))})


def run(arguments: Iterable[str]) -> Table:
    """Run the contract cases, all of them or what pytest's own arguments say."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.json")
        command = [sys.executable, "-m", "pytest", "-p", "tests.contract_report", "-q", "--no-header"]
        command += ["--only-contracts", f"--contract-report={report}", *arguments]
        subprocess.run(command, cwd=ROOT, check=False)
        return read(report) if report.exists() else Table()


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m tools.contract_table", description=__doc__)
    parser.add_argument("--report", type=Path, help="read this report instead of running the cases")
    parser.add_argument("arguments", nargs="*", help="for pytest, after --; for instance: -- -n 2 tests/unit")
    options = parser.parse_args()
    table = read(options.report) if options.report else run(options.arguments)
    for line in table.in_full():
        print(line)
    return 0 if table.is_whole else 1


if __name__ == "__main__":
    sys.exit(main())
