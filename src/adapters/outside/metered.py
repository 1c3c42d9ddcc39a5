"""HTTP under a quota, a few calls at a time."""

from collections.abc import Collection, Mapping
from typing import Final, Protocol

from pydantic import SecretStr

from adapters.http_client import Answer
from adapters.outside.deadline import left
from adapters.outside.errors import Crowded, QuotaSpent
from adapters.outside.places import Places
from ports.clock import Clock
from ports.quota import Quota

PLACES: Final = 20  # calls of one API on their way at once; the HTTP client has connections for those of several
_WAIT_LEAST: Final = 0.001  # seconds; whoever is told to come again now gives way all the same
_TOO_LATE: Final = 0.05  # seconds before the deadline, or a provider that was not asked would be blamed for it


class Http(Protocol):
    """Asks an outside API once: what a driver needs of `adapters.http_client.HttpClient`."""

    async def get(
        self,
        url: str,
        parameters: Mapping[str, str],
        *,
        secrets: Mapping[str, SecretStr] | None = None,
        expect: Collection[int] = (200,),
    ) -> Answer:
        """As `HttpClient.get`."""


class Metered:
    """Lets each call find a place and be granted by the quota first; it stands between a driver and its HTTP client.

    So every request that leaves is counted, the second one of a question and each new attempt as well. There are
    ``places`` calls on their way at once: a grant is used at once and does not wait for a connection, or grants of
    several windows would leave together; and a provider that hangs holds no more than its own places. Whoever is not
    granted waits for up to ``wait_seconds`` when that changes in this time, and before the deadline; else `QuotaSpent`.
    Whoever finds no place in this time is told `Crowded`.
    """

    def __init__(
        self,
        http: Http,
        quota: Quota,
        *,
        api: str,
        clock: Clock,
        wait_seconds: float = 1.0,
        places: int = PLACES,
    ) -> None:
        self._http = http
        self._quota = quota
        self._api = api
        self._clock = clock
        self._wait_seconds = wait_seconds
        self._places = Places(places, clock=clock)

    async def get(
        self,
        url: str,
        parameters: Mapping[str, str],
        *,
        secrets: Mapping[str, SecretStr] | None = None,
        expect: Collection[int] = (200,),
    ) -> Answer:
        """As `HttpClient.get`, or `QuotaSpent`, or `Crowded`."""
        until = self._clock.monotonic() + min(self._wait_seconds, left(self._clock))
        while True:
            await self._find_place(until)
            try:
                wait = await self._quota.take()
                if wait <= 0:
                    return await self._http.get(url, parameters, secrets=secrets, expect=expect)
            finally:
                self._places.leave()
            # To wait for the quota takes no place.
            if self._clock.monotonic() + wait > until:
                raise QuotaSpent(f"the quota of {self._api} is spent", retry_after=wait)
            await self._clock.sleep(max(wait, _WAIT_LEAST))

    async def _find_place(self, until: float) -> None:
        seconds = min(until - self._clock.monotonic(), left(self._clock) - _TOO_LATE)
        if not await self._places.take(seconds=seconds):
            raise Crowded(f"too many calls of {self._api} are on their way", retry_after=self._wait_seconds)
