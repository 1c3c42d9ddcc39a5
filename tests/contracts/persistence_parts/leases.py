"""What is promised of leases."""

import asyncio

from ports.errors import Precondition
from ports.persistence import HoldLease, Persistence, Record
from tests.builders import a_delivery
from tests.clock import ManualClock
from tests.contracts.persistence_parts.cases import PersistenceCases, commit, failing, race


class LeasesContract(PersistenceCases):
    async def test_what_is_free_can_be_taken(self, persistence: Persistence) -> None:
        fences = await persistence.leases.take(["relay/0", "relay/1"], holder="a", seconds=10)

        assert sorted(fences) == ["relay/0", "relay/1"]
        assert await persistence.leases.holders("relay/") == ["a"]

    async def test_what_another_holds_cannot_be_taken(self, persistence: Persistence) -> None:
        await persistence.leases.take(["relay/0"], holder="a", seconds=10)

        fences = await persistence.leases.take(["relay/0", "relay/1"], holder="b", seconds=10)

        assert list(fences) == ["relay/1"]

    async def test_what_is_ours_is_renewed_under_the_same_fence(
        self, persistence: Persistence, clock: ManualClock
    ) -> None:
        first = await persistence.leases.take(["relay/0"], holder="a", seconds=10)
        await self.let_pass(clock, 8)

        second = await persistence.leases.take(["relay/0"], holder="a", seconds=10)

        await self.let_pass(clock, 8)
        assert second == first
        assert await persistence.leases.take(["relay/0"], holder="b", seconds=10) == {}
        await commit(persistence, HoldLease("relay/0", "a", second["relay/0"]))

    async def test_a_lease_runs_out(self, persistence: Persistence, clock: ManualClock) -> None:
        old = await persistence.leases.take(["relay/0"], holder="a", seconds=10)

        await self.let_pass(clock, 11)

        assert list(await persistence.leases.holders("")) == []
        new = await persistence.leases.take(["relay/0"], holder="b", seconds=10)
        assert new["relay/0"] > old["relay/0"]

    async def test_what_was_let_go_is_free_at_once(self, persistence: Persistence) -> None:
        old = await persistence.leases.take(["relay/0", "relay/1"], holder="a", seconds=10)

        await persistence.leases.release(["relay/0", "nothing"], holder="a")

        new = await persistence.leases.take(["relay/0", "relay/1"], holder="b", seconds=10)
        assert list(new) == ["relay/0"]
        assert new["relay/0"] > old["relay/0"]

    async def test_nobody_lets_go_of_what_another_holds(self, persistence: Persistence) -> None:
        await persistence.leases.take(["relay/0"], holder="a", seconds=10)

        await persistence.leases.release(["relay/0"], holder="b")

        assert await persistence.leases.take(["relay/0"], holder="b", seconds=10) == {}

    async def test_the_fence_grows_with_every_change_of_holder(
        self, persistence: Persistence, clock: ManualClock
    ) -> None:
        fences = []
        for holder in ("a", "b", "a", "b"):
            fences.append((await persistence.leases.take(["relay/0"], holder=holder, seconds=10))["relay/0"])
            await self.let_pass(clock, 11)

        assert fences == sorted(set(fences))

    async def test_one_of_many_takes_a_lease(self, persistence: Persistence) -> None:
        takes = [persistence.leases.take(["relay/0"], holder=f"process-{number}", seconds=10) for number in range(9)]

        fences = await asyncio.gather(*takes)

        (holder,) = [f"process-{number}" for number, taken in enumerate(fences) if taken]
        assert await persistence.leases.holders("relay/") == [holder]

    async def test_leases_taken_in_opposite_order_do_not_stop_each_other(self, persistence: Persistence) -> None:
        names = [f"relay/{number}" for number in range(20)]
        orders = [names, names[::-1]] * 3

        fences = await asyncio.gather(
            *(
                persistence.leases.take(order, holder=f"process-{number}", seconds=10)
                for number, order in enumerate(orders)
            )
        )

        assert sorted(name for taken in fences for name in taken) == sorted(names)

    async def test_holders_are_named_once_in_order_and_by_prefix(
        self, persistence: Persistence, clock: ManualClock
    ) -> None:
        await persistence.leases.take(["relay_/7"], holder="gone", seconds=5)
        await self.let_pass(clock, 6)
        await persistence.leases.take(["relay_/0", "relay_/1"], holder="b", seconds=10)
        await persistence.leases.take(["relay_/2"], holder="a", seconds=10)
        await persistence.leases.take(["relayX/0", "relay%/0", "Relay_/0"], holder="other", seconds=10)
        await persistence.leases.take(["relay_/3"], holder="let-go", seconds=10)
        await persistence.leases.release(["relay_/3"], holder="let-go")

        assert list(await persistence.leases.holders("relay_/")) == ["a", "b"]
        assert list(await persistence.leases.holders("")) == ["a", "b", "other"]
        assert list(await persistence.leases.holders("nothing")) == []

    async def test_who_holds_the_lease_may_commit(self, persistence: Persistence) -> None:
        fences = await persistence.leases.take(["relay/0"], holder="a", seconds=10)
        delivery = a_delivery()

        await commit(persistence, HoldLease("relay/0", "a", fences["relay/0"]), Record(delivery))

        assert await persistence.ledger.get(delivery.id) is not None

    async def test_who_does_not_hold_the_lease_may_not_commit(
        self, persistence: Persistence, clock: ManualClock
    ) -> None:
        fence = (await persistence.leases.take(["relay/0"], holder="a", seconds=10))["relay/0"]

        others = [
            HoldLease("relay/0", "b", fence),
            HoldLease("relay/0", "a", fence - 1),
            HoldLease("relay/0", "a", fence + 1),
            HoldLease("relay/1", "a", fence),
        ]
        outcomes = await race(persistence, *([other] for other in others))
        await self.let_pass(clock, 11)
        late = await failing(commit(persistence, HoldLease("relay/0", "a", fence)))

        assert [*outcomes, late] == [Precondition.LEASE_IS_HELD] * 5

    async def test_a_former_holder_may_not_commit(self, persistence: Persistence, clock: ManualClock) -> None:
        """It may have slept through the end of its lease, and its work may meanwhile be done by another."""
        old = await persistence.leases.take(["relay/0"], holder="a", seconds=10)
        await self.let_pass(clock, 11)
        new = await persistence.leases.take(["relay/0"], holder="b", seconds=10)
        delivery = a_delivery()

        failed = await failing(commit(persistence, HoldLease("relay/0", "a", old["relay/0"]), Record(delivery)))

        assert failed is Precondition.LEASE_IS_HELD
        assert await persistence.ledger.get(delivery.id) is None
        await commit(persistence, HoldLease("relay/0", "b", new["relay/0"]), Record(delivery))
