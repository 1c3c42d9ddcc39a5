"""What the numbers depend on besides the code."""

import os
import platform
import sqlite3
import time
from importlib.metadata import version
from pathlib import Path
from statistics import median

from bench.children import free_port, module, serving
from bench.load import Load, send
from bench.prepared import plain_request

_SYNCS = 30
_BLOCK = b"\0" * 4096


def described(folder: Path) -> dict[str, str | float]:
    """Versions, cores, how busy they are, what a durable write costs in ``folder``, and how fast we can ask."""
    return {
        "python": platform.python_version(),
        "fastapi": version("fastapi"),
        "sqlite": sqlite3.sqlite_version,
        "system": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count() or 0,
        "load_average": round(os.getloadavg()[0], 2),
        "sync_ms": round(_sync_ms(folder), 3),
        "generator_per_second": round(_generator_alone(folder)),
    }


def _sync_ms(folder: Path) -> float:
    """How long a block of 4 KiB takes to be safe, in the middle."""
    taken = []
    with (folder / "sync").open("wb") as file:
        for _ in range(_SYNCS):
            began = time.perf_counter()
            file.write(_BLOCK)
            file.flush()
            os.fsync(file.fileno())
            taken.append(time.perf_counter() - began)
    return median(taken) * 1000


def _generator_alone(folder: Path) -> float:
    port = free_port()
    requests = [request.decode("latin-1") for request in plain_request()]
    with serving(module("bench.bare", str(port)), folder=folder, port=port):
        return send(Load(port, requests, status=200, seconds=1, warm_up=0.2)).rate
