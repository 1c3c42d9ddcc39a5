"""HTTP under a quota, a few calls at a time."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Final, Protocol, Unpack

from adapters.http_client import Answer, Details, Sending
from adapters.outside.deadline import left, others_can_answer
from adapters.outside.errors import Crowded, QuotaSpent
from adapters.outside.places import Places
from ports.clock import Clock
from ports.quota import Quota

PLACES: Final = 20  # calls of one API on their way at once; the HTTP client has connections for those of several
_WAIT_LEAST: Final = 0.001  # seconds; whoever is told to come again now gives way all the same
_CALL_LEAST: Final = 0.5  # seconds before the deadline after which it is not worth asking any more


class Http(Protocol):
    """Asks an outside API once: what a driver needs of `adapters.http_client.HttpClient`."""

    async def get(self, url: str, parameters: Mapping[str, str], **details: Unpack[Details]) -> Answer:
        """As `HttpClient.get`."""


class Wire(Protocol):
    """The same, for whoever wants to be asked once more before anything is sent."""

    async def get(self, url: str, parameters: Mapping[str, str], **details: Unpack[Sending]) -> Answer:
        """As `HttpClient.get`."""


class Metered:
    """Lets each call find a place and be granted by the quota first; it stands between a driver and its HTTP client.

    So every request that leaves is counted, the second one of a question and each new attempt as well. There are
    ``places`` calls on their way at once: a grant is used at once and does not wait for a connection, or grants of
    several windows would leave together; and a provider that hangs holds no more than its own places. A call whose
    connection was there only ``late_seconds`` after its grant is granted once more before it leaves.

    Whoever is not granted waits for up to ``wait_seconds`` when that changes in this time, and before the deadline;
    else `QuotaSpent`. Whoever finds no place waits as long as the deadline leaves time for a call, or for
    ``wait_seconds`` when somebody else can be asked; then it is told `Crowded`.
    """

    def __init__(
        self,
        http: Wire,
        quota: Quota,
        *,
        api: str,
        clock: Clock,
        late_seconds: float = 0.2,
        wait_seconds: float = 1.0,
        places: int = PLACES,
    ) -> None:
        self._http = http
        self._quota = quota
        self._api = api
        self._clock = clock
        self._late_seconds = late_seconds
        self._wait_seconds = wait_seconds
        self._places = Places(places, clock=clock)

    async def get(self, url: str, parameters: Mapping[str, str], **details: Unpack[Details]) -> Answer:
        """As `HttpClient.get`, or `QuotaSpent`, or `Crowded`."""
        until: float | None = None
        while True:
            await self._find_place()
            try:
                wait = await self._quota.take()
                if wait <= 0:
                    in_time = self._in_time(self._clock.monotonic())
                    return await self._http.get(url, parameters, **details, before_sending=in_time)
            finally:
                self._places.leave()
            # To wait for the quota takes no place.
            now = self._clock.monotonic()
            until = now + min(self._wait_seconds, left(self._clock)) if until is None else until
            if now + wait > until:
                raise self._spent(wait)
            await self._clock.sleep(max(wait, _WAIT_LEAST))

    def _in_time(self, granted_at: float) -> Callable[[], Awaitable[None]]:
        """A late call counts when it leaves as well: grants that wait would leave with those of the next window."""

        async def in_time() -> None:
            if self._clock.monotonic() - granted_at > self._late_seconds and (wait := await self._quota.take()) > 0:
                raise self._spent(wait)

        return in_time

    def _spent(self, wait: float) -> QuotaSpent:
        why = self._quota.trouble or "the quota is spent"
        return QuotaSpent(f"{self._api} is not asked: {why}", retry_after=wait)

    async def _find_place(self) -> None:
        time = left(self._clock)
        seconds = self._wait_seconds if others_can_answer() or time == float("inf") else time
        if not await self._places.take(seconds=min(seconds, time - _CALL_LEAST)):
            raise Crowded(f"too many calls of {self._api} are on their way", retry_after=self._wait_seconds)
