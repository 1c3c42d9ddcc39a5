"""What to do about a check that is in trouble, in one sentence for people."""

from collections.abc import Mapping
from typing import Final

from ports.trouble import Cause

_CURES: Final[Mapping[Cause, str]] = {
    Cause.OUT_OF_REACH: "See that it runs and can be reached from here; `crossdock doctor` asks each service.",
    Cause.FULL: "Make room on its disk; the service goes on by itself.",
    Cause.LIMITED: "Wait, it goes on by itself; or raise the limit.",
    Cause.REFUSED: "Change the setting that is named, or the other side; `crossdock doctor` asks again.",
    Cause.FAILED: "Look into the log for the error and where it was raised.",
    Cause.STUCK: "Look at what it waits for; when it does not end by itself, restart this process: nothing is lost.",
    Cause.BEHIND: "See that the role that does this runs, and look into its log.",
    Cause.DESK_FULL: "Replay or discard what waits at the desk: `crossdock dead-letters list`.",
    Cause.DEAD_LETTERS: "Mend why, then replay or discard what waits at the desk: `crossdock dead-letters list`.",
    Cause.BLOCKED: "Look into the log for where it stood; give the process a processor of its own.",
}

# Where a service is said to be.
_ADDRESSES: Final[Mapping[str, str]] = {
    "storage": "DATABASE_URL",
    "event_broker": "KAFKA_BOOTSTRAP_SERVERS or RABBITMQ_URL, and CROSSDOCK_EVENT_BROKER",
    "topics": "KAFKA_BOOTSTRAP_SERVERS or RABBITMQ_URL, and CROSSDOCK_EVENT_BROKER",
    "task_queue": "CELERY_BROKER_URL and CELERY_RESULT_BACKEND",
    "cache": "REDIS_URL or MEMCACHED_SERVERS, and CROSSDOCK_CACHE",
    "mailer": "SMTP_URL",
    "identity": "OIDC_ISSUER",
}

_OWN: Final[Mapping[tuple[str, Cause], str]] = {
    (
        "storage",
        Cause.REFUSED,
    ): "Give the user of DATABASE_URL what rights it lacks, or correct DATABASE_URL.",
    ("schema", Cause.REFUSED): "Run `crossdock migrate`, which may be done while others work.",
    (
        "weather",
        Cause.OUT_OF_REACH,
    ): "See that the provider can be reached from here; stale answers are given meanwhile.",
    (
        "weather",
        Cause.LIMITED,
    ): "Wait, or raise CROSSDOCK_WEATHER_QUOTA if the provider allows more; stale answers are given meanwhile.",
    (
        "weather",
        Cause.REFUSED,
    ): "Set OPEN_WEATHER_API_KEY, or choose open_meteo, which needs no key: CROSSDOCK_WEATHER.",
    (
        "event_broker",
        Cause.STUCK,
    ): "See with RabbitMQ's own tools whether that queue has a leader; once it answers all goes on by itself.",
    ("publishing", Cause.BEHIND): "See that `crossdock relay` runs and can reach the broker.",
    ("handling", Cause.BEHIND): "See that `crossdock consumer` runs, and look into its log.",
    ("retrying", Cause.BEHIND): "See that `crossdock consumer` runs, and look into its log.",
    ("handing_over", Cause.BEHIND): "See that `crossdock relay` runs and can reach the task queue.",
    ("performing", Cause.BEHIND): "See that `crossdock worker` runs, enough of them, and look into their log.",
}


def cure(check: str, cause: Cause) -> str:
    """What to do about it."""
    if own := _OWN.get((check, cause)):
        return own
    if cause is Cause.OUT_OF_REACH and check in _ADDRESSES:
        return f"See that it runs and can be reached from here, or correct {_ADDRESSES[check]}."
    return _CURES[cause]
