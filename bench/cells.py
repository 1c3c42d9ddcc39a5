"""The cells: what is measured side by side. Each round of a cell has a server and a database of its own."""

import itertools
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

from bench import ledger, prepared
from bench.children import CROSSDOCK, Child, free_port, module, serving
from bench.load import Answers, Load, send
from bench.tokens import issuer as issuing

USERS = 8
_FAR_LIMIT = {"CROSSDOCK_RATE_LIMIT": "1000000/second"}  # that nobody reaches: what counting costs is what is asked
_USERS_BY_HAND = [str(UUID(int=number)) for number in range(USERS)]


@dataclass(frozen=True, slots=True)
class Round:
    """One measurement of one cell."""

    rate: float
    p50_ms: float
    p99_ms: float
    worst_ms: float
    cpu_us: float  # what the server used for each right answer, all its threads and all its work
    generator_cpu: float
    total: int
    wrong: dict[str, int]
    backlog: int | None = None  # deliveries that were not done when the load ended
    drain_seconds: float | None = None
    faults: list[str] = field(default_factory=list)  # of the ledger


class Bench:
    """Where it happens and how long a round takes.

    ``prepare`` makes the database that each round of ours begins with: migrated, with a few users, nothing to deliver.
    """

    def __init__(self, folder: Path, *, seconds: float, warm_up: float) -> None:
        self._folder = folder
        self._seconds = seconds
        self._warm_up = warm_up
        self._numbers = itertools.count(1)
        self._template = folder / "template.db"
        self._users: Sequence[str] = ()
        self.drain_of_paused: tuple[int, float | None] | None = None

    def prepare(self) -> None:
        with self._crossdock(self._folder, self._template) as child:
            self._users = [
                child.post("/register-user/", {"email": f"user{number}@example.com", "name": "User"})["id"]
                for number in range(USERS)
            ]
            if ledger.seconds_to_drain(self._template) is None:
                raise RuntimeError("registered users are not done with after a minute")

    # --- orders ---

    def running(self, *, keys: bool = False) -> Round:
        """Ours as it comes: relay, consumer and performer work beside the requests; each with a key, or without."""
        folder = self._new_folder()
        database = self._copy(folder)
        with self._crossdock(folder, database) as child:
            answers, cpu = self._orders(child, self._users, keys=keys)
            backlog = ledger.deliveries_left(database)
            drain = ledger.seconds_to_drain(database)
            faults = ledger.faults_drained(database, answers.ids)
        return _round(answers, cpu, faults=faults, backlog=backlog, drain_seconds=drain)

    def paused(self) -> Round:
        """Ours, and nothing carries what is recorded."""
        folder = self._new_folder()
        database = self._copy(folder)
        port = free_port()
        with serving(module("bench.paused"), folder=folder, port=port, environ=_ours(port, database)) as child:
            answers, cpu = self._orders(child, self._users)
            backlog = ledger.deliveries_left(database)
        faults = ledger.faults_paused(database, answers.ids)
        if self.drain_of_paused is None:
            faults += self._drain_paused(folder, database, answers.ids, backlog)
        return _round(answers, cpu, faults=faults, backlog=backlog)

    def _drain_paused(self, folder: Path, database: Path, ids: Sequence[str], backlog: int) -> list[str]:
        with self._crossdock(folder, database):
            self.drain_of_paused = backlog, ledger.seconds_to_drain(database)
            return ledger.faults_drained(database, ids)

    def by_hand(self, name: str) -> Callable[[], Round]:
        """A hand-written route with a file."""

        def run() -> Round:
            folder = self._new_folder()
            database = folder / "by_hand.db"
            with self._by_hand(folder, name, str(database)) as child:
                answers, cpu = self._orders(child, _USERS_BY_HAND)
            return _round(answers, cpu, faults=ledger.faults_by_hand(database, answers.ids))

        return run

    def unstored(self) -> Round:
        """A hand-written route that forgets."""
        with self._by_hand(self._new_folder(), "orders_unstored") as child:
            return _round(*self._orders(child, _USERS_BY_HAND))

    def reading(self, *, tokens: bool = False, limits: bool = False) -> Callable[[], Round]:
        """Ours, orders looked at one by one; with a token of whoever owns them, or with callers counted in memory."""

        def run() -> Round:
            folder = self._new_folder()
            with ExitStack() as stack:
                issuer = stack.enter_context(issuing(folder)) if tokens else None
                settings = {**(issuer.settings if issuer else {}), **(_FAR_LIMIT if limits else {})}
                child = stack.enter_context(self._crossdock(folder, self._copy(folder), settings))
                orders: list[tuple[str, str]] = []
                for number in range(USERS):
                    token = issuer.token(f"caller-{number}") if issuer else ""
                    user = child.post("/register-user/", {"email": f"reader{number}@example.com"}, token=token)["id"]
                    placed = [child.post("/orders/", prepared.some_order(user), token=token) for _ in range(25)]
                    orders += [(order["id"], token) for order in placed]
                return _round(*self._send(child, prepared.order_reads(orders), status=200))

        return run

    # --- telemetry ---

    def telling(self, *, lines: bool = False, traces: bool = False) -> Callable[[], Round]:
        """Ours, orders; nothing is told, or a line of log for each request and metrics to a scrape a second, or traces.

        Of traces one in ten is told, to a collector that forgets it. Requests are always counted. Mails go nowhere:
        as lines of the log they would be paid for on one side alone, and are no telemetry.
        """

        def run() -> Round:
            folder = self._new_folder()
            database = self._copy(folder)
            with ExitStack() as stack:
                settings = {
                    "CROSSDOCK_LOG_LEVEL": "info" if lines else "error",
                    "CROSSDOCK_LOG_FORMAT": "json",
                    "CROSSDOCK_MAILER": "memory",
                }
                if traces:
                    settings |= stack.enter_context(self._collector(folder))
                child = stack.enter_context(self._crossdock(folder, database, settings))
                if lines:
                    stack.enter_context(_scraped(child))
                answers, cpu = self._orders(child, self._users)
                faults = ledger.faults_drained(database, answers.ids) if self._drained(database) else ["not drained"]
            return _round(answers, cpu, faults=faults)

        return run

    @contextmanager
    def _collector(self, folder: Path) -> Iterator[dict[str, str]]:
        port = free_port()
        with serving(module("bench.collector", str(port)), folder=folder, port=port):
            yield {
                "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}",
                "OTEL_METRICS_EXPORTER": "none",
                "OTEL_TRACES_SAMPLER": "parentbased_traceidratio",
                "OTEL_TRACES_SAMPLER_ARG": "0.1",
            }

    @staticmethod
    def _drained(database: Path) -> bool:
        return ledger.seconds_to_drain(database) is not None

    # --- weather ---

    def weather_ours(self, requests: Callable[[], Sequence[bytes]]) -> Callable[[], Round]:
        """Ours, the provider answering; nothing is known when the load begins."""

        def run() -> Round:
            folder = self._new_folder()
            with (
                self._provider(folder) as environ,
                self._crossdock(folder, self._copy(folder), environ) as child,
            ):
                return _round(*self._weather(child, requests()))

        return run

    def weather_stale(self) -> Round:
        """Ours, with the provider gone and what it said last no longer fresh."""
        folder = self._new_folder()
        with ExitStack() as stack:
            with self._provider(folder) as environ:
                environ["CROSSDOCK_WEATHER_TTL"] = "1"
                child = stack.enter_context(self._crossdock(folder, self._copy(folder), environ))
                for path in prepared.weather_paths():
                    child.get(path)
            time.sleep(1.5)  # until they are stale
            return _round(*self._weather(child, prepared.weather_requests()))

    def weather_by_hand(self, requests: Callable[[], Sequence[bytes]]) -> Callable[[], Round]:
        """A client for each request."""

        def run() -> Round:
            folder = self._new_folder()
            with self._provider(folder) as environ, self._by_hand(folder, "weather", environ=environ) as child:
                return _round(*self._weather(child, requests()))

        return run

    # --- starting ---

    def start_ours(self) -> Child:
        folder = self._new_folder()
        with self._crossdock(folder, self._copy(folder)) as child:
            return child

    def start_by_hand(self) -> Child:
        with self._by_hand(self._new_folder(), "with_libraries") as child:
            return child

    # --- parts ---

    def _new_folder(self) -> Path:
        folder = self._folder / f"round-{next(self._numbers)}"
        folder.mkdir()
        return folder

    def _copy(self, folder: Path) -> Path:
        copy = folder / "crossdock.db"
        with closing(sqlite3.connect(self._template)) as source, closing(sqlite3.connect(copy)) as target:
            source.backup(target)
        return copy

    @contextmanager
    def _crossdock(self, folder: Path, database: Path, more: Mapping[str, str] | None = None) -> Iterator[Child]:
        port = free_port()
        environ = {**_ours(port, database), **(more or {})}
        with serving([str(CROSSDOCK), "up"], folder=folder, port=port, environ=environ) as child:
            yield child

    @contextmanager
    def _by_hand(
        self, folder: Path, name: str, *database: str, environ: Mapping[str, str] | None = None
    ) -> Iterator[Child]:
        port = free_port()
        command = module("bench.by_hand", name, str(port), *database)
        with serving(command, folder=folder, port=port, environ=environ) as child:
            yield child

    @contextmanager
    def _provider(self, folder: Path) -> Iterator[dict[str, str]]:
        """A stand-in for the weather provider, and the settings that lead to it."""
        port = free_port()
        path = "/data/2.5/weather"
        command = module("tests.stand_ins.weather_server", "--port", str(port))
        with serving(command, folder=folder, port=port, path=f"{path}?q=Berlin&appid=any"):
            yield {
                "CROSSDOCK_WEATHER": "openweather",
                "OPEN_WEATHER_URL": f"http://127.0.0.1:{port}{path}",
                "OPEN_WEATHER_API_KEY": "any",
                "CROSSDOCK_WEATHER_QUOTA": "1000000/second",
            }

    def _orders(self, child: Child, users: Sequence[str], *, keys: bool = False) -> tuple[Answers, float]:
        return self._send(child, prepared.order_requests(users, keys=keys), status=201, keep_ids=True)

    def _weather(self, child: Child, requests: Sequence[bytes]) -> tuple[Answers, float]:
        return self._send(child, requests, status=200)

    def _send(
        self, child: Child, requests: Sequence[bytes], *, status: int, keep_ids: bool = False
    ) -> tuple[Answers, float]:
        before = child.cpu_seconds()
        texts = [request.decode("latin-1") for request in requests]
        answers = send(Load(child.port, texts, status, self._seconds, self._warm_up, keep_ids))
        return answers, child.cpu_seconds() - before


@dataclass(frozen=True, slots=True)
class Cell:
    """One row of the table."""

    key: str
    name: str
    durability: str
    run: Callable[[], Round]


def cells(bench: Bench) -> list[Cell]:
    """All of them, in the order in which they take turns."""
    full = "synchronous=FULL"
    hot, zipf, new = prepared.weather_requests, prepared.zipf_weather_requests, prepared.new_weather_requests
    return [
        Cell("1", "POST /orders/  crossdock up", f"{full}, order + event", bench.running),
        Cell(
            "1b",
            "POST /orders/  crossdock up, each with a key",
            f"{full}, and the answer",
            lambda: bench.running(keys=True),
        ),
        Cell("2", "POST /orders/  relay and consumer paused", f"{full}, order + event", bench.paused),
        Cell("3a", "POST /orders/  by hand, async def", f"{full}, order", bench.by_hand("orders_async")),
        Cell("3b", "POST /orders/  by hand, def", f"{full}, order", bench.by_hand("orders_def")),
        Cell("4", "POST /orders/  by hand, no storage", "none", bench.unstored),
        Cell("7a", "GET /orders/{id}  crossdock up", "none", bench.reading()),
        Cell("7b", "GET /orders/{id}  crossdock up, with tokens", "none", bench.reading(tokens=True)),
        Cell("7c", "GET /orders/{id}  crossdock up, callers counted in memory", "none", bench.reading(limits=True)),
        Cell("8a", "POST /orders/  crossdock up, nothing told", f"{full}, order + event", bench.telling()),
        Cell("8b", "POST /orders/  crossdock up, log and metrics", f"{full}, order + event", bench.telling(lines=True)),
        Cell(
            "8c",
            "POST /orders/  crossdock up, a tenth traced",
            f"{full}, order + event",
            bench.telling(traces=True),
        ),
        Cell("5a", "GET /weather/{city}  crossdock up, hot cities", "none", bench.weather_ours(hot)),
        Cell("5b", "GET /weather/{city}  crossdock up, 1,000 cities (Zipf)", "none", bench.weather_ours(zipf)),
        Cell("5c", "GET /weather/{city}  crossdock up, each city new", "none", bench.weather_ours(new)),
        Cell("5d", "GET /weather/{city}  crossdock up, provider gone, stale", "none", bench.weather_stale),
        Cell("5e", "GET /weather/{city}  by hand, a client each", "none", bench.weather_by_hand(hot)),
    ]


@contextmanager
def _scraped(child: Child) -> Iterator[None]:
    """As by a Prometheus in a hurry."""
    over = threading.Event()

    def scrape() -> None:
        while not over.wait(1.0):
            child.read("/metrics")

    thread = threading.Thread(target=scrape)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _ours(port: int, database: Path) -> dict[str, str]:
    """Everything else is as it comes."""
    return {"PORT": str(port), "DATABASE_URL": f"sqlite:///{database}"}


def _round(
    answers: Answers,
    cpu: float,
    *,
    faults: Sequence[str] = (),
    backlog: int | None = None,
    drain_seconds: float | None = None,
) -> Round:
    return Round(
        rate=answers.rate,
        p50_ms=answers.p50_ms,
        p99_ms=answers.p99_ms,
        worst_ms=answers.worst_ms,
        cpu_us=cpu / answers.total * 1_000_000 if answers.total else 0,
        generator_cpu=answers.generator_cpu,
        total=answers.total,
        wrong=answers.wrong,
        backlog=backlog,
        drain_seconds=drain_seconds,
        faults=list(faults),
    )
