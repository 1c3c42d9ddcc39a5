"""kill -9 at random moments, many times."""

import asyncio
import random
from pathlib import Path

from tests.integration.crashes.ledger import check, drain
from tests.integration.crashes.service import Promised, Service

LIVES = 50


async def test_fifty_lives_that_end_by_kill_nine_lose_and_double_nothing(tmp_path: Path) -> None:
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")
    dice = random.Random(seed)
    promised = Promised()

    for _ in range(LIVES):
        with Service(tmp_path) as service:
            load = asyncio.create_task(promised.load(service))
            # Not a wait for something to happen: the random moment is what is tested.
            await asyncio.sleep(dice.uniform(0.0, 1.0))
            service.kill()
            await load

    with Service(tmp_path) as service:
        await asyncio.to_thread(drain, service, tmp_path / "crossdock.db")
        print(check(service, tmp_path / "crossdock.db", promised))
        assert service.end() == 0
