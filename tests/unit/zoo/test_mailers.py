"""The contract of mailers catches each liar, by a case that an honest mailer passes."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial

import pytest

from adapters.mailer.memory import MemoryMailer
from ports.mailer import Mail, Mailer
from tests.contracts.mailer import MailerContract
from tests.unit.zoo import mailers as zoo
from tests.unit.zoo.judge import HANG, Fixtures, case_of, failure

CAUGHT: dict[type[zoo.LyingMailer], str] = {
    zoo.SendsNothing: "test_a_mail_arrives_as_written",
    zoo.NamesEachAttempt: "test_a_second_attempt_bears_the_same_message_id",
    zoo.WritesInAscii: "test_any_text_arrives_unchanged",
    zoo.BreaksLongLines: "test_any_text_arrives_unchanged",
    zoo.ForgetsAboutDots: "test_any_text_arrives_unchanged",
    zoo.CutsSubjects: "test_any_text_arrives_unchanged",
    zoo.KnowsNoInternationalDomains: "test_a_mail_to_an_international_domain_arrives",
}


class Contract(MailerContract):
    async def mailbox(self, mailer: Mailer, *sent: Mail) -> Sequence[Mail]:
        honest = mailer.honest if isinstance(mailer, zoo.LyingMailer) else mailer
        assert isinstance(honest, MemoryMailer)
        assert len(honest.sent) == len(sent)
        return honest.sent


@asynccontextmanager
async def stage(wrap: Callable[[Mailer], Mailer]) -> AsyncIterator[Fixtures]:
    yield {"mailer": wrap(MemoryMailer())}


@pytest.mark.parametrize(("liar", "name"), CAUGHT.items(), ids=lambda value: getattr(value, "__name__", value))
def test_each_liar_is_caught(liar: type[zoo.LyingMailer], name: str) -> None:
    case = case_of(name, Contract())

    assert failure(case, partial(stage, liar), seconds=HANG), f"{liar.__name__} passes {name}"


@pytest.mark.parametrize("name", sorted(set(CAUGHT.values())))
def test_an_honest_mailer_passes_what_a_liar_fails(name: str) -> None:
    def honest() -> AbstractAsyncContextManager[Fixtures]:
        return stage(lambda mailer: mailer)

    assert failure(case_of(name, Contract()), honest, seconds=30) is None


@pytest.mark.parametrize("name", sorted(set(CAUGHT.values())))
def test_who_only_passes_on_passes_too(name: str) -> None:
    """So it is the lie that is caught, and not the wrapping."""
    assert failure(case_of(name, Contract()), partial(stage, zoo.LyingMailer), seconds=30) is None


def test_every_liar_is_in_the_table() -> None:
    liars = {liar for liar in vars(zoo).values() if isinstance(liar, type) and issubclass(liar, zoo.LyingMailer)}

    assert liars - {zoo.LyingMailer} == set(CAUGHT)
