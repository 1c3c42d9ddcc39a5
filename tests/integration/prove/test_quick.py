"""The promises on real servers that are killed, in little: `make prove` is the same at length."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from prove.play import play
from prove.scenarios import SHORT
from prove.servers import Servers, private
from prove.world import QUICK, Choice
from tools.services.failures import NotInstalled

RATE = 20  # requests a second


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    try:
        with private() as started:
            yield started
    except NotInstalled as lacking:
        pytest.skip(str(lacking))


@pytest.mark.parametrize("choice", QUICK, ids=str)
async def test_nothing_is_lost_doubled_disordered_or_made_up(
    choice: Choice, servers: Servers, tmp_path: Path, dice: Random
) -> None:
    """Roles and servers are killed, frozen and told to end under load; then all that is seen from outside agrees."""
    seed = str(dice.getrandbits(32))

    outcome = await asyncio.wait_for(play(SHORT, choice, servers, tmp_path / "logs", seed=seed, rate=RATE), 600)

    print(f"seed {seed}", *outcome.notes, outcome.counts, sep="\n")
    assert outcome.faults == []
