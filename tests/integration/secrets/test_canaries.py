"""Every secret that can be given, hunted through everything that a process shows to anybody, while nothing works.

The servers are away, or quote what they were told. All libraries log as much as they can.
"""

import asyncio
import base64
import gc
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from types import ModuleType
from urllib.parse import quote, quote_plus

import httpx
import pytest
from pydantic import SecretStr

from entrypoints.container import build
from entrypoints.settings import Settings
from prove.process import ROOT, Process
from tests.canaries import CALLERS, NAMES, canary, found_in, given, leaks, secret, secret_settings
from tests.stand_ins.echo import quoting_servers
from tests.stand_ins.issuer import AUDIENCE, FakeIssuer, new_key

PATIENCE = 60.0
NOBODY = 1  # a port that nobody listens on
TOKEN, KEY, COOKIE, QUERY = map(secret, CALLERS)


@dataclass(frozen=True, slots=True)
class Case:
    """What is chosen, and what the servers do."""

    broker: str
    queue: str
    carrier: str
    quoting: bool
    tokens: bool = False  # of an issuer that works; and the log is for people

    def __str__(self) -> str:
        state = "quoting" if self.quoting else "away"
        return f"{self.broker}, {self.queue}, {state}{', tokens and a log for people' if self.tokens else ''}"


AT_KAFKA = Case("kafka", "background", "redis", quoting=True)
WITH_TOKENS = Case("kafka", "background", "redis", quoting=True, tokens=True)
AT_RABBITMQ = Case("rabbitmq", "celery", "redis", quoting=True)
AWAY = Case("rabbitmq", "celery", "amqp", quoting=False)


@dataclass(frozen=True, slots=True)
class Told:
    """What is given to each process of a case: choices in the environment, secrets in files."""

    choices: Mapping[str, str]
    secrets: Mapping[str, str]
    failures: tuple[str, ...]  # what the log has of them
    token: str  # of a caller

    def in_files(self, folder: Path, **others: str) -> dict[str, str]:
        """An environment without any secret; of these ``others`` each takes the place of one."""
        held = folder / "secrets"
        held.mkdir()
        for name, value in ({**self.secrets, **others}).items():
            held.joinpath(name).write_text(f"{value}\n")
        return {**self.choices, "CROSSDOCK_SECRETS_DIR": str(held)}


@pytest.fixture
def told(request: pytest.FixtureRequest) -> Iterator[Told]:
    case: Case = request.param
    with quoting_servers() as (every, mail), issuing() if case.tokens else nullcontext() as issuer:
        port, mail_port = (every.port, mail.port) if case.quoting else (NOBODY, NOBODY)
        choices = {
            "PORT": "0",
            "CROSSDOCK_EVENT_BROKER": case.broker,
            "KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{port}",
            "KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT",
            "KAFKA_SASL_USERNAME": "app",
            "CROSSDOCK_TASK_QUEUE": case.queue,
            "CROSSDOCK_CACHE": "redis",
            "CROSSDOCK_RATE_LIMIT": "1000/second",
            "CROSSDOCK_MAILER": "smtp",
            "CROSSDOCK_WEATHER": "openweather",
            "OPEN_WEATHER_URL": f"http://127.0.0.1:{port}/weather",
            "CROSSDOCK_LOG_LEVEL": "debug",
            "CROSSDOCK_GRACE": "2",
            "CROSSDOCK_RETRY_DELAY": "0.1",
            "CROSSDOCK_PARTITIONS": "2",
        }
        token = TOKEN
        if issuer is not None:
            token = issuer.token(jti=canary(CALLERS[0]))
            choices |= {
                "CROSSDOCK_IDENTITY": "oidc",
                "OIDC_ISSUER": issuer.address,
                "OIDC_AUDIENCE": AUDIENCE,
                "CROSSDOCK_LOG_FORMAT": "console",
            }
        failures = ("refuses our user name",) if case.queue == "background" else ("has not taken it", "RabbitMQ, ask")
        yield Told(choices, given(port, mail_port=mail_port, carrier=case.carrier), failures, token)


@contextmanager
def issuing() -> Iterator[FakeIssuer]:
    """An issuer that works, beside the test."""
    loop = asyncio.new_event_loop()
    thread = Thread(target=loop.run_forever, daemon=True)
    thread.start()
    issuer = FakeIssuer(new_key(), now=time.time())
    asyncio.run_coroutine_threadsafe(issuer.start(), loop).result(PATIENCE)
    try:
        yield issuer
    finally:
        asyncio.run_coroutine_threadsafe(issuer.stop(), loop).result(PATIENCE)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(PATIENCE)
        loop.close()


def everything_read(url: str, token: str) -> list[tuple[str, str]]:
    """What a service answers, to its operator, to a caller with secrets of their own, and to mistakes."""
    as_operator = {"Authorization": f"Bearer {secret('CROSSDOCK_OPERATOR_TOKEN')}"}
    as_caller = {"Authorization": f"Bearer {token}", "Idempotency-Key": KEY, "Cookie": f"crossdock_operator={COOKIE}"}
    line = {"sku": "A1", "quantity": 2, "unit_price": "9.90"}
    answers = []
    with httpx.Client(base_url=url, timeout=30, trust_env=False) as client:
        user = client.post("/register-user/", json={"email": "ann@example.com"}, headers=as_caller)
        assert user.status_code == 201
        order = {"user_id": user.json()["id"], "currency": "EUR", "lines": [line]}
        answers += [user, client.post("/orders/", json=order, headers={**as_caller, "Idempotency-Key": f"{KEY}2"})]
        answers += [client.post("/orders/", json={**order, "user_id": 1}, headers=as_caller)]
        answers += [
            client.get(path, headers=as_operator) for path in ("/operator/api/status", "/operator/api/dead-letters")
        ]
        signed_in = client.get("/operator/", params={"token": secret("CROSSDOCK_OPERATOR_TOKEN")})
        assert signed_in.status_code == 303
        answers += [signed_in, client.get("/operator/")]
        answers += [
            client.get("/operator/", params={"token": QUERY}),
            client.get("/operator/api/status", headers=as_caller),
        ]
        answers += [client.get(f"/nowhere?code={QUERY}"), client.request("PATCH", "/orders/", headers=as_caller)]
        for path in ("/weather/Berlin", "/livez", "/readyz", "/metrics", "/docs", "/docs/events", "/openapi.json"):
            answers.append(client.get(path))
        answers += [client.get("/asyncapi.json"), client.get("/problems/invalid-token")]
        for refused in (TOKEN, f"{token}x", f"{token}.{token}", f"{token} {token}"):
            answers.append(client.get("/orders/", headers={"Authorization": f"Bearer {refused}"}))
    return [
        (f"{one.request.method} {one.request.url.path}", f"{one.status_code} {one.headers.multi_items()} {one.text}")
        for one in answers
    ]


def seen_by_others(process: Process) -> Iterator[tuple[str, bytes]]:
    """What others on the machine may see of a process and its children."""
    for one in process.family():
        for name in ("cmdline", "environ", "comm"):
            try:
                yield f"{name} of {one.pid}", Path(f"/proc/{one.pid}/{name}").read_bytes()
            except OSError:  # it has ended
                continue


def files_of(folder: Path) -> list[tuple[str, bytes]]:
    """What is written to the disk: the database and the log."""
    return [(path.name, path.read_bytes()) for path in folder.iterdir() if path.is_file()]


@pytest.mark.parametrize("told", [AT_KAFKA, WITH_TOKENS, AT_RABBITMQ], indirect=True, ids=str)
def test_a_service_of_which_nothing_outside_works_shows_no_secret(tmp_path: Path, told: Told) -> None:
    environ = told.in_files(tmp_path, DATABASE_URL="sqlite:///crossdock.db")
    with Process(tmp_path, "up", settings=environ) as service:
        answers = everything_read(service.url, told.token)
        wait_for_words(service, *told.failures)
        beside = list(seen_by_others(service))
        service.tell_to_end()
        service.process.wait(PATIENCE)

    assert leaks(answers) == []
    assert leaks(beside) == []
    assert leaks(files_of(tmp_path)) == []
    assert {name for name, _ in files_of(tmp_path)} >= {"up.log", "crossdock.db"}


def wait_for_words(service: Process, *words: str) -> None:
    """Return when its log has these: the failures that may show something."""
    until = time.monotonic() + PATIENCE
    while not all(word in service.log for word in words):
        assert time.monotonic() < until, f"{words} are not all in its log:\n{service.tail()}"
        time.sleep(0.05)


WITHOUT_SERVERS = (("config",), ("config", "--json"), ("asyncapi",), ("no-such-command",))
WITH_A_DATABASE = (("migrate",), ("dead-letters", "list"), ("api",), ("relay",), ("consumer",), ("worker",))


@pytest.mark.parametrize(
    ("told", "commands"),
    [(AWAY, (*WITHOUT_SERVERS, *WITH_A_DATABASE)), (AT_RABBITMQ, WITH_A_DATABASE[:1])],
    indirect=["told"],
    ids=str,
)
def test_no_command_shows_a_secret_whether_it_works_or_not(
    tmp_path: Path, told: Told, commands: tuple[tuple[str, ...], ...]
) -> None:
    """Most of them want the database, which is away or speaks in riddles."""

    def run(arguments: tuple[str, ...]) -> tuple[str, bytes, int]:
        done = subprocess.run(
            [sys.executable, "-m", "entrypoints.cli", *arguments],
            cwd=tmp_path,
            env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT / "src"), **told.choices, **told.secrets},
            capture_output=True,
            timeout=PATIENCE,
            check=False,
        )
        return " ".join(arguments), done.stdout + done.stderr, done.returncode

    with ThreadPoolExecutor(3) as at_once:
        ran = list(at_once.map(run, commands))

    assert {name: code for name, _, code in ran} == {
        " ".join(arguments): {"config": 0, "asyncapi": 0, "no-such-command": 2}.get(arguments[0], 1)
        for arguments in commands
    }
    assert leaks((name, output) for name, output, _ in ran) == []
    assert all(output for _, output, _ in ran)


@pytest.mark.parametrize("told", [AT_KAFKA, AT_RABBITMQ], indirect=True, ids=str)
def test_no_object_of_a_service_shows_a_secret_of_it(told: Told) -> None:
    """What a debugger, an error report or a careless line of log makes of an object of ours."""
    container = build(Settings.load({**told.choices, **told.secrets}, None))
    ports = ("persistence", "event_broker", "task_queue", "weather", "cache", "mailer", "rate_limit", "telemetry")
    made = {port: getattr(container, port)() for port in (*ports, "settings", "health", "metrics", "event_relay")}
    settings = container.settings()

    shown = [(f"{name} > {path}", text) for name, one in made.items() for path, text in reprs_from(one)]
    shown += [("settings", f"{settings} {settings!r}"), ("container", f"{container} {container!r}")]

    assert len({text for _, text in shown}) > 50
    assert leaks(shown) == []


def reprs_from(root: object) -> Iterator[tuple[str, str]]:
    """It and every object of ours that can be reached from it, as each shows itself."""
    seen: set[int] = set()
    left: list[tuple[object, str]] = [(root, type(root).__name__)]
    while left:
        one, path = left.pop()
        if id(one) in seen or isinstance(one, (type, ModuleType, SecretStr)):
            continue
        seen.add(id(one))
        ours = type(one).__module__.partition(".")[0] in {"adapters", "domain", "entrypoints", "ports"}
        if ours:
            yield path, repr(one)
        if ours or isinstance(one, (dict, list, tuple)):
            left += [(other, f"{path} > {type(other).__name__}") for other in gc.get_referents(one)]


# The hunt finds what is there, and all that there is


def test_every_secret_setting_has_a_canary() -> None:
    """Whoever adds a secret adds it here."""
    assert set(secret_settings()) == set(NAMES) - set(CALLERS)


@pytest.mark.parametrize("name", NAMES)
def test_the_hunt_knows_a_canary_in_whatever_form(name: str) -> None:
    whole = secret(name)
    texts = [
        whole,
        quote(whole),
        quote_plus(whole),
        json.dumps(whole),
        repr(whole),
        whole.upper(),
        whole.encode().hex(),
    ]
    basic = [base64.b64encode(f"{before}{whole}".encode()) for before in ("", "a", "ab", "app:", "\0app\0")]
    forms: list[str | bytes] = [*texts, *basic]

    assert [form for form in forms if found_in(form) != [name]] == []
    assert found_in(canary(name)[:-1]) == []
