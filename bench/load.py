"""The load generator: a closed loop over keep-alive connections, in a process of its own.

Every connection sends its next request as soon as it has the answer to the one before. Requests are bytes made
beforehand and answers are searched rather than parsed, so that the generator is never what is measured.
"""

import asyncio
import gc
import itertools
import json
import secrets
import subprocess
import sys
import time
from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import cast

import uvloop

CONNECTIONS = 32
MOST = 500_000  # requests, however fast the server is
LAST_ANSWERS_SECONDS = 30.0
ID_LENGTH = 36

# Where a request has this, each that is sent gets a key of its own.
KEY_PLACE = b"an-idempotency-key-stands-here.."

_ID = b'"id":"'
_LENGTH = b"\r\ncontent-length: "


@dataclass(frozen=True, slots=True)
class Load:
    """What to send, for how long, and what is right as an answer."""

    port: int
    requests: Sequence[str]  # Latin-1, so that they travel as JSON
    status: int
    seconds: float
    warm_up: float
    keep_ids: bool = False
    connections: int = CONNECTIONS
    last_answers: float = LAST_ANSWERS_SECONDS  # to wait for, when the time is over


@dataclass(slots=True)
class Answers:
    """What came back: numbers of the measured time, and everything that was promised, warm-up and all."""

    rate: float  # right answers a second
    p50_ms: float
    p99_ms: float
    worst_ms: float
    total: int  # right answers, those outside of the measured time too
    wrong: dict[str, int]  # what else came, by status or kind
    generator_cpu: float  # share of one core that the generator took
    ids: list[str] = field(default_factory=list)


def send(load: Load) -> Answers:
    """Run the generator as a child process."""
    bound = load.warm_up + load.seconds + load.last_answers + 10
    done = subprocess.run(
        [sys.executable, "-m", "bench.load"],
        input=json.dumps(asdict(load)),
        stdout=subprocess.PIPE,
        check=True,
        text=True,
        timeout=bound,
    )
    return Answers(**json.loads(done.stdout))


class _Run:
    """What the connections share."""

    def __init__(self, load: Load) -> None:
        self.requests = [request.encode("latin-1") for request in load.requests]
        self.keys = itertools.count(secrets.randbits(96)) if KEY_PLACE in self.requests[0] else None
        self.ended = asyncio.Event()
        self.open = load.connections
        self._status = str(load.status).encode()
        self._keep_ids = load.keep_ids
        self._ids: list[bytes] = []
        self._wrong: Counter[str] = Counter()
        self._latencies = array("d")
        self._total = 0
        self._measuring = False
        self.ending = False
        self._began = self._began_cpu = 0.0
        self._measured = self._measured_cpu = 0.0

    def begin(self) -> None:
        self._measuring = True
        self._began, self._began_cpu = time.perf_counter(), time.process_time()

    def end(self) -> None:
        if not self.ending:
            self.ending = True
            self._measuring = False
            self._measured = time.perf_counter() - self._began
            self._measured_cpu = time.process_time() - self._began_cpu

    def answered(self, answer: bytes, body_at: int, seconds: float) -> None:
        if answer[9:12] != self._status:
            self._wrong[answer[9:12].decode("latin-1")] += 1
            return
        self._total += 1
        if self._keep_ids:
            at = answer.find(_ID, body_at) + len(_ID)
            self._ids.append(answer[at : at + ID_LENGTH])
        if self._measuring:
            self._latencies.append(seconds)
            if self._total >= MOST:
                self.end()

    def failed(self, how: str) -> None:
        self._wrong[how] += 1

    def closed(self) -> None:
        self.open -= 1
        if not self.open:
            self.ended.set()

    def answers(self) -> Answers:
        latencies = sorted(self._latencies)
        return Answers(
            rate=len(latencies) / self._measured if self._measured else 0,
            p50_ms=_percentile(latencies, 0.5),
            p99_ms=_percentile(latencies, 0.99),
            worst_ms=_percentile(latencies, 1),
            total=self._total,
            wrong=dict(self._wrong),
            generator_cpu=self._measured_cpu / self._measured if self._measured else 0,
            ids=[each.decode("latin-1") for each in self._ids],
        )


class _Connection(asyncio.Protocol):
    """One keep-alive connection, with one request under way at a time."""

    def __init__(self, run: _Run, first: int) -> None:
        self._run = run
        self._next = first
        self._buffer = b""
        self._sent_at = 0.0
        self._waiting = False
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._send(self._transport)

    def _send(self, transport: asyncio.Transport) -> None:
        requests = self._run.requests
        self._next = (self._next + 1) % len(requests)
        self._waiting = True
        self._sent_at = time.perf_counter()
        keys = self._run.keys
        request = requests[self._next]
        transport.write(request if keys is None else request.replace(KEY_PLACE, b"%032x" % next(keys), 1))

    def data_received(self, data: bytes) -> None:
        if self._buffer:
            data = self._buffer + data
        body_at = data.find(b"\r\n\r\n") + 4
        if body_at < 4:
            self._buffer = data
            return
        head = data[:body_at].lower()
        at = head.find(_LENGTH)
        if at < 0:
            self._break_off("an answer without a length")
            return
        at += len(_LENGTH)
        if len(data) < body_at + int(head[at : head.index(b"\r", at)]):
            self._buffer = data
            return
        self._buffer = b""
        self._waiting = False
        run, transport = self._run, self._transport
        assert transport is not None
        run.answered(data, body_at, time.perf_counter() - self._sent_at)
        if run.ending:
            transport.close()
        else:
            self._send(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._waiting:
            self._run.failed("lost" if exc is None else type(exc).__name__)
        self._run.closed()

    def _break_off(self, why: str) -> None:
        self._waiting = False
        self._run.failed(why)
        assert self._transport is not None
        self._transport.abort()


def _percentile(ordered: Sequence[float], share: float) -> float:
    """In milliseconds; zero when there is nothing."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] * 1000 if ordered else 0.0


async def _generate(load: Load) -> Answers:
    loop = asyncio.get_running_loop()
    run = _Run(load)
    step = max(1, len(load.requests) // load.connections)
    for number in range(load.connections):
        await loop.create_connection(lambda first=number * step: _Connection(run, first), "127.0.0.1", load.port)  # type: ignore[misc] # the default binds the loop's variable
    loop.call_later(load.warm_up, run.begin)
    loop.call_later(load.warm_up + load.seconds, run.end)
    try:
        async with asyncio.timeout(load.warm_up + load.seconds + load.last_answers):
            await run.ended.wait()
    except TimeoutError:
        for _ in range(run.open):
            run.failed("no answer")
    run.end()
    return run.answers()


def main() -> None:
    """Read a load from standard input, write the answers to standard output."""
    load = Load(**json.load(sys.stdin))
    gc.disable()
    json.dump(asdict(uvloop.run(_generate(load))), sys.stdout)


if __name__ == "__main__":
    main()
