"""Several processes that answer requests on one port, kept alive by their parent."""

import asyncio
import logging
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from tempfile import TemporaryDirectory

from entrypoints import log_level

log = logging.getLogger("crossdock")

RESTART_SECONDS = 1.0  # between the end of a process and the start of the next in its place
EARLY_SECONDS = 5.0  # a process that fails so soon never came up, and neither would the next


async def supervise(listener: socket.socket, workers: int, *, token: str | None, grace: float) -> int:
    """Run ``workers`` processes until told to end, replacing those that die; the exit code.

    Each has a place in a folder of theirs, which whoever replaces it takes over. One that ends with an error before it
    came up ends all: it says why, and the others would say the same.
    """
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)
    pids: set[int] = set()
    log_level.switch_on_signal(lambda: tuple(pids))
    with TemporaryDirectory(prefix="crossdock-") as folder:
        spawns = [partial(_spawn, listener, token, place=f"{folder}/{number}") for number in range(workers)]
        codes = await asyncio.gather(*(_keep(spawn, told, grace, pids) for spawn in spawns))
    return max(codes)


async def _keep(
    spawn: Callable[[], Awaitable[asyncio.subprocess.Process]], told: asyncio.Event, grace: float, pids: set[int]
) -> int:
    loop = asyncio.get_running_loop()
    while True:
        began = loop.time()
        process = await spawn()
        pids.add(process.pid)
        ended, asked = asyncio.ensure_future(process.wait()), asyncio.ensure_future(told.wait())
        await asyncio.wait({ended, asked}, return_when=asyncio.FIRST_COMPLETED)
        asked.cancel()
        pids.discard(process.pid)
        if told.is_set():
            return await _end(process, ended, grace)
        code = ended.result()
        if code > 0 and loop.time() - began < EARLY_SECONDS:
            told.set()
            return code
        log.error("an API process ended with %d and is replaced", code)
        await asyncio.sleep(RESTART_SECONDS)


async def _spawn(listener: socket.socket, token: str | None, *, place: str) -> asyncio.subprocess.Process:
    number = listener.fileno()
    environment = os.environ | ({} if token is None else {"CROSSDOCK_OPERATOR_TOKEN": token})
    if log_level.is_switched():  # the others are
        environment |= {log_level.SWITCHED: "1"}
    # Its standard input is a pipe that ends when this process does, however it ends.
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "entrypoints.cli",
        "api",
        "--fd",
        str(number),
        "--place",
        place,
        stdin=asyncio.subprocess.PIPE,
        pass_fds=[number],
        env=environment,
        start_new_session=True,  # Ctrl-C reaches this process, which tells the others
    )


async def _end(process: asyncio.subprocess.Process, ended: "asyncio.Future[int]", grace: float) -> int:
    if process.returncode is None:
        process.terminate()
    try:
        code = await asyncio.wait_for(asyncio.shield(ended), grace + 1)
    except TimeoutError:
        process.kill()
        code = await ended
    return max(code, 0)


def inherited(number: int) -> socket.socket:
    """The listening socket that the parent has opened."""
    return socket.socket(fileno=number)


def watch_parent() -> None:
    """Drain and end when the parent has ended without saying so."""
    loop = asyncio.get_running_loop()

    def look() -> None:
        if not os.read(0, 1):
            loop.remove_reader(0)
            os.kill(os.getpid(), signal.SIGTERM)

    loop.add_reader(0, look)
