"""Every fault of a provider becomes the right error of the port, in time, whichever question of a driver it meets."""

import json
import socket
from collections.abc import Iterator, Sequence
from datetime import timedelta
from email.utils import format_datetime
from time import monotonic
from typing import Any
from unicodedata import category

import pytest

from adapters.http_client import HttpClient
from domain.model.errors import CityNotFound
from domain.model.weather import City, Weather
from ports.errors import PortError, Rejected, Unavailable
from ports.trouble import Cause
from tests.clock import ManualClock
from tests.integration.weather.questions import Question, openweather
from tests.stand_ins.weather_faults import FAULTS, INWARD, REJECTED_FAULTS, UNAVAILABLE_FAULTS, redirects
from tests.stand_ins.weather_server import (
    WeatherServer,
    answers,
    as_the_providers_do,
    forecast,
    head,
    main,
    observation,
    only,
    places,
    sends,
)

BERLIN = City("Berlin")
PATIENCE = 3.0  # seconds: far more than a call has, far less than a fault would like


@pytest.mark.parametrize("fault", UNAVAILABLE_FAULTS)
async def test_what_may_pass_is_unavailable_in_time_and_forgotten_afterwards(
    question: Question, hasty: HttpClient, server: WeatherServer, clock: ManualClock, fault: str
) -> None:
    server.always(only(question.path, UNAVAILABLE_FAULTS[fault]))
    weather = question.build(server.origin, hasty, clock)
    began = monotonic()

    with pytest.raises(Unavailable):
        await weather.current(BERLIN)

    assert monotonic() - began < PATIENCE
    server.always(as_the_providers_do)
    assert (await weather.current(BERLIN)).city == "Berlin"


@pytest.mark.parametrize("fault", REJECTED_FAULTS)
async def test_what_is_no_answer_is_rejected_in_time_and_forgotten_afterwards(
    question: Question, http: HttpClient, server: WeatherServer, clock: ManualClock, fault: str
) -> None:
    server.always(only(question.path, REJECTED_FAULTS[fault]))
    weather = question.build(server.origin, http, clock)
    began = monotonic()

    with pytest.raises(Rejected):
        await weather.current(BERLIN)

    assert monotonic() - began < PATIENCE
    assert [asked.path for asked in server.asked].count(question.path) == 1
    server.always(as_the_providers_do)
    assert (await weather.current(BERLIN)).city == "Berlin"


async def test_more_parts_than_bytes_to_read_them_end_one_way_or_the_other(
    question: Question, hasty: HttpClient, server: WeatherServer, clock: ManualClock
) -> None:
    """Chunks of one byte: whether the deadline or the limit comes first, is a matter of the machine."""
    chunks = sends(head(200, {"Transfer-Encoding": "chunked"}), b"1\r\n \r\n" * 300_000)
    server.always(only(question.path, chunks))
    began = monotonic()

    with pytest.raises((Unavailable, Rejected)):
        await question.build(server.origin, hasty, clock).current(BERLIN)

    assert monotonic() - began < PATIENCE


# No connection


async def test_a_refused_connection_is_unavailable(question: Question, http: HttpClient, clock: ManualClock) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]

        with pytest.raises(Unavailable, match=r"could not be asked: Connection refused$"):
            await question.build(f"http://127.0.0.1:{port}", http, clock).current(BERLIN)


async def test_a_server_that_does_not_accept_is_unavailable(
    question: Question, hasty: HttpClient, clock: ManualClock
) -> None:
    with socket.socket() as full, socket.socket() as first, socket.socket() as second:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for waiting in (first, second):
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())

        with pytest.raises(Unavailable):
            await question.build(f"http://127.0.0.1:{full.getsockname()[1]}", hasty, clock).current(BERLIN)


@pytest.mark.parametrize("error", [socket.EAI_NONAME, socket.EAI_AGAIN, socket.EAI_FAIL])
async def test_a_name_that_nobody_knows_is_unavailable(
    question: Question, http: HttpClient, clock: ManualClock, monkeypatch: pytest.MonkeyPatch, error: int
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise socket.gaierror(error, "no such name")

    monkeypatch.setattr(socket, "getaddrinfo", fails)

    with pytest.raises(Unavailable, match=r"^weather\.example could not be asked: its name is not known$"):
        await question.build("http://weather.example", http, clock).current(BERLIN)


@pytest.mark.parametrize("host", ["x" * 64 + ".example", "xn--a", "a..example", "[::1", "1.2.3.4.5", "\u2024"])
async def test_a_host_that_is_no_name_is_an_error_of_the_port(
    question: Question, hasty: HttpClient, clock: ManualClock, host: str
) -> None:
    with pytest.raises(PortError):
        await question.build(f"http://{host}:1", hasty, clock).current(BERLIN)


# Statuses


@pytest.mark.parametrize("status", [408, 425, 429, 500, 501, 502, 503, 504, 505, 507, 520, 529, 599])
async def test_a_status_that_may_pass_is_unavailable(
    question: Question, http: HttpClient, server: WeatherServer, clock: ManualClock, status: int
) -> None:
    server.always(only(question.path, answers({"error": True, "reason": "ours"}, status=status)))

    with pytest.raises(Unavailable, match=rf"^127\.0\.0\.1 answered {status}$"):
        await question.build(server.origin, http, clock).current(BERLIN)


@pytest.mark.parametrize(
    "status",
    sorted({*range(201, 227), *range(400, 452), 499, 600, 999} - {404, 408, 425, 429}),
)
async def test_any_other_status_is_rejected(
    question: Question, http: HttpClient, server: WeatherServer, clock: ManualClock, status: int
) -> None:
    body = b"" if status in {204, 205} else {"error": True, "reason": "ours"}
    server.always(only(question.path, answers(body, status=status)))

    told = rf"refuses our key: it answered {status}$" if status in {401, 403} else rf"answered {status}$"
    with pytest.raises(
        Rejected, match=told if question.name == "openweather" else rf"^127\.0\.0\.1 answered {status}$"
    ):
        await question.build(server.origin, http, clock).current(BERLIN)


@pytest.mark.parametrize("status", [300, 301, 302, 303, 304, 305, 306, 307, 308, 399])
async def test_a_redirect_is_rejected_and_not_followed(
    question: Question, http: HttpClient, server: WeatherServer, clock: ManualClock, status: int
) -> None:
    server.always(only(question.path, redirects(status)))
    to_itself = answers(b"", status=status, headers={"Location": question.path, "Refresh": f"0; url={INWARD}"})

    for script in (redirects(status), to_itself):
        server.always(only(question.path, script))
        server.asked.clear()
        with pytest.raises(Rejected, match=rf"^127\.0\.0\.1 answered {status}$"):
            await question.build(server.origin, http, clock).current(BERLIN)

        assert [asked.path for asked in server.asked].count(question.path) == 1


async def test_a_404_means_that_there_is_no_such_city(
    question: Question, http: HttpClient, server: WeatherServer, clock: ManualClock
) -> None:
    server.always(only(question.path, answers(b"<html>nothing here</html>", status=404)))

    with pytest.raises(CityNotFound):
        await question.build(server.origin, http, clock).current(BERLIN)


# When to come back

RETRY_AFTER = [
    ([], None),
    (["0"], 0),
    (["7"], 7),
    (["86400"], 60),
    (["9" * 20], 60),
    (["9" * 5000], 60),
    (["in 30 seconds"], 30),
    (["in a day"], 60),
    (["an hour ago"], 0),
    (["Sun, 06 Nov 1994 08:49:37 GMT"], 0),
    (["Fri, 31 Dec 9999 23:59:59 GMT"], 60),
    (["Fri, 32 Dec 2026 23:59:59 GMT"], None),
    (["Mon, 23 Nov 2026 05:00:30 +99999999"], None),
    ([""], None),
    (["soon"], None),
    (["-5"], None),
    (["1.5"], None),
    (["1e3"], None),
    (["0x10"], None),
    (["inf"], None),
    (["NaN"], None),
    (["5, 10"], None),
    (["5", "10"], None),
    (["\xb2"], None),  # isdigit() says yes
    (["\xff\xfe"], None),
    (["x" * 20_000], None),
]


@pytest.mark.parametrize(("headers", "expected"), RETRY_AFTER, ids=map(str, range(len(RETRY_AFTER))))
async def test_every_kind_of_retry_after_is_read(  # noqa: PLR0917 - fixtures and a row of the table
    question: Question,
    http: HttpClient,
    server: WeatherServer,
    clock: ManualClock,
    headers: Sequence[str],
    expected: float | None,
) -> None:
    delays = {"in 30 seconds": 30, "in a day": 86_400, "an hour ago": -3600}
    told = [
        format_datetime(clock.now() + timedelta(seconds=delays[header]), usegmt=True) if header in delays else header
        for header in headers
    ]
    lines = "".join(f"Retry-After: {header}\r\n" for header in told)

    for status in (429, 503):
        answer = f"HTTP/1.1 {status} Later\r\nContent-Length: 0\r\n{lines}\r\n".encode("latin-1")
        server.always(only(question.path, sends(answer)))
        with pytest.raises(Unavailable) as raised:
            await question.build(server.origin, http, clock).current(BERLIN)

        assert raised.value.retry_after == expected
        assert raised.value.cause is (Cause.LIMITED if status == 429 or expected else Cause.OUT_OF_REACH)


# Values


def places_in(document: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The path of every value, the containers' as well."""
    if path:
        yield path
    inner: Any = document.items() if isinstance(document, dict) else enumerate(document)
    for name, value in inner:
        if isinstance(value, (dict, list)):
            yield from places_in(value, (*path, name))
        else:
            yield (*path, name)


def with_value_at(document: Any, path: tuple[str | int, ...], value: object) -> object:
    """A copy in which another value stands there."""
    copy = json.loads(json.dumps(document))
    parent = copy
    for name in path[:-1]:
        parent = parent[name]
    parent[path[-1]] = value
    return copy


def without_what_is_at(document: Any, path: tuple[str | int, ...]) -> object:
    copy = json.loads(json.dumps(document))
    parent = copy
    for name in path[:-1]:
        parent = parent[name]
    del parent[path[-1]]
    return copy


ODD_VALUES: Sequence[object] = [
    None,
    True,
    "",
    "x",
    "11.3",
    " ",
    "a\nb",
    "\u0000",
    "\u202e",
    "x" * 1_000,
    "km/h",
    [],
    {},
    [[]],
    {"a": {}},
    0,
    -1,
    -1e300,
    1e300,
    10**30,
    10**4000,
    float("nan"),
    float("inf"),
    -273.16,
    284.45,  # kelvins
]


async def test_no_odd_value_anywhere_gets_through(
    question: Question, http: HttpClient, server: WeatherServer, clock: ManualClock
) -> None:
    """Each value of each answer is replaced by each odd one, and left out: what comes is plausible, or an error."""
    documents = {"openweather": observation("Berlin"), "open_meteo where": places("Berlin")}
    document = documents.get(question.name, forecast())
    spoilt = [without_what_is_at(document, path) for path in places_in(document)]
    spoilt += [with_value_at(document, path, value) for path in places_in(document) for value in ODD_VALUES]
    errors = 0

    for body in spoilt:
        server.always(only(question.path, answers(body)))
        try:
            now = await question.build(server.origin, http, clock).current(BERLIN)
        except (Rejected, CityNotFound):
            errors += 1
            continue
        assert is_plausible(now), body

    assert errors > len(spoilt) / 10
    print(f"{question.name}: {len(spoilt)} answers, {errors} refused")


def is_plausible(now: Weather) -> bool:
    texts = [now.city, now.conditions, now.country or "ZZ"]
    return (
        all(text.strip() and len(text) <= 200 and not any(category(c) == "Cc" for c in text) for text in texts)
        and len(now.country or "ZZ") == 2
        and -100 <= now.temperature_c <= 75
        and -100 <= now.feels_like_c <= 75
        and 0 <= now.humidity_percent <= 100
        and 0 < now.pressure_hpa < 2000
        and 0 <= now.wind_speed_m_s < 200
        and now.observed_at.utcoffset() == timedelta(0)
    )


async def test_of_a_key_that_comes_twice_the_last_counts(
    http: HttpClient, server: WeatherServer, clock: ManualClock
) -> None:
    """As every reader of JSON has it; it is never both."""
    body = json.dumps(observation("Berlin")).encode()
    server.always(answers(body.replace(b'"temp": 11.3', b'"temp": "x", "temp": 12.5')))

    assert (await openweather(server.origin, http, clock).current(BERLIN)).temperature_c == 12.5

    server.always(answers(body.replace(b'"temp": 11.3', b'"temp": 12.5, "temp": "x"')))
    with pytest.raises(Rejected):
        await openweather(server.origin, http, clock).current(BERLIN)


def test_the_stand_in_names_its_faults(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.argv", ["weather_server", "--fault", "list"])

    main()

    assert capsys.readouterr().out.splitlines() == list(FAULTS)
