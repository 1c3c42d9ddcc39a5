"""Lines about trouble that lasts: one for each change, and not one for each attempt."""

import logging
import re
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable

QUIET_SECONDS = 10.0  # what comes and goes is told so often at most
REASONS_MOST = 64
KEYS_MOST = 4096

_NUMBER = re.compile(r"\d+")


class ToldOnce:
    """Says when something is in trouble, when the reason becomes another, and when it is over.

    ``over`` says in words what it does again. Several may share one, told apart by ``key``: it is over when none of
    them is in trouble; with ``forgets``, also when none was for ``QUIET_SECONDS``, for who does not know when it is
    over. What comes again within that time is not told again.
    """

    def __init__(
        self, log: logging.Logger, over: str = "", *, forgets: bool = False, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._log = log
        self._over = over
        self._forgets = forgets
        self._now = now
        self._troubled: set[Hashable] = set()
        self._told: OrderedDict[str, float] = OrderedDict()  # reasons, and when each was told last
        self._began: float | None = None  # of what was told and is not over
        self._latest = float("-inf")
        self._attempts = 0

    def trouble(
        self, text: str, *arguments: object, why: object, key: Hashable = None, level: int = logging.WARNING
    ) -> None:
        """Something failed once more, because of ``why``: an exception, or words. An error is told with its traceback.

        Numbers in ``why`` make it no other reason.
        """
        if self.is_news(why, key):
            bug = why if level >= logging.ERROR and isinstance(why, BaseException) else None
            self._log.log(level, text, *arguments, exc_info=bug)

    def is_news(self, why: object, key: Hashable = None) -> bool:
        """Note the same trouble; whether it is to be told."""
        now = self._now()
        if self._forgets and now - self._latest >= QUIET_SECONDS:
            self._troubled.clear()
            self._began = None
        self._latest = now
        if not self._troubled:
            self._attempts = 0
        if len(self._troubled) < KEYS_MOST:
            self._troubled.add(key)
        self._attempts += 1
        reason = f"{type(why).__name__} {_NUMBER.sub('0', _words(why))}"
        told_at = self._told.get(reason)
        if told_at is not None:
            was_before = self._began is None or told_at < self._began
            if not was_before or now - told_at < QUIET_SECONDS:
                return False
        if self._began is None:
            self._began = now
        self._told[reason] = now
        self._told.move_to_end(reason)
        if len(self._told) > REASONS_MOST:
            self._told.popitem(last=False)
        return True

    def over(self, key: Hashable = None) -> None:
        """It works; says so if trouble was told, and was the last."""
        if key not in self._troubled:
            return
        self._troubled.discard(key)
        if not self._troubled and self._began is not None:
            seconds, self._began = self._now() - self._began, None
            self._log.info("%s, after %d failed attempts in %.1f s", self._over, self._attempts, seconds)


def _words(why: object) -> str:
    try:
        return str(why)
    except Exception:  # an error of others that cannot even be told
        return ""
