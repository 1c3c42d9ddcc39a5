"""Sends orders at a constant rate, each at its appointed time, whatever became of those before it.

Latencies are told from the appointed time: a server that stalls is not spared what would have come meanwhile.
"""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

CONNECTIONS = 32
LAST_ANSWERS_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Plan:
    """What to send, how often, for how long."""

    port: int
    requests: Sequence[str]
    rate: float
    seconds: float


@dataclass(slots=True)
class Sent:
    """When each order was appointed (seconds since 1970), and what the answers took."""

    appointed: dict[str, float] = field(default_factory=dict)  # by its id
    answered_ms: list[float] = field(default_factory=list)
    wrong: int = 0


def send(plan: Plan) -> Sent:
    """In a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "bench.engines.open_loop"],
        input=json.dumps(asdict(plan)),
        stdout=subprocess.PIPE,
        check=True,
        text=True,
        timeout=plan.seconds + LAST_ANSWERS_SECONDS + 20,
    )
    return Sent(**json.loads(done.stdout))


async def _run(plan: Plan) -> Sent:
    sent = Sent()
    idle: asyncio.LifoQueue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.LifoQueue()
    for _ in range(CONNECTIONS):
        idle.put_nowait(await asyncio.open_connection("127.0.0.1", plan.port))
    requests = [request.encode("latin-1") for request in plan.requests]

    async def one(number: int, appointed: float) -> None:
        reader, writer = await idle.get()
        writer.write(requests[number % len(requests)])
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"\r\ncontent-length: ")[2].split(b"\r", 1)[0])
        body = await reader.readexactly(length)
        sent.answered_ms.append((time.time() - appointed) * 1000)
        if head[9:12] == b"201":
            sent.appointed[json.loads(body)["id"]] = appointed
        else:
            sent.wrong += 1
        idle.put_nowait((reader, writer))

    began = time.time() + 0.1
    tasks = []
    for number in range(int(plan.rate * plan.seconds)):
        appointed = began + number / plan.rate
        await asyncio.sleep(max(0.0, appointed - time.time()))
        tasks.append(asyncio.create_task(one(number, appointed)))
    _, late = await asyncio.wait(tasks, timeout=LAST_ANSWERS_SECONDS)
    sent.wrong += len(late)
    return sent


if __name__ == "__main__":
    json.dump(asdict(asyncio.run(_run(Plan(**json.load(sys.stdin))))), sys.stdout)
