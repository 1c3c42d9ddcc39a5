"""Writes `docs/openapi.json` and `docs/asyncapi.json`, or checks them.

Refuses what breaks those who use the API as it was committed last, and names it.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from entrypoints.asyncapi import describe_events
from entrypoints.container import build
from entrypoints.settings import Settings
from entrypoints.web.app import create_app
from tools.documents.gate import ASYNCAPI, HOW, NOT_CURRENT, OPENAPI, Document, Kept, broken, differences, text_of

ROOT = Path(__file__).parents[2]
LINES_MOST = 40


def documents() -> Iterator[tuple[Kept, Document]]:
    """Both, as this code writes them when nothing is set."""
    yield OPENAPI, create_app(build(Settings.defaults()), operator_token=None).openapi()
    yield ASYNCAPI, describe_events()


def main() -> int:
    """Run the command line."""
    arguments = argparse.ArgumentParser(prog="python -m tools.documents", description=__doc__)
    arguments.add_argument("--check", action="store_true", help="change nothing, fail when something is not right")
    check = arguments.parse_args().check
    refused = stale = False
    for kept, new in documents():
        if found := broken(kept, new, ROOT):
            refused = True
            print("\n".join(f"{kept.path}: {each}" for each in found))
        elif lines := differences(kept, new, ROOT):
            stale = True
            if check:
                print("\n".join([*lines[:LINES_MOST], f"{kept.path} {NOT_CURRENT}"]))
            else:
                (ROOT / kept.path).write_text(text_of(new), encoding="utf-8")
                print(f"{kept.path} is written")
    if refused:
        print(HOW)
    return int(refused or (check and stale))


if __name__ == "__main__":
    sys.exit(main())
