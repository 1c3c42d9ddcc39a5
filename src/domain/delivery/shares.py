"""Which partitions this process may act for, by leases."""

import asyncio
from collections.abc import Coroutine, Mapping
from typing import Any, TypeVar

from ports.clock import Clock
from ports.errors import Unavailable
from ports.persistence import HoldLease, Leases
from ports.shares import Shares

T = TypeVar("T")

LEASE_SECONDS = 6.0
RENEW_SECONDS = 2.0


class LeasedShares(Shares):
    """Shares numbered partitions among the members of one role, by leases.

    Each member holds the partitions whose number falls on its place among the members. Members whose ``side`` differs
    never hold shares together: a relay of one broker waits until those of another have gone.
    """

    def __init__(self, leases: Leases, clock: Clock, *, role: str, member: str, count: int) -> None:
        self._leases = leases
        self._clock = clock
        self._role = role
        self._member = member
        self._names = {f"{role}/{number}": number for number in range(count)}
        self._held: dict[int, int] = {}
        self._side: str | None = None
        self._renewed_at = float("-inf")

    async def hold(self, side: str) -> Mapping[int, int]:
        if side == self._side and self._clock.monotonic() - self._renewed_at < RENEW_SECONDS:
            return self._held
        renewed_at = self._clock.monotonic()
        if self._side not in {None, side}:
            await self.give_back()
        sides = await self._leases.take([f"{self._role}/side"], holder=side, seconds=LEASE_SECONDS)
        if not sides:
            self._held = {}
            return self._held
        me = f"{self._role}/member/{self._member}"
        await self._leases.take([me], holder=self._member, seconds=LEASE_SECONDS)
        members = await self._leases.holders(f"{self._role}/member/")
        place = members.index(self._member) if self._member in members else 0
        ours = [name for name, number in self._names.items() if number % max(1, len(members)) == place]
        excess = [f"{self._role}/{number}" for number in self._held if f"{self._role}/{number}" not in ours]
        if excess:
            await self._leases.release(excess, holder=self._member)
        taken = await self._leases.take(ours, holder=self._member, seconds=LEASE_SECONDS)
        self._held = {self._names[name]: fence for name, fence in taken.items()}
        self._side, self._renewed_at = side, renewed_at
        return self._held

    async def keep_while(self, work: Coroutine[Any, Any, T]) -> T:
        """Do ``work``, which may take longer than a lease, and renew meanwhile what is held, but take nothing new."""
        working = asyncio.ensure_future(work)
        try:
            while True:
                resting = asyncio.ensure_future(self._clock.sleep(RENEW_SECONDS))
                try:
                    await asyncio.wait({working, resting}, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    resting.cancel()
                if working.done():
                    return working.result()
                await self._renew()
        finally:
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)

    async def _renew(self) -> None:
        try:
            if self._side and await self._leases.take([f"{self._role}/side"], holder=self._side, seconds=LEASE_SECONDS):
                ours = [f"{self._role}/{number}" for number in self._held]
                me = f"{self._role}/member/{self._member}"
                await self._leases.take([me, *ours], holder=self._member, seconds=LEASE_SECONDS)
        except Unavailable:
            pass  # the work goes on; whether the lease held is told when it is proven

    def proof(self, partition: int) -> HoldLease:
        """The precondition that the partition is still ours at the commit."""
        return HoldLease(f"{self._role}/{partition}", self._member, self._held[partition])

    def doubt(self) -> None:
        """Ask again before the next use: something was not ours any more."""
        self._renewed_at = float("-inf")

    async def give_back(self) -> None:
        """Let others have all of it at once instead of when it runs out."""
        await self._leases.release([*self._names, f"{self._role}/member/{self._member}"], holder=self._member)
        if self._side is not None and not await self._leases.holders(f"{self._role}/member/"):
            await self._leases.release([f"{self._role}/side"], holder=self._side)
        self._held, self._side = {}, None
