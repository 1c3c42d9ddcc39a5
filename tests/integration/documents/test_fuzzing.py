"""Requests that a fuzzer makes up from the document: right ones, wrong ones, and what follows from answers.

All checks; exceptions, with their reasons, are in schemathesis.toml. TEST_SEED makes the same requests again.
"""

import asyncio
import os
import time
from pathlib import Path

from prove.process import Process
from tests.foreign import attempt, reader
from tests.integration.documents.conftest import OPERATOR_TOKEN, service_on
from tests.services import Databases
from tests.stand_ins.issuer import AUDIENCE, FakeIssuer, new_key

EXAMPLES_MOST = 15  # for each operation and phase
SECONDS = 180.0
CONFIG = Path(__file__).with_name("schemathesis.toml")
SQLITE = "sqlite:///crossdock.db"


def fuzz(service: Process, token: str, folder: Path) -> None:
    """Fails with what the fuzzer found, or what the service has logged as an error."""
    fuzzer = reader("schemathesis")
    with service:
        done = attempt(
            *(fuzzer, "--config-file", CONFIG, "run", f"{service.url}/openapi.json"),
            *("--max-examples", str(EXAMPLES_MOST), "--seed", os.environ["TEST_SEED"], "--continue-on-failure"),
            *("--header", f"Authorization: Bearer {token}", "--warnings", "off", "--request-timeout", "10"),
            cwd=folder,
            seconds=SECONDS,
        )
        failures = [line for line in service.log.splitlines() if '"log.level": "error"' in line]
    assert done.returncode == 0, done.stdout + done.stderr
    assert failures == []


def test_a_fuzzer_finds_nothing_on_sqlite(tmp_path: Path) -> None:
    fuzz(service_on(SQLITE, tmp_path), OPERATOR_TOKEN, tmp_path)


def test_a_fuzzer_finds_nothing_on_postgresql(tmp_path: Path, databases: Databases) -> None:
    with databases.fresh() as url:
        fuzz(service_on(url, tmp_path), OPERATOR_TOKEN, tmp_path)


async def test_a_fuzzer_finds_nothing_where_callers_say_who_they_are(tmp_path: Path) -> None:
    """And no operation that answers without a token, or with one that is none."""
    async with FakeIssuer(new_key(), now=time.time()) as issuer:
        scopes = "users:read users:write orders:read orders:write weather:read operator"
        token = issuer.token(scope=scopes, exp=int(time.time()) + 3600)
        identity = {"CROSSDOCK_IDENTITY": "oidc", "OIDC_ISSUER": issuer.address, "OIDC_AUDIENCE": AUDIENCE}
        service = service_on(SQLITE, tmp_path, **identity)

        await asyncio.to_thread(fuzz, service, token, tmp_path)
