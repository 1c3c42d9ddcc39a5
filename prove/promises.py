"""What clients were promised, and the load that makes it: orders at a steady rate, whatever becomes of the service.

Each request has an Idempotency-Key of its own. Those without an answer are sent again with it when all is over.
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from random import Random
from uuid import uuid4

from prove.http import Answer, Connection, NoAnswer

IN_FLIGHT_MOST = 64
REGISTER_EVERY = 15  # requests
FIRST_USERS = 4
FIRST_SECONDS = 60.0
CREATED = 201
STORAGE_UNAVAILABLE, IN_USE = 503, 409
REPEATING_SECONDS = 30.0
REPEATING_AT_ONCE = 16
KNOWN_AGAIN = 40  # requests with an answer that are sent again as well


@dataclass(frozen=True, slots=True)
class Request:
    """One that has a mark by which what came of it is found without an id: a sku, or an e-mail address."""

    path: str
    value: dict[str, object]
    key: str = field(default_factory=lambda: uuid4().hex)


@dataclass(frozen=True, slots=True)
class Repeated:
    """What came of sending one again: an id each time, and whether that was said to be a replay."""

    before: str | None  # the id that was in the database by then
    answers: list[tuple[str, bool]]


@dataclass(slots=True)
class Promises:
    """Over all lives of the service. Each order has a sku of its own, by which it is found without an id."""

    users: dict[str, str] = field(default_factory=dict)  # id: e-mail
    orders: dict[str, str] = field(default_factory=dict)  # id: sku
    asked_emails: dict[str, Request] = field(default_factory=dict)
    asked_skus: dict[str, Request] = field(default_factory=dict)
    repeated: dict[str, Repeated] = field(default_factory=dict)  # by sku or e-mail
    wrong: list[str] = field(default_factory=list)  # answers that no fault excuses
    refused: Counter[int] = field(default_factory=Counter)
    unanswered: int = 0
    slowest: float = 0.0

    @property
    def unknown(self) -> set[str]:
        """The marks of requests that may have been carried out or not, for all that the load has heard."""
        asked = self.asked_skus.keys() | self.asked_emails.keys()
        return asked - set(self.orders.values()) - set(self.users.values())


class Load:
    """Registers users and places orders on one port."""

    def __init__(self, port: int, promises: Promises, dice: Random) -> None:
        self.promises = promises
        self._port = port
        self._dice = dice
        self._idle = [Connection(port) for _ in range(IN_FLIGHT_MOST)]
        self._asking: set[asyncio.Task[None]] = set()
        self.skipped = 0  # for want of an idle connection

    async def first_users(self) -> None:
        """Return when there are users who can order; fails when the service does not answer within a minute."""
        deadline = time.monotonic() + FIRST_SECONDS
        while len(self.promises.users) < FIRST_USERS:
            if time.monotonic() > deadline:
                raise NoAnswer(f"nobody could register within {FIRST_SECONDS:g} s: {self.promises.refused}")
            before = len(self.promises.users)
            await self._register(self._idle[0])
            if len(self.promises.users) == before:
                await asyncio.sleep(0.1)

    @asynccontextmanager
    async def at_rate(self, rate: float) -> AsyncIterator[None]:
        """So many requests a second inside; all are answered, or known not to be, afterwards."""
        sending = asyncio.create_task(self._send(rate))
        try:
            yield
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
            await asyncio.gather(*self._asking)

    async def orders(self, number: int) -> None:
        """So many orders, one after the other on a few connections."""
        left = iter(range(number))

        async def some(connection: Connection) -> None:
            for _ in left:
                await self._order(connection)

        await asyncio.gather(*(some(connection) for connection in self._idle[:8]))

    async def rate(self, seconds: float) -> float:
        """How many orders a second are answered 201 when each of eight connections asks again at once."""
        ends = time.monotonic() + seconds
        began, before = time.monotonic(), len(self.promises.orders)

        async def some(connection: Connection) -> None:
            while time.monotonic() < ends:
                await self._order(connection)

        await asyncio.gather(*(some(connection) for connection in self._idle[:8]))
        return (len(self.promises.orders) - before) / (time.monotonic() - began)

    async def repeat(self, there: Mapping[str, str]) -> None:
        """Send all that had no answer again, twice, and some that had one; ``there`` are the ids of what is kept.

        Each has to come to an answer within half a minute.
        """
        unknown = sorted(self.promises.unknown)
        known = sorted({*self.promises.asked_skus, *self.promises.asked_emails}.difference(unknown))
        marks = iter([*unknown, *self._dice.sample(known, min(KNOWN_AGAIN, len(known)))])

        async def some(connection: Connection) -> None:
            for mark in marks:
                deadline = time.monotonic() + REPEATING_SECONDS
                request = self.promises.asked_skus.get(mark) or self.promises.asked_emails[mark]
                answers = [await self._until_answered(connection, request, deadline) for _ in range(2)]
                told = [(answer.body["id"], answer.replayed) for answer in answers if answer is not None]
                self.promises.repeated[mark] = Repeated(there.get(mark), told)

        await asyncio.gather(*(some(connection) for connection in self._idle[:REPEATING_AT_ONCE]))

    async def _until_answered(self, connection: Connection, request: Request, deadline: float) -> Answer | None:
        while time.monotonic() < deadline:
            try:
                answer = await connection.ask("POST", request.path, request.value, key=request.key)
            except NoAnswer:
                continue
            if answer.status == CREATED:
                return answer
            if answer.status not in {STORAGE_UNAVAILABLE, IN_USE}:
                self.promises.wrong.append(
                    f"I7: {request.path}, sent again, was answered {answer.status}: {answer.body}"
                )
                return None
            await asyncio.sleep(0.2)
        return None

    def close(self) -> None:
        for connection in self._idle:
            connection.close()

    async def _send(self, rate: float) -> None:
        began = time.monotonic()
        for number in count(1):
            await asyncio.sleep(max(0.0, began + number / rate - time.monotonic()))
            if not self._idle:
                self.skipped += 1
                continue
            task = asyncio.create_task(self._one(self._idle.pop(), registers=number % REGISTER_EVERY == 0))
            self._asking.add(task)
            task.add_done_callback(self._asking.discard)

    async def _one(self, connection: Connection, *, registers: bool) -> None:
        try:
            await (self._register if registers else self._order)(connection)
        finally:
            self._idle.append(connection)

    async def _register(self, connection: Connection) -> None:
        email = f"{uuid4().hex}@example.com"
        request = self.promises.asked_emails[email] = Request("/register-user/", {"email": email, "name": "Ada"})
        answer = await self._ask(connection, request)
        if answer is not None:
            self.promises.users[answer.body["id"]] = email

    async def _order(self, connection: Connection) -> None:
        sku = uuid4().hex
        lines = [{"sku": sku, "quantity": 2, "unit_price": "9.90"}]
        user = self._dice.choice(list(self.promises.users))
        request = Request("/orders/", {"user_id": user, "currency": "EUR", "lines": lines})
        self.promises.asked_skus[sku] = request
        answer = await self._ask(connection, request)
        if answer is not None:
            self.promises.orders[answer.body["id"]] = sku
            if answer.body["status"] != "placed" or answer.body["total"] != "19.80":
                self.promises.wrong.append(f"an order was answered {answer.body}")

    async def _ask(self, connection: Connection, request: Request) -> Answer | None:
        began = time.monotonic()
        try:
            answer = await connection.ask("POST", request.path, request.value, key=request.key)
        except NoAnswer:
            self.promises.unanswered += 1
            return None
        finally:
            self.promises.slowest = max(self.promises.slowest, time.monotonic() - began)
        if answer.status == CREATED:
            if answer.replayed:
                self.promises.wrong.append(f"I7: {request.path} was answered with a key of its own as a repetition")
            return answer
        self.promises.refused[answer.status] += 1
        if answer.status != STORAGE_UNAVAILABLE:  # that, or draining: the only honest refusals of what we ask
            self.promises.wrong.append(f"{request.path} was answered {answer.status}: {answer.body}")
        return None
