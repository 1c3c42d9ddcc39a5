"""The contract of identities catches each liar, by a case that an honest identity passes."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial

import pytest

from ports.identity import Identity
from tests.clock import ManualClock
from tests.contracts.identity import IdentityContract
from tests.integration.identity import liars
from tests.integration.identity.parts import FakeRealm, identity_of
from tests.stand_ins.issuer import FakeIssuer, Key
from tests.unit.zoo.judge import Fixtures, case_of, failure

SECONDS = 30  # each makes keys of its own

CAUGHT: dict[type[liars.LyingIdentity], str] = {
    liars.ForgetsTheAudience: "test_what_is_for_another_audience_is_refused",
    liars.BelievesTheUnsigned: "test_no_signature_is_no_signature",
    liars.TakesThePublicKeyForASecret: "test_the_public_key_is_no_secret_to_sign_with",
    liars.ChecksNoSignature: "test_a_key_of_somebody_else_under_a_known_name_is_refused",
    liars.BelievesTheKeyThatCameAlong: "test_a_key_that_a_token_brings_along_is_not_looked_at",
    liars.TakesEachTokenForACaller: "test_a_caller_is_the_same_with_every_token",
    liars.LetsEverybodyOperate: "test_a_good_token_tells_who_is_calling_and_what_it_may_do",
    liars.KnowsNoOperators: "test_an_operator_may_do_everything",
}


@asynccontextmanager
async def stage(key: Key, wrap: Callable[[Identity], Identity]) -> AsyncIterator[Fixtures]:
    clock = ManualClock()
    async with FakeIssuer(key, now=clock.now().timestamp()) as issuer, identity_of(issuer.address, clock) as honest:
        yield {"identity": wrap(honest), "realm": FakeRealm(issuer)}


@pytest.mark.parametrize(("liar", "name"), CAUGHT.items(), ids=lambda value: getattr(value, "__name__", value))
def test_each_liar_is_caught(liar: type[liars.LyingIdentity], name: str, first_key: Key) -> None:
    case = case_of(name, IdentityContract())

    assert failure(case, partial(stage, first_key, liar), seconds=SECONDS), f"{liar.__name__} passes {name}"


@pytest.mark.parametrize("name", sorted(set(CAUGHT.values())))
def test_an_honest_identity_passes_what_a_liar_fails(name: str, first_key: Key) -> None:
    case = case_of(name, IdentityContract())

    assert failure(case, partial(stage, first_key, liars.LyingIdentity), seconds=SECONDS) is None


def test_every_liar_is_in_the_table() -> None:
    found = {liar for liar in vars(liars).values() if isinstance(liar, type) and issubclass(liar, liars.LyingIdentity)}

    assert found - {liars.LyingIdentity} == set(CAUGHT)
