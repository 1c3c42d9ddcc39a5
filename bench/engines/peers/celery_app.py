"""Celery as one sets it up: JSON over Redis, no results kept. It acknowledges early, which is the quickest."""

import os
from typing import Any

from celery import Celery  # type: ignore[import-untyped]
from celery.signals import worker_ready  # type: ignore[import-untyped]

app = Celery("bench", broker=os.environ.get("CELERY_BROKER_URL", ""))
app.conf.update(task_ignore_result=True, worker_hijack_root_logger=False, broker_connection_retry_on_startup=True)


@worker_ready.connect  # type: ignore[untyped-decorator]
def told(**_: Any) -> None:
    """Without a line for each task in the log, its own word for it is not there either."""
    print("at work: ready", flush=True)


@app.task  # type: ignore[untyped-decorator]
def nothing(user_id: str) -> None:
    """A task without work."""
