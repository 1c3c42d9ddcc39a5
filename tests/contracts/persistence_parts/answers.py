"""What is promised of answers that are kept."""

from datetime import timedelta

import pytest

from ports.errors import Precondition
from ports.persistence import ANSWER_MOST, AddOrder, AddUser, KeepAnswer, Persistence
from tests.builders import NOON, a_user, an_order
from tests.contracts.persistence_parts.cases import (
    DAY,
    PersistenceCases,
    a_stored_user,
    an_answer,
    commit,
    failing,
    one_winner,
    race,
    unit,
)


class AnswersContract(PersistenceCases):
    @pytest.mark.parametrize("body", [b"", b"\0\xff{}", b"x" * ANSWER_MOST], ids=["none", "any bytes", "the largest"])
    async def test_an_answer_is_read_back_as_it_was_kept(self, persistence: Persistence, body: bytes) -> None:
        answer = an_answer(body=body)

        await commit(persistence, KeepAnswer(answer))

        assert await persistence.answers.get(answer.id) == answer

    async def test_an_answer_that_nobody_was_given_is_none(self, persistence: Persistence) -> None:
        assert await persistence.answers.get("nothing") is None

    async def test_an_answer_is_kept_with_what_was_done_or_not_at_all(self, persistence: Persistence) -> None:
        taken = await a_stored_user(persistence)

        failed = await failing(commit(persistence, AddUser(a_user(email=taken.email)), KeepAnswer(an_answer())))

        assert failed is Precondition.EMAIL_IS_NEW
        assert await persistence.answers.get("a-1") is None

    async def test_what_has_an_answer_is_not_done_again(self, persistence: Persistence) -> None:
        first, order = an_answer(), an_order(user=await a_stored_user(persistence))
        await commit(persistence, KeepAnswer(first))

        failed = await failing(
            commit(persistence, AddOrder(order), KeepAnswer(an_answer(fingerprint="f-2", body=b"other")))
        )

        assert failed is Precondition.KEY_IS_NEW
        assert await persistence.orders.get(order.id) is None
        assert await persistence.answers.get("a-1") == first

    async def test_that_there_is_an_answer_is_told_before_all_that_the_same_unit_has_made_untrue(
        self, persistence: Persistence
    ) -> None:
        """Who sends a request again shall find its answer, and not that the address is taken by itself."""
        user = a_user()
        again = unit(AddUser(user), AddOrder(an_order(user=a_user())), KeepAnswer(an_answer()))
        await commit(persistence, AddUser(user), KeepAnswer(an_answer()))

        assert await failing(persistence.commit(again)) is Precondition.KEY_IS_NEW

    async def test_one_of_many_keeps_an_answer(self, persistence: Persistence) -> None:
        user = await a_stored_user(persistence)
        orders = [an_order(user=user) for _ in range(12)]

        outcomes = await race(persistence, *(unit(AddOrder(order), KeepAnswer(an_answer())) for order in orders))

        assert one_winner(outcomes, lost=Precondition.KEY_IS_NEW)
        placed = await persistence.orders.page(user_id=user.id, before=None, limit=100)
        assert [order.id for order in placed] == [orders[outcomes.index(None)].id]

    async def test_answers_of_many_at_once_are_all_kept(self, persistence: Persistence) -> None:
        answers = [an_answer(f"a-{number}") for number in range(100)]

        await race(persistence, *(unit(KeepAnswer(answer)) for answer in answers))

        assert [await persistence.answers.get(answer.id) for answer in answers] == answers

    async def test_answers_that_were_given_long_ago_are_forgotten(self, persistence: Persistence) -> None:
        old, new = an_answer("old", at=NOON - timedelta(microseconds=1)), an_answer("new", at=NOON)
        await commit(persistence, KeepAnswer(new), KeepAnswer(old))

        dropped = await persistence.answers.forget(before=NOON, limit=100)

        assert dropped == 1
        assert [await persistence.answers.get(id_) for id_ in ("old", "new")] == [None, new]
        await commit(persistence, KeepAnswer(old))

    async def test_no_more_answers_than_the_limit_are_forgotten_at_once(self, persistence: Persistence) -> None:
        await commit(persistence, *(KeepAnswer(an_answer(f"a-{number}")) for number in range(5)))

        dropped = [await persistence.answers.forget(before=NOON + DAY, limit=2) for _ in range(4)]

        assert dropped == [2, 2, 1, 0]
