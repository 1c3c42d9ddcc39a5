"""What an issuer publishes: where its keys are, and the keys themselves, kept and renewed."""

import asyncio
import logging
from typing import Final
from urllib.parse import urlsplit

from pydantic import BaseModel

from adapters.http_client import HttpClient
from adapters.identity.oidc.keys import KeyDocument, KeyRing
from domain.model.times import to_rfc3339
from ports.clock import Clock
from ports.errors import PortError, Rejected, Unavailable
from ports.identity import SignIn
from ports.shared_work import begin_shared

FRESH_LEAST: Final = 60.0  # whatever the issuer says; between these, its max-age holds
FRESH_MOST: Final = 120.0  # so an issuer that goes away, and a key that is withdrawn, are noticed soon
COOL_DOWN: Final = 30.0  # between fetches that an unknown key asks for
RETRY_FIRST: Final = 1.0
RETRY_MOST: Final = 15.0

log = logging.getLogger("crossdock.identity")


class Discovered(BaseModel):
    """What is read of a discovery document (OpenID Connect Discovery 1.0 §3)."""

    issuer: str
    jwks_uri: str
    authorization_endpoint: str | None = None
    token_endpoint: str | None = None
    scopes_supported: list[str] = []


class Issuer:
    """One issuer and its keys, renewed in the background for as long as this runs.

    The keys of last time are kept while the issuer is away. A key that is not known is looked for once in `COOL_DOWN`
    seconds, by everybody together.
    """

    def __init__(self, issuer: str, *, http: HttpClient, clock: Clock) -> None:
        self.issuer = issuer
        self._http = http
        self._clock = clock
        self._ring: KeyRing | None = None
        self._sign_in: SignIn | None = None
        self._trouble: str | None = None
        self._away_since = ""
        self._failures = 0
        self._due = 0.0  # all on the monotonic scale
        self._looked_at = float("-inf")
        self._flight: asyncio.Task[None] | None = None
        self._keeping: asyncio.Task[None] | None = None
        self._sooner = asyncio.Event()

    @property
    def trouble(self) -> str | None:
        """Since when the issuer cannot be asked, and why it could not the last time."""
        return self._trouble

    @property
    def sign_in(self) -> SignIn | None:
        """Where people sign in, as soon as it is known."""
        return self._sign_in

    async def start(self) -> None:
        """Begin to fetch; nobody waits for it."""
        self._keeping = asyncio.create_task(self._keep())

    async def stop(self) -> None:
        """Fetch no more."""
        tasks = [task for task in (self._keeping, self._flight) if task is not None]
        self._keeping = self._flight = None
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def keys_for(self, key_id: str | None, algorithm: str) -> KeyRing:
        """The keys, renewed when the one that is asked for is not among them and it is time to look again.

        `Unavailable` when there are none.
        """
        ring, waited = self._ring, False
        if ring is None:
            if self._flight is None and self._failures:
                raise Unavailable("the issuer of tokens could not be asked for its keys", retry_after=self._due_in())
            await self._fetched()
            ring, waited = self._ring, True
            if ring is None:
                raise Unavailable("the issuer of tokens could not be asked for its keys", retry_after=self._due_in())
        if ring.fitting(key_id, algorithm):
            return ring
        if waited:
            self._looked_at = self._clock.monotonic()  # just now
        elif self._clock.monotonic() - self._looked_at >= COOL_DOWN:
            self._looked_at = self._clock.monotonic()
            await self._fetched()
        elif self._flight is not None and not self._failures:
            await self._fetched()  # with those who asked for it
        return ring if self._ring is None else self._ring

    def _due_in(self) -> float:
        return max(self._due - self._clock.monotonic(), 1.0)

    async def _fetched(self) -> None:
        """Return when the fetch that is under way has ended, well or not; begin one when none is."""
        if self._flight is None:
            self._flight = begin_shared(self._fetch())
            self._flight.add_done_callback(self._landed)
        # Neither cancelled with one caller nor a reason for another to be: it has its own deadline.
        await asyncio.wait({self._flight})

    def _landed(self, flight: "asyncio.Task[None]") -> None:
        if self._flight is flight:
            self._flight = None
        if not flight.cancelled() and (error := flight.exception()) is not None:
            log.error("the keys of the issuer could not be renewed", exc_info=error)

    async def _keep(self) -> None:
        while True:
            await self._fetched()
            while (wait := self._due - self._clock.monotonic()) > 0:
                self._sooner.clear()
                await self._clock.wait(self._sooner, wait)

    async def _fetch(self) -> None:
        # Should this fail in a way that nobody foresaw, the next try is not at once.
        self._due = self._clock.monotonic() + RETRY_MOST
        try:
            discovered = await self._discover()
            answer = await self._http.get(discovered.jwks_uri, {})
            ring = KeyRing.read(answer.read(KeyDocument))
            if not ring:
                raise Rejected(f"{answer.host} publishes no key that signatures can be checked with")
        except PortError as error:
            self._failed(error)
            return
        if self._trouble is not None:
            log.info("the issuer of tokens answers again")
        self._ring = ring
        self._sign_in = _sign_in(discovered)
        self._trouble = None
        self._failures = 0
        fresh = FRESH_MOST if answer.max_age is None else answer.max_age
        self._due = self._clock.monotonic() + min(max(fresh, FRESH_LEAST), FRESH_MOST)

    async def _discover(self) -> Discovered:
        address = f"{self.issuer.removesuffix('/')}/.well-known/openid-configuration"
        answer = await self._http.get(address, {})
        discovered = answer.read(Discovered)
        if discovered.issuer != self.issuer:  # OpenID Connect Discovery §4.3: exactly, to the last slash
            raise Rejected(f"{answer.host} says that it is another issuer than OIDC_ISSUER")
        keys, ours = urlsplit(discovered.jwks_uri), urlsplit(self.issuer)
        if keys.scheme != "https" and (keys.scheme, keys.hostname) != (ours.scheme, ours.hostname):
            raise Rejected(f"{answer.host} publishes its keys where they could be exchanged on the way")
        return discovered

    def _failed(self, error: PortError) -> None:
        is_news = self._trouble is None
        if is_news:
            self._away_since = to_rfc3339(self._clock.now())
        kept = "the keys of before are used" if self._ring else "no token can be checked"
        self._trouble = f"the issuer of tokens cannot be asked for its keys since {self._away_since}, {kept}: {error}"
        if is_news:
            log.warning("%s", self._trouble)
        wait = min(RETRY_FIRST * 2**self._failures, RETRY_MOST)
        self._failures = min(self._failures + 1, 10)
        self._due = self._clock.monotonic() + wait
        self._sooner.set()


def _sign_in(discovered: Discovered) -> SignIn | None:
    addresses = discovered.authorization_endpoint, discovered.token_endpoint
    if not all(address and urlsplit(address).scheme in {"https", "http"} for address in addresses):
        return None
    return SignIn(str(addresses[0]), str(addresses[1]), frozenset(discovered.scopes_supported))
