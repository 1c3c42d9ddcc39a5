"""The same journey on every combination of database, broker and task queue: nobody outside can tell them apart."""

import asyncio
import shutil
import time
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from tests.integration.journeys.choices import Choice, end_all, logs, playing
from tests.services import MailCatcher

CHOICES = [
    Choice(database, broker, queue)
    for database in ("sqlite", "postgresql")
    for broker in ("memory", "kafka", "rabbitmq")
    for queue in ("background", "celery")
]
ON_RABBITMQ = Choice("postgresql", "rabbitmq", "celery", carrier="rabbitmq")
SEPARATE = [
    choice for choice in [*CHOICES, ON_RABBITMQ] if choice.database == "postgresql" and choice.broker != "memory"
]
MOVES_WITHIN = 30  # seconds


@pytest.fixture(params=[*CHOICES, ON_RABBITMQ], ids=str)
def choice(request: pytest.FixtureRequest) -> Choice:
    chosen: Choice = request.param
    chosen.need()
    return chosen


async def travel(url: str, mail_catcher: MailCatcher) -> str:
    """Register, order, and wait for the confirmation and both mails; the address that they went to."""
    email = f"{uuid4().hex}@example.com"
    async with httpx.AsyncClient(base_url=url, timeout=20) as client:
        registered = await client.post("/register-user/", json={"email": email, "name": "Ada"})
        assert registered.status_code == 201, registered.text
        line = {"sku": "A1", "quantity": 2, "unit_price": "9.90"}
        answer = await client.post(
            "/orders/", json={"user_id": registered.json()["id"], "currency": "EUR", "lines": [line]}
        )
        assert answer.status_code == 201, answer.text
        order = answer.json()
        assert (order["status"], order["total"]) == ("placed", "19.80")

        deadline = time.monotonic() + MOVES_WITHIN
        while (now := (await client.get(f"/orders/{order['id']}")).json())["status"] != "confirmed":
            assert time.monotonic() < deadline, now
            await asyncio.sleep(0.05)
        assert now == {**order, "status": "confirmed"}

    mails = await mail_catcher.arrived(email, 2, seconds=MOVES_WITHIN)
    assert {mail["Subject"] for mail in mails} == {"Welcome", f"Your order {order['id']} is confirmed"}
    assert {mail["To"] for mail in mails} == {email}
    assert {mail["From"] for mail in mails} == {"shop@example.com"}
    return email


async def journey(settings: dict[str, str], commands: list[str], folder: Path, mail_catcher: MailCatcher) -> None:
    """From the start of all processes until each has ended when told to."""
    with playing(folder, settings, *commands) as roles:
        try:
            email = await travel(roles[0].url, mail_catcher)
            codes = await asyncio.to_thread(end_all, roles)
        except BaseException:
            print(logs(roles))
            raise

        assert set(codes.values()) == {0}, f"{codes}\n{logs(roles)}"
    assert len(mail_catcher.mails(email)) == 2, "a mail was sent again"


@pytest.fixture
def database(choice: Choice, tmp_path: Path, request: pytest.FixtureRequest) -> str:
    """Empty for `crossdock up` alone, which migrates; where a worker starts at the same time it has its schema."""
    with_worker = choice.queue == "celery"
    if choice.database == "postgresql":
        url: str = request.getfixturevalue("migrated_url" if with_worker else "database_url")
        return url
    file = tmp_path / "crossdock.db"
    if with_worker:
        shutil.copy(request.getfixturevalue("migrated_file"), file)
    return f"sqlite:///{file}"


async def test_up_goes_all_the_way(
    choice: Choice, database: str, prefix: str, tmp_path: Path, mail_catcher: MailCatcher
) -> None:
    """One process does it all; Celery's tasks are performed by a worker beside it."""
    commands = ["up", "worker --concurrency 1"] if choice.queue == "celery" else ["up"]
    await journey(choice.settings(database, prefix), commands, tmp_path, mail_catcher)


@pytest.mark.parametrize("separate", SEPARATE, ids=str)
async def test_separate_roles_go_all_the_way(
    separate: Choice, prefix: str, tmp_path: Path, migrated_url: str, mail_catcher: MailCatcher
) -> None:
    """Each role in processes of its own: two relays, two consumers, and once two that answer requests."""
    separate.need()
    several = " --workers 2" if separate == ON_RABBITMQ else ""
    commands = [f"api{several}", "relay", "relay", "consumer", "consumer"]
    if separate.queue == "celery":
        commands.append("worker --concurrency 1")

    await journey(separate.settings(migrated_url, prefix), commands, tmp_path, mail_catcher)
