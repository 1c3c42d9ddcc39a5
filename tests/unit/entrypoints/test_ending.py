"""The forced end, in a process that hangs wherever it may."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SRC = Path(__file__).parents[3] / "src"


def a_process_that(script: str, stderr: int) -> subprocess.Popen[bytes]:
    beginning = (
        "import logging, os, signal, threading, time\n"
        "from entrypoints.ending import end_at_the_latest\n"
        "logging.basicConfig()\n"
    )
    return subprocess.Popen(
        [sys.executable, "-c", beginning + script], env={**os.environ, "PYTHONPATH": str(SRC)}, stderr=stderr
    )


@pytest.mark.parametrize(
    "lock",
    ["logging._lock", "logging.getLogger().handlers[0].lock", "threading._active_limbo_lock"],
    ids=["logging", "its handler", "threading"],
)
def test_a_signal_that_comes_while_a_lock_is_held_ends_the_process_and_says_so(lock: str) -> None:
    process = a_process_that(
        "signal.signal(signal.SIGTERM, lambda *_: end_at_the_latest(0))\n"
        f"with {lock}:\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "    time.sleep(60)\n",
        subprocess.PIPE,
    )

    _, said = process.communicate(timeout=30)

    assert process.returncode == 0
    assert b"CROSSDOCK_GRACE" in said


def test_a_process_whose_words_nobody_reads_ends_all_the_same() -> None:
    reader, writer = os.pipe()
    try:
        process = a_process_that("os.write(2, bytes(65_536))\nend_at_the_latest(0)\ntime.sleep(60)\n", writer)

        assert process.wait(30) == 0
    finally:
        os.close(reader)
        os.close(writer)
