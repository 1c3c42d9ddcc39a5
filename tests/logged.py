"""Logging as it was before, and lines that are written for a request."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from entrypoints import request_lines
from ports.log_context import CURRENT_REQUEST_ID


@contextmanager
def logging_restored() -> Iterator[None]:
    """What is made of logging inside ends with it, and no logger of ours remembers it."""
    root = logging.getLogger()
    handlers, level, before = root.handlers[:], root.level, structlog.get_config()
    lines = request_lines.chosen()
    try:
        yield
    finally:
        root.handlers[:], root.level = handlers, level
        structlog.configure(**before)
        request_lines.use(lines)
        # A logger that was used keeps what was configured then; the next test would look for its lines in vain.
        for module in [one for name, one in sys.modules.items() if name.partition(".")[0] in _OURS]:
            for logger in vars(module).values():
                if isinstance(logger, _LOGGER):
                    vars(logger).pop("bind", None)


@contextmanager
def for_request(id: str) -> Iterator[None]:
    """What is logged inside is logged for the request with this id."""
    before = CURRENT_REQUEST_ID.set(id)
    try:
        yield
    finally:
        CURRENT_REQUEST_ID.reset(before)


_OURS = ("adapters", "domain", "entrypoints", "ports")
_LOGGER = type(structlog.get_logger())
