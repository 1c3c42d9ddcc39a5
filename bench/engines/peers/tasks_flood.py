"""Asks Celery for many tasks and waits until none is left in its queue or in the hands of a worker."""

import json
import os
import time

import redis

from bench.engines.peers.serve import options

POLL_SECONDS = 0.02
SECONDS_MOST = 60.0


def run(redis_url: str, count: int) -> dict[str, float]:
    """From the first ``.delay()`` to the last acknowledgement."""
    os.environ["CELERY_BROKER_URL"] = redis_url
    from bench.engines.peers.celery_app import nothing  # noqa: PLC0415 - reads where its queue is

    connection = redis.Redis.from_url(redis_url)
    nothing.delay("first")  # the connection is made, and the queue known
    began = time.perf_counter()
    for number in range(count):
        nothing.delay(str(number))
    recorded = time.perf_counter() - began
    while connection.llen("celery") or connection.hlen("unacked"):
        if time.perf_counter() - began > SECONDS_MOST:
            raise SystemExit("the tasks were not done in time")
        time.sleep(POLL_SECONDS)
    seconds = time.perf_counter() - began
    return {"rate": count / seconds, "done": count, "delay_s": recorded}


if __name__ == "__main__":
    given = options()
    print(json.dumps(run(given["redis"], given["count"])))
