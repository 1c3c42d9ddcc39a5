"""`crossdock doctor` with the real services, and with each of them where nobody is."""

import asyncio
import json
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator, Mapping

import asyncpg  # type: ignore[import-untyped]
import pytest

from entrypoints.container import TOPICS, build
from entrypoints.doctor import Finding, examine
from entrypoints.settings import Settings
from prove.process import ROOT
from tests.integration.event_broker.kafka import delete_topics
from tests.integration.task_queue.recording_worker import forget_queue
from tools.services import addresses

NOBODY = "127.0.0.1:1"
CANARY = "canary-7f3a9c"
DEAD = {
    "storage": {"DATABASE_URL": f"postgresql://crossdock:{CANARY}@{NOBODY}/crossdock"},
    "kafka": {"CROSSDOCK_EVENT_BROKER": "kafka", "KAFKA_BOOTSTRAP_SERVERS": NOBODY},
    "rabbitmq": {"CROSSDOCK_EVENT_BROKER": "rabbitmq", "RABBITMQ_URL": f"amqp://guest:{CANARY}@{NOBODY}/"},
    "task_queue": {
        "CROSSDOCK_TASK_QUEUE": "celery",
        "CELERY_BROKER_URL": f"redis://:{CANARY}@{NOBODY}/0",
        "CELERY_RESULT_BACKEND": f"redis://:{CANARY}@{NOBODY}/0",
    },
    "task_queue over amqp": {
        "CROSSDOCK_TASK_QUEUE": "celery",
        "CELERY_BROKER_URL": f"amqp://guest:{CANARY}@{NOBODY}//",
        "CELERY_RESULT_BACKEND": f"redis://:{CANARY}@{NOBODY}/0",
    },
    "redis": {"CROSSDOCK_CACHE": "redis", "REDIS_URL": f"redis://:{CANARY}@{NOBODY}/0"},
    "memcached": {"CROSSDOCK_CACHE": "memcached", "MEMCACHED_SERVERS": NOBODY},
    "mailer": {"CROSSDOCK_MAILER": "smtp", "SMTP_URL": f"smtp://ann:{CANARY}@{NOBODY}"},
    "identity": {
        "CROSSDOCK_IDENTITY": "oidc",
        "OIDC_ISSUER": f"http://{NOBODY}/realms/shop",
        "OIDC_AUDIENCE": "crossdock",
    },
}
CHECKS = {"kafka": "event_broker", "rabbitmq": "event_broker", "redis": "cache", "memcached": "cache"}


@pytest.fixture
def prefix() -> str:
    return f"test-{secrets.token_hex(4)}."


@pytest.fixture
def migrated(database_url: str) -> str:
    done = doctor({"DATABASE_URL": database_url}, "migrate")
    assert done.returncode == 0, done.stderr
    return database_url


@pytest.fixture
def rabbitmq(rabbitmq_url: str, prefix: str) -> Iterator[dict[str, str]]:
    yield {
        "CROSSDOCK_EVENT_BROKER": "rabbitmq",
        "RABBITMQ_URL": rabbitmq_url,
        "CROSSDOCK_TOPIC_PREFIX": prefix,
        "CROSSDOCK_PARTITIONS": "2",
        "DATABASE_URL": "memory://",
    }
    for topic in TOPICS:
        for partition in (0, 1):
            forget_queue(rabbitmq_url, f"{prefix}crossdock.{topic}.{partition}")


def doctor(settings: Mapping[str, str], *command: str) -> subprocess.CompletedProcess[str]:
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT / "src"), "CROSSDOCK_WEATHER": "sample", **settings}
    arguments = [sys.executable, "-m", "entrypoints.cli", *(command or ("doctor", "--json"))]
    return subprocess.run(arguments, env=environ, capture_output=True, text=True, timeout=90, check=False)


async def look(settings: Mapping[str, str]) -> dict[str, Finding]:
    found = await examine(Settings.load({"CROSSDOCK_WEATHER": "sample", **settings}, None))
    return {finding.check: finding for finding in found}


async def declare(settings: Mapping[str, str]) -> None:
    container = build(Settings.load(settings, None))
    await container.persistence().start()
    broker = container.event_broker()
    await broker.start()
    try:
        await broker.declare(TOPICS, container.consumer_group())
    finally:
        await broker.stop()
        await container.persistence().stop()


def test_with_all_services_there_all_is_well(
    migrated: str, rabbitmq: dict[str, str], redis_url: str, memcached_servers: str
) -> None:
    settings = {
        **rabbitmq,
        "DATABASE_URL": migrated,
        "CROSSDOCK_TASK_QUEUE": "celery",
        "CELERY_BROKER_URL": redis_url,
        "CELERY_RESULT_BACKEND": redis_url,
        "CROSSDOCK_CACHE": "memcached",
        "MEMCACHED_SERVERS": memcached_servers,
        "CROSSDOCK_MAILER": "smtp",
        "SMTP_URL": addresses.SMTP,
    }

    done = doctor(settings, "doctor", "--json", "--wait", "60")

    document = json.loads(done.stdout)
    assert (done.returncode, document["status"]) == (0, "ready"), done.stdout + done.stderr
    assert "4 not there yet" in document["checks"]["topics"]["detail"]
    assert done.stderr == ""


@pytest.mark.parametrize("dead", DEAD)
async def test_a_service_where_nobody_is_is_told_alone_with_its_cure_and_without_secrets(dead: str) -> None:
    check = CHECKS.get(dead, dead.split(maxsplit=1)[0])

    async with asyncio.timeout(30):
        # Celery wants a database that its workers can see into; this one is not there.
        beside = "sqlite:////nowhere/at-all.db" if check == "task_queue" else "memory://"
        found = await look({"DATABASE_URL": beside, **DEAD[dead]})

    ill = {name: finding for name, finding in found.items() if finding.status != "ready"}
    assert set(ill) - {"schema"} == {check}
    assert ill[check].cause == "out_of_reach"
    assert ill[check].cure
    assert CANARY not in str(found)


def test_what_is_wrong_is_shown_to_people_with_what_to_do() -> None:
    done = doctor({**DEAD["storage"], **DEAD["redis"]}, "doctor")

    assert done.returncode == 1
    assert "correct DATABASE_URL" in done.stdout
    assert "correct REDIS_URL" in done.stdout
    assert "2 of " in done.stdout
    assert CANARY not in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr


async def test_a_schema_that_is_old_is_told_beside_a_database_that_answers(database_url: str) -> None:
    found = await look({"DATABASE_URL": database_url})

    assert found["storage"].status == "ready"
    assert (found["schema"].status, found["schema"].cause) == ("unavailable", "refused")
    assert "crossdock migrate" in found["schema"].cure


async def test_rights_that_are_missing_are_no_old_schema(migrated: str) -> None:
    connection = await asyncpg.connect(migrated)
    try:
        await connection.execute("REVOKE ALL ON alembic_version FROM CURRENT_USER")
    finally:
        await connection.close()

    found = await look({"DATABASE_URL": migrated})

    assert "schema" not in found
    assert (found["storage"].status, found["storage"].cause) == ("unavailable", "refused")
    assert "permission denied" in found["storage"].detail
    assert "rights" in found["storage"].cure


async def test_queues_that_are_there_are_counted_and_none_is_made(rabbitmq: dict[str, str]) -> None:
    before = await look(rabbitmq)
    again = await look(rabbitmq)
    await declare(rabbitmq)

    after = await look(rabbitmq)

    assert "4 not there yet" in before["topics"].detail
    assert again["topics"] == before["topics"]
    assert after["topics"].detail == "there, with 2 partitions"


async def test_a_topic_with_another_number_of_partitions_is_told(kafka_servers: str, prefix: str) -> None:
    settings = {
        "CROSSDOCK_EVENT_BROKER": "kafka",
        "KAFKA_BOOTSTRAP_SERVERS": kafka_servers,
        "CROSSDOCK_TOPIC_PREFIX": prefix,
        "DATABASE_URL": "memory://",
    }
    missing = await look(settings)
    await declare({**settings, "CROSSDOCK_PARTITIONS": "2"})

    try:
        found = await look({**settings, "CROSSDOCK_PARTITIONS": "3"})
    finally:
        await delete_topics(kafka_servers, prefix)

    assert missing["topics"].status == "ready"
    assert found["event_broker"].detail.startswith("kafka answers: kafka-")
    assert (found["topics"].status, found["topics"].cause) == ("unavailable", "refused")
    assert "has 2 partitions and CROSSDOCK_PARTITIONS says 3" in found["topics"].detail
