"""HTTP under a quota."""

from collections.abc import Collection, Mapping
from typing import Final, Protocol

from pydantic import SecretStr

from adapters.http_client import Answer
from adapters.outside.deadline import left
from adapters.outside.errors import QuotaSpent
from ports.clock import Clock
from ports.quota import Quota

_WAIT_LEAST: Final = 0.001  # seconds; whoever is told to come again now gives way all the same


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
    """Lets each call take its place in the quota first; it stands between a driver and its HTTP client.

    So every request that leaves is counted, the second one of a question and each new attempt as well. Whoever finds no
    place waits for up to ``wait_seconds`` when one comes free in that time, and before the deadline; else `QuotaSpent`.
    """

    def __init__(self, http: Http, quota: Quota, *, api: str, clock: Clock, wait_seconds: float = 1.0) -> None:
        self._http = http
        self._quota = quota
        self._api = api
        self._clock = clock
        self._wait_seconds = wait_seconds

    async def get(
        self,
        url: str,
        parameters: Mapping[str, str],
        *,
        secrets: Mapping[str, SecretStr] | None = None,
        expect: Collection[int] = (200,),
    ) -> Answer:
        """As `HttpClient.get`, or `QuotaSpent`."""
        until = self._clock.monotonic() + min(self._wait_seconds, left(self._clock))
        while (wait := await self._quota.take()) > 0:
            if self._clock.monotonic() + wait > until:
                raise QuotaSpent(f"the quota of {self._api} is spent", retry_after=wait)
            await self._clock.sleep(max(wait, _WAIT_LEAST))
        return await self._http.get(url, parameters, secrets=secrets, expect=expect)
