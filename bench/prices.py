"""What each thing that can be turned on costs of a request, in processor time and without sockets.

The service is asked in its own process, so that neither the kernel nor a load generator is in the numbers. Sides take
turns, and the quietest tenth of the turns of each counts: what others do on the machine only ever adds.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.children import ROOT, free_port, module, serving

_MEMORY = {
    "DATABASE_URL": "memory://",
    "CROSSDOCK_EVENT_BROKER": "memory",
    "CROSSDOCK_CACHE": "memory",
    "CROSSDOCK_MAILER": "memory",
    "CROSSDOCK_WEATHER": "sample",
    "CROSSDOCK_LOG_FORMAT": "json",
}
_QUIET = {"CROSSDOCK_LOG_LEVEL": "error"}
_UNCOUNTED = {"CROSSDOCK_METRICS": "false"}


@dataclass(frozen=True, slots=True)
class Side:
    """One way to run the service."""

    key: str
    what: str
    path: str
    settings: Mapping[str, str]
    observed: bool = True
    traced: float | None = None


def sides() -> list[Side]:
    """All of them; ``r``, ``w`` and ``p`` are what the others are held against."""
    limit = {"CROSSDOCK_RATE_LIMIT": "1000000/second"}
    told = {"CROSSDOCK_LOG_LEVEL": "info"}
    return [
        Side("r", "GET /orders/{id}, nothing told, no limits", "read", _QUIET),
        Side("r-none", "nothing counted either", "read", {**_QUIET, **_UNCOUNTED}),
        Side("r-bare", "without what counts, logs and traces", "read", {**_QUIET, **_UNCOUNTED}, observed=False),
        Side("r-limits", "callers counted in memory", "read", {**_QUIET, **limit}),
        Side("r-log", "a line of JSON each", "read", told),
        Side("r-console", "a line for people each", "read", {**told, "CROSSDOCK_LOG_FORMAT": "console"}),
        Side("r-off", "a tracer that samples nothing", "read", _QUIET, traced=0.0),
        Side("r-tenth", "one in ten traced", "read", _QUIET, traced=0.1),
        Side("r-all", "each traced", "read", _QUIET, traced=1.0),
        Side("w", "POST /orders/ and all that follows, nothing told", "write", _QUIET),
        Side("w-none", "nothing counted either", "write", {**_QUIET, **_UNCOUNTED}),
        Side("w-bare", "without what counts, logs and traces", "write", {**_QUIET, **_UNCOUNTED}, observed=False),
        Side("w-log", "a line of JSON each", "write", told),
        Side("w-off", "a tracer that samples nothing", "write", _QUIET, traced=0.0),
        Side("w-tenth", "one in ten traced", "write", _QUIET, traced=0.1),
        Side("w-all", "each traced", "write", _QUIET, traced=1.0),
        Side("p", "POST /orders/ alone, nothing told", "post", _QUIET),
        Side("p-none", "nothing counted either", "post", {**_QUIET, **_UNCOUNTED}),
        Side("p-bare", "without what counts, logs and traces", "post", {**_QUIET, **_UNCOUNTED}, observed=False),
    ]


class Running:
    """A child that answers how long so many requests take."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def seconds(self, requests: int) -> float:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{requests}\n")
        self._process.stdin.flush()
        return float(self._process.stdout.readline())


@contextmanager
def running(side: Side, folder: Path, collector: int) -> Iterator[Running]:
    """This side, until the end of the block."""
    environ = {name: os.environ[name] for name in ("HOME", "PATH", "LANG") if name in os.environ}
    environ |= {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'src'}", "PYTHONHASHSEED": "0", **_MEMORY, **side.settings}
    if side.traced is not None:
        environ |= {
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{collector}",
            "OTEL_METRICS_EXPORTER": "none",
            "OTEL_TRACES_SAMPLER": "parentbased_traceidratio",
            "OTEL_TRACES_SAMPLER_ARG": str(side.traced),
        }
    command = module("bench.priced", side.path, "observed" if side.observed else "bare")
    with (folder / f"{side.key}.log").open("wb") as log:
        process = subprocess.Popen(
            command, env=environ, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True
        )
        try:
            yield Running(process)
        finally:
            process.kill()
            process.wait()


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.prices", description=__doc__)
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--requests", type=int, default=200, help="of each turn")
    parser.add_argument("--only", nargs="+", metavar="SIDE", help="r, w or p, and what to hold against it")
    wanted = parser.parse_args()
    chosen = [side for side in sides() if not wanted.only or side.key in wanted.only]
    taken: dict[str, list[float]] = {side.key: [] for side in chosen}
    with TemporaryDirectory() as name, ExitStack() as stack:
        folder, port = Path(name), free_port()
        stack.enter_context(serving(module("bench.collector", str(port)), folder=folder, port=port))
        children = {side.key: stack.enter_context(running(side, folder, port)) for side in chosen}
        for child in children.values():
            child.seconds(wanted.requests)
        for number in range(wanted.rounds):
            for side in chosen if number % 2 else reversed(chosen):
                taken[side.key].append(children[side.key].seconds(wanted.requests) / wanted.requests * 1e6)
    quiet = {key: sorted(turns)[len(turns) // 10] for key, turns in taken.items()}
    for side in chosen:
        ours, base = quiet[side.key], quiet[side.key.partition("-")[0]]
        print(f"{side.key:10} {ours:8.1f} µs {ours - base:+8.1f}  {base / ours:.3f}×  {side.what}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
