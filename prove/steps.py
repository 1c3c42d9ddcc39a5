"""Records many events about each of a few subjects: orders alone have two, and the second is caused by the first.

A program of its own beside the service, which makes load and checks nothing: it prints, for each subject, how many of
its events were certainly recorded.
"""

import argparse
import asyncio
import json
import os
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import ClassVar
from uuid import UUID, uuid4

from domain.delivery.unit_of_work import Recording
from entrypoints.container import build
from entrypoints.settings import Settings
from ports.errors import PortError

PATIENCE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Step:
    """The fact that a subject has come so far. No service reacts to it."""

    topic: ClassVar[str] = "order_events"
    type: ClassVar[str] = "prove.step.v1"

    id: UUID
    subject: str
    sequence: int

    @property
    def occurred_at(self) -> datetime:
        return datetime.now(UTC)

    def data(self) -> dict[str, object]:
        return {"step": self.sequence}

    @classmethod
    def from_data(cls, data: object, *, id: UUID, sequence: int) -> "Step":
        raise NotImplementedError("nobody reads it")


async def walk(unit_of_work: Recording, subject: str, events: int, pause: float) -> int:
    """Record 1, 2, … and return the last that is certain; whatever is not ends the walk, since nobody may guess."""
    for sequence in range(1, events + 1):
        work = unit_of_work()
        work.publish(Step(uuid4(), subject, sequence))
        try:
            await work.commit()
        except PortError:
            return sequence - 1
        await asyncio.sleep(pause)
    return events


async def main(subjects: int, events: int, seconds: float) -> dict[str, int]:
    """The last certain step of each subject."""
    container = build(Settings.load(os.environ, None))
    persistence = container.persistence()
    await persistence.start()
    try:
        names = [f"step-{uuid4()}" for _ in range(subjects)]
        walks = [walk(container.unit_of_work(), name, events, seconds / events) for name in names]
        return dict(zip(names, await asyncio.gather(*walks), strict=True))
    finally:
        await persistence.stop()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m prove.steps", description=__doc__)
    parser.add_argument("--subjects", type=int, default=6)
    parser.add_argument("--events", type=int, default=40)
    parser.add_argument("--seconds", type=float, default=10.0)
    told = parser.parse_args()
    json.dump(asyncio.run(main(told.subjects, told.events, told.seconds)), sys.stdout)
