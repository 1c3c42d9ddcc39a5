"""Requests that a fuzzer makes up from the document: right ones, wrong ones, and what follows from answers.

All checks; exceptions, with their reasons, are in schemathesis.toml. TEST_SEED makes the same requests again.
"""

import asyncio
import json
import os
import time
from collections import Counter
from pathlib import Path

from entrypoints.container import build, migrate_database
from entrypoints.settings import Settings
from ports.persistence import Record
from prove.process import Process
from tests.builders import NOON, a_delivery, a_received, a_task
from tests.foreign import attempt, reader
from tests.integration.documents.conftest import OPERATOR_TOKEN, service_on
from tests.services import Databases
from tests.stand_ins.issuer import AUDIENCE, FakeIssuer, new_key

EXAMPLES_MOST = 15  # for each operation and phase
SECONDS = 180.0
CONFIG = Path(__file__).with_name("schemathesis.toml")
LETTERS = 40  # of each lane
DESK = "/operator/api/dead-letters/{id}"


async def fill_the_desk(database: str) -> None:
    """Letters of each lane, to be looked at, replayed and given up: what is replayed mostly dies again."""
    settings = Settings.load({"DATABASE_URL": database}, None)
    await asyncio.to_thread(migrate_database, settings)
    store = build(settings).persistence()
    await store.start()
    letters = [
        letter.died("nobody knows how", NOON, attempts=8)
        for number in range(LETTERS)
        for letter in (
            a_task(id=f"song/{number}", name="sing_a_song"),
            a_received(id=f"r\u00fcbe & {number}?", body=b"\xff\xfe"),
            a_delivery(subject=None),
        )
    ]
    await store.commit([Record(letter) for letter in letters])
    await store.stop()


def fuzz(service: Process, token: str, folder: Path) -> None:
    """Fails with what the fuzzer found, what the service has logged as an error, or when the desk was not worked at."""
    fuzzer = reader("schemathesis")
    with service:
        done = attempt(
            *(fuzzer, "--config-file", CONFIG, "run", f"{service.url}/openapi.json"),
            *("--max-examples", str(EXAMPLES_MOST), "--seed", os.environ["TEST_SEED"], "--continue-on-failure"),
            *("--header", f"Authorization: Bearer {token}", "--warnings", "off", "--request-timeout", "10"),
            cwd=folder,
            seconds=SECONDS,
        )
        log = service.log.splitlines()
    assert done.returncode == 0, done.stdout + done.stderr
    # What is replayed dies again, which is told as an error.
    assert [line for line in log if '"log.level": "error"' in line and " is dead" not in line] == []
    at_the_desk = Counter(path for line in log if DESK in line and (path := path_of_success(line)) is not None)
    print(at_the_desk)
    assert at_the_desk.keys() == {DESK, f"{DESK}/replay", f"{DESK}/discard"}


def path_of_success(line: str) -> str | None:
    """What was asked for, in a line of the access log that tells of a 200."""
    told = json.loads(line)
    return str(told["url.path"]) if told.get("http.response.status_code") == 200 else None


def test_a_fuzzer_finds_nothing_on_sqlite(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/crossdock.db"
    asyncio.run(fill_the_desk(url))

    fuzz(service_on(url, tmp_path), OPERATOR_TOKEN, tmp_path)


def test_a_fuzzer_finds_nothing_on_postgresql(tmp_path: Path, databases: Databases) -> None:
    with databases.fresh() as url:
        asyncio.run(fill_the_desk(url))
        fuzz(service_on(url, tmp_path), OPERATOR_TOKEN, tmp_path)


async def test_a_fuzzer_finds_nothing_where_callers_say_who_they_are(tmp_path: Path) -> None:
    """And no operation that answers without a token, or with one that is none."""
    async with FakeIssuer(new_key(), now=time.time()) as issuer:
        scopes = "users:read users:write orders:read orders:write weather:read operator"
        token = issuer.token(scope=scopes, exp=int(time.time()) + 3600)
        identity = {"CROSSDOCK_IDENTITY": "oidc", "OIDC_ISSUER": issuer.address, "OIDC_AUDIENCE": AUDIENCE}
        url = f"sqlite:///{tmp_path}/crossdock.db"
        await fill_the_desk(url)
        service = service_on(url, tmp_path, **identity)

        await asyncio.to_thread(fuzz, service, token, tmp_path)
