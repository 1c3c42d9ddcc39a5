"""Requests as bytes, made before the clock runs."""

import json
import random
from collections.abc import Sequence
from urllib.parse import quote

from bench.load import KEY_PLACE

ORDERS = 256
CITIES = ("Reykjavík", "Berlin", "São Paulo", "Nairobi", "Wellington")
CURRENCY = "EUR"


def order_requests(users: Sequence[str], *, keys: bool = False) -> list[bytes]:
    """A pool of orders of one to three lines, the same in every run; with a place for a key, or without."""
    chance = random.Random(20)
    requests = [post("/orders/", _order(chance, users)) for _ in range(ORDERS)]
    with_key = b"\r\nIdempotency-Key: " + KEY_PLACE + b"\r\n"
    return [request.replace(b"\r\n", with_key, 1) for request in requests] if keys else requests


def order_reads(ids: Sequence[tuple[str, str]]) -> list[bytes]:
    """Each of these orders, with a token that may see it; an empty one is left out."""
    return [_get(f"/orders/{order}", token) for order, token in ids]


def weather_paths() -> list[str]:
    """Where the weather of some cities is."""
    return [f"/weather/{quote(city)}" for city in CITIES]


def weather_requests() -> list[bytes]:
    """One for each city."""
    return [_get(path) for path in weather_paths()]


def zipf_weather_requests() -> list[bytes]:
    """A thousand cities, the n-th of them asked for 1/n as often as the first, the same in every run."""
    chance = random.Random(21)
    ranks = range(1, 1001)
    return [_city(rank) for rank in chance.choices(ranks, weights=[1 / rank for rank in ranks], k=20_000)]


def new_weather_requests() -> list[bytes]:
    """So many cities that none is asked for twice."""
    return [_city(number) for number in range(1, 40_001)]


def plain_request() -> list[bytes]:
    """The least that can be asked."""
    return [_get("/")]


def _city(number: int) -> bytes:
    return _get(f"/weather/City%20{number}")


def _order(chance: random.Random, users: Sequence[str]) -> object:
    lines = [
        {
            "sku": f"article-{chance.randrange(1000)}",
            "quantity": chance.randint(1, 9),
            "unit_price": f"{chance.randrange(100)}.{chance.randrange(100):02}",
        }
        for _ in range(chance.randint(1, 3))
    ]
    return {"user_id": chance.choice(users), "currency": CURRENCY, "lines": lines}


def some_order(user: str) -> object:
    """An order of one user, as a value."""
    return _order(random.Random(user), [user])


def post(path: str, value: object) -> bytes:
    """With a JSON body."""
    body = json.dumps(value, separators=(",", ":")).encode()
    head = f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\naccept: application/json\r\ncontent-type: application/json\r\n"
    return f"{head}content-length: {len(body)}\r\n\r\n".encode() + body


def _get(path: str, token: str = "") -> bytes:
    authorization = f"authorization: Bearer {token}\r\n" if token else ""
    return f"GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\naccept: application/json\r\n{authorization}\r\n".encode()
