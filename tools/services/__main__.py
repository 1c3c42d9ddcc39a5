"""Servers for development and tests: PostgreSQL, Kafka, RabbitMQ, Redis, Memcached and GreenMail, on loopback."""

import argparse
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from types import FrameType

from tools.services import standing
from tools.services.failures import Failure

NAMES = list(standing.SERVERS)


def run(command: Sequence[str], names: Sequence[str]) -> int:
    """Run a command with servers, and give its exit code.

    At home it runs without what cannot be started. So it does with CI=true, that one run may say all that is wrong; but
    then the run has failed.
    """
    with standing.lent(names) as failures:
        if failures:
            print(f"Without {', '.join(failures)}", file=sys.stderr, flush=True)
        code = _call(command)
    return code or int(bool(failures) and os.environ.get("CI") == "true")


def _call(command: Sequence[str]) -> int:
    """Its exit code. A Ctrl-C of the terminal reaches it as well, and SIGTERM is handed on: it decides when it ends."""
    with subprocess.Popen(command) as child:

        def hand_on(number: int, _frame: FrameType | None) -> None:
            if number == signal.SIGTERM:
                child.terminate()

        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, hand_on)
        code = child.wait()
    return code if code >= 0 else 128 - code


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m tools.services", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    for verb, explained in {
        "up": "start them, to stay",
        "down": "stop them, and remove their data",
        "status": "say which answer",
    }.items():
        of_verb = verbs.add_parser(verb, help=explained, description=explained)
        of_verb.add_argument("names", metavar="NAME", nargs="*", help=f"of {', '.join(NAMES)}; all when none is named")
    of_run = verbs.add_parser("run", help="run a command with them; what had to be started is stopped afterwards")
    of_run.add_argument("--only", metavar="NAME,…", type=lambda told: told.split(","), dest="names", default=NAMES)
    of_run.add_argument("command", metavar="COMMAND", nargs="+", help="after --")
    told = parser.parse_args(arguments)

    names = told.names or NAMES
    if unknown := sorted(set(names) - set(NAMES)):
        parser.error(f"there is no {', '.join(unknown)}; there are {', '.join(NAMES)}")
    if told.verb == "run":
        return run(told.command, names)
    if told.verb == "up":
        return int(bool(standing.up(names)))
    if told.verb == "down":
        standing.down(names)
        return 0
    states = {name: standing.state(name) for name in names}
    for name, state in states.items():
        print(f"{name:<11} {state}")
    return int(not all(state.startswith("up") for state in states.values()))


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that what was begun is ended
    try:
        sys.exit(main())
    except Failure as failure:
        sys.exit(str(failure))
