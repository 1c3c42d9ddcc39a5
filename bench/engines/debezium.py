"""Change data capture as it is usually done: Kafka Connect with Debezium's outbox router, on our own outbox table."""

import json
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bench.children import free_port, working
from bench.engines import databases
from bench.engines.place import Place
from tools.services import folders
from tools.services.jars import LEAN
from tools.services.postgresql import PostgreSQL
from tools.services.programs import java, program

POM = Path(__file__).with_name("debezium.xml")
SLOT = "bench_outbox"
MAVEN_SECONDS = 600
START_SECONDS = 60.0


@contextmanager
def capturing(place: Place, server: PostgreSQL, database: str, prefix: str) -> Iterator[None]:
    """What is inserted into the outbox of ``database`` goes to the topics with this prefix, inside."""
    administrator = f"postgresql://postgres:postgres@127.0.0.1:{server.port}{urlsplit(database).path}"
    folder, port = place.new_folder(), free_port()
    properties = folder / "connect.properties"
    properties.write_text(
        "\n".join(
            [
                f"bootstrap.servers={place.kafka}",
                "key.converter=org.apache.kafka.connect.storage.StringConverter",
                "value.converter=org.apache.kafka.connect.converters.ByteArrayConverter",
                "header.converter=org.apache.kafka.connect.storage.StringConverter",
                f"offset.storage.file.filename={folder / 'offsets'}",
                f"listeners=http://127.0.0.1:{port}",
                "plugin.discovery=service_load",
                "producer.linger.ms=0",
                "",
            ]
        )
    )
    command = [str(java()), *LEAN, "-Xmx384m", "-cp", f"{_jars()}/*"]
    command += ["org.apache.kafka.connect.cli.ConnectStandalone", str(properties)]
    with working(command, folder=folder, ready=b"Kafka Connect started"):
        try:
            _ask(port, "POST", "/connectors", {"name": "outbox", "config": _config(server, database, prefix)})
            _until_running(port)
            yield
        finally:
            _ask(port, "DELETE", "/connectors/outbox")
            _drop_slot(administrator)  # or the log of the database is kept for ever


def _config(server: PostgreSQL, database: str, prefix: str) -> dict[str, str]:
    table = "transforms.outbox.table.field"
    return {
        "connector.class": "io.debezium.connector.postgresql.PostgresConnector",
        "database.hostname": "127.0.0.1",
        "database.port": str(server.port),
        "database.user": "postgres",
        "database.password": "postgres",
        "database.dbname": urlsplit(database).path.lstrip("/"),
        "topic.prefix": "bench",
        "plugin.name": "pgoutput",
        "publication.autocreate.mode": "filtered",
        "slot.name": SLOT,
        "table.include.list": "public.deliveries",
        "snapshot.mode": "no_data",
        "tombstones.on.delete": "false",
        "poll.interval.ms": "10",  # 500 as it comes
        "transforms": "outbox",
        "transforms.outbox.type": "io.debezium.transforms.outbox.EventRouter",
        f"{table}.event.id": "id",
        f"{table}.event.key": "subject",
        f"{table}.event.type": "name",
        f"{table}.event.payload": "body",
        "transforms.outbox.route.by.field": "topic",
        "transforms.outbox.route.topic.replacement": f"{prefix}${{routedByValue}}",
        "transforms.outbox.table.op.invalid.behavior": "warn",
        "transforms.outbox.table.fields.additional.placement": "id:header:ce_id,name:header:ce_type",
    }


def _jars() -> Path:
    place = folders.cache() / "bench-debezium"
    if not place.exists():
        maven = program("mvn")
        if maven is None:
            raise RuntimeError("Maven is not installed")
        unfinished = place.with_suffix(".unfinished")
        command = [str(maven), "--quiet", "--batch-mode", "--file", str(POM), "package", f"-Djars={unfinished}"]
        subprocess.run(command, check=True, timeout=MAVEN_SECONDS)
        unfinished.rename(place)
    return place


def _until_running(port: int) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            status = _ask(port, "GET", "/connectors/outbox/status")
        except urllib.error.HTTPError:
            status = None
        states = [task["state"] for task in status["tasks"]] if status else []
        if states == ["RUNNING"]:
            return
        if "FAILED" in states or time.monotonic() > deadline:
            raise RuntimeError(f"the connector does not run: {status}")
        time.sleep(0.1)


def _drop_slot(administrator: str) -> None:
    """Once nobody reads from it any more."""
    deadline = time.monotonic() + START_SECONDS
    question = "SELECT count(*) FROM pg_replication_slots WHERE slot_name = $1 AND active"
    while databases.value(administrator, question, SLOT) and time.monotonic() < deadline:
        time.sleep(0.1)
    databases.value(
        administrator,
        "SELECT count(pg_drop_replication_slot(slot_name)) FROM pg_replication_slots WHERE slot_name = $1",
        SLOT,
    )


def _ask(port: int, method: str, path: str, value: Any = None) -> Any:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}{path}",
        None if value is None else json.dumps(value).encode(),
        {"Content-Type": "application/json"},
        method=method,
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        text = answer.read()
    return json.loads(text) if text else None
