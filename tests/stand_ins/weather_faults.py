"""Every way in which a weather provider may fail once it has been asked, by name, and what the port makes of it."""

import asyncio
import gzip
import json
import zlib
from collections.abc import Callable, Mapping
from typing import Any, Final

from tests.stand_ins.weather_server import (
    Asked,
    Script,
    answers,
    drips,
    floods,
    hangs,
    head,
    observation,
    resets,
    right_answer,
    sends,
    slowly,
)

BYTES_MOST: Final = 256 * 1024  # of a body, see HttpClient
INWARD: Final = "http://127.0.0.1:1/internal"

_OK: Final = b"HTTP/1.1 200 OK\r\n"
_CHUNKED: Final = head(200, {"Transfer-Encoding": "chunked"})
_CUT: Final = head(200, {"Content-Length": "1000"})

Leaf = Callable[[object], object]


async def repeats_the_question(asked: Asked, writer: asyncio.StreamWriter) -> None:
    """The request line where the status line should be, as an echo service does."""
    await sends(f"{asked.method} {asked.target} HTTP/1.1\r\n\r\n".encode())(asked, writer)


def redirects(status: int) -> Script:
    """A redirect inward that carries the whole query on."""

    async def script(asked: Asked, writer: asyncio.StreamWriter) -> None:
        location = f"{INWARD}?{asked.target.partition('?')[2]}"
        await answers(b"", status=status, headers={"Location": location})(asked, writer)

    return script


def quotes_the_question(status: int) -> Script:
    """An answer that repeats the question, with the key, in every place that it has."""

    async def script(asked: Asked, writer: asyncio.StreamWriter) -> None:
        document = {"cod": asked.target, "message": asked.target, asked.target: asked.target, "results": asked.target}
        headers = {"X-Asked": asked.target, "Set-Cookie": f"asked={asked.target}", "Retry-After": asked.target}
        await answers(document, status=status, headers=headers)(asked, writer)

    return script


def rewritten(change: Callable[[bytes], bytes], *, headers: Mapping[str, str] | None = None) -> Script:
    """The right answer with other bytes."""

    async def script(asked: Asked, writer: asyncio.StreamWriter) -> None:
        await answers(change(json.dumps(right_answer(asked)[1]).encode()), headers=headers)(asked, writer)

    return script


def with_each(leaf: Leaf) -> Script:
    """The right answer with something else in the place of each value."""

    def changed(value: Any) -> object:
        if isinstance(value, dict):
            return {name: changed(inner) for name, inner in value.items()}
        if isinstance(value, list):
            return [changed(inner) for inner in value]
        return leaf(value)

    return rewritten(lambda body: json.dumps(changed(json.loads(body))).encode())


def _each_number(other: object) -> Leaf:
    return lambda value: other if isinstance(value, (int, float)) else value


def _ends_with(more: bytes) -> Callable[[bytes], bytes]:
    return lambda body: body[:-1] + b", " + more + b"}"


BOMB: Final = gzip.compress(b"[" * 100_000_000, compresslevel=1)

UNAVAILABLE_FAULTS: Final[Mapping[str, Script]] = {
    "an outage": answers({"cod": 503, "message": "later"}, status=503),
    "an outage that quotes the question": quotes_the_question(503),
    "too many requests": answers({"cod": 429, "message": "later"}, status=429, headers={"Retry-After": "30"}),
    # connections that end
    "reset": resets,
    "closed without a word": sends(),
    "cut in the headers": sends(_OK + b"Content-Le"),
    "cut in the body": sends(_CUT, b'{"name": '),
    "cut in a chunk": sends(_CHUNKED, b'100\r\n{"name": '),
    "cut before the last chunk": sends(_CHUNKED, b"2\r\n{}\r\n"),
    # connections that do not
    "hang": hangs,
    "hang in the headers": drips(_OK, b"", seconds=0.05),
    "hang in the body": drips(_CUT, b"", seconds=0.05),
    "a byte at a time": slowly(observation("Berlin"), seconds=0.005),
    "one byte a second": slowly(observation("Berlin"), seconds=1),
    "one byte of the body a second": drips(_CUT, b" ", seconds=1),
    "headers without end": drips(_OK + b"X: ", b"x", seconds=0.01),
    "chunk without end": drips(_CHUNKED + b"5;", b"x", seconds=0.01),
    "a hundred for ever": drips(b"", b"HTTP/1.1 100 Continue\r\n\r\n", seconds=0.01),
    "flood of headers": floods(_OK, b"X: y\r\n" * 1000),
    "flood in one header": floods(_OK + b"X: ", b"x" * 0x10000),
    "flood in a chunk's head": floods(_CHUNKED + b"5;", b"x" * 0x10000),
    "flood of trailers": floods(_CHUNKED + b"2\r\n{}\r\n0\r\n", b"X: y\r\n" * 1000),
    "flood of hundreds": floods(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 100),
    "flood before the status": floods(b"", b"x" * 0x10000),
    # what is no HTTP
    "not HTTP": sends(b"SSH-2.0-OpenSSH_10.0\r\n"),
    "HTTP/0.9": sends(b"{}"),
    "HTTP/2": sends(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    "the question again": repeats_the_question,
    "any bytes": sends(bytes(range(256)) * 8),
    "a status of five digits": sends(b"HTTP/1.1 20000 OK\r\n\r\n"),
    "another protocol": sends(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: any\r\nConnection: upgrade\r\n\r\n"),
    "a length below zero": sends(_OK + b"Content-Length: -1\r\n\r\n{}"),
    "a length of 5,000 digits": sends(_OK + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n{}"),
    "two lengths": sends(_OK + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n{}"),
    "a chunk of odd length": sends(_CHUNKED + b"-2\r\n{}\r\n0\r\n\r\n"),
    "a chunk of 5,000 digits": sends(_CHUNKED + b"F" * 5000 + b"\r\n{}\r\n0\r\n\r\n"),
    "a chunk that is longer than it says": sends(_CHUNKED + b"1\r\n{}\r\n0\r\n\r\n"),
    "an encoding that nobody knows": sends(_OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"),
    "a header with a NUL": sends(_OK + b"X: a\x00b\r\nContent-Length: 2\r\n\r\n{}"),
}
REJECTED_FAULTS: Final[Mapping[str, Script]] = {
    "a refusal": answers({"cod": 401, "message": "Invalid API key"}, status=401),
    "a refusal that quotes the question": quotes_the_question(401),
    # what is no JSON
    "not JSON": answers(b"<html>It works!</html>"),
    "half of JSON": rewritten(lambda body: body[: len(body) // 2]),
    "JSON and more": rewritten(lambda body: body + b"{}"),
    "empty": answers(b""),
    "no body at all": sends(_OK + b"\r\n"),
    "not UTF-8": answers(b'{"name": "M\xfcnchen"}'),
    "UTF-16": rewritten(lambda body: body.decode().encode("utf-16"), headers={"X-Charset": "utf-16"}),
    "UTF-8 with a mark": rewritten(lambda body: b"\xef\xbb\xbf" + body),
    "half of a character": rewritten(lambda body: body.replace(b'"', b'"\\ud800')),
    # JSON of another shape
    "a list": answers([observation("Berlin")]),
    "null": answers(None),
    "a number": answers(7),
    "another shape": answers({"temperature": 11.3}),
    "the question again, as JSON": quotes_the_question(200),
    "nothing but null": with_each(lambda _: None),
    "nothing but texts": with_each(str),
    "nothing but truth": with_each(lambda _: True),
    "nothing but lists": with_each(lambda value: [value]),
    "numbers that are none": with_each(_each_number(float("nan"))),
    "numbers without bound": with_each(_each_number(float("inf"))),
    "numbers beyond all": with_each(_each_number(10**300)),
    "numbers of 4,000 digits": with_each(_each_number(10**4000)),
    "numbers below all": with_each(_each_number(-(10**300))),
    "the same key again": rewritten(_ends_with(b'"main": null, "results": null, "current": null')),
    "deeply nested": answers(b'{"a":' * 10_000),
    "just not too deeply nested": answers(b"[" * 1_900 + b"]" * 1_900),
    "very many parts": answers(b'{"results":[' + b",".join([b"{}"] * 80_000) + b"]}"),
    "very many keys": answers(b"{" + b",".join(b'"%d":{}' % number for number in range(20_000)) + b"}"),
    "a very long number": answers(b"1" * 200_000),
    "a very long key": answers(b'{"' + b"k" * 200_000 + b'": 1}'),
    # too much
    "gzip bomb": answers(BOMB, headers={"Content-Encoding": "gzip"}),
    "gzip bomb that says nothing": answers(BOMB),
    "gzip bomb of another name": answers(BOMB, headers={"Content-Encoding": "identity, x-gzip"}),
    "deflate": rewritten(zlib.compress, headers={"Content-Encoding": "deflate"}),
    "body without end": floods(_CHUNKED, b"10000\r\n" + b" " * 0x10000 + b"\r\n"),
    "body until the connection ends, which it does not": floods(_OK + b"\r\n", b" " * 0x10000),
    "body of 1 GB": floods(head(200, {"Content-Length": "1000000000"}), b" " * 1_000_000, most=1000),
    "too large": answers(b" " * BYTES_MOST + b"{}"),
    # elsewhere
    "redirect inward": answers(b"", status=302, headers={"Location": INWARD}),
    "redirect with the query": redirects(302),
    "redirect to nowhere": answers(b"", status=301, headers={"Location": "http://[::"}),
    "redirect to a file": answers(b"", status=307, headers={"Location": "file:///etc/passwd"}),
}
FAULTS: Final[Mapping[str, Script]] = {**UNAVAILABLE_FAULTS, **REJECTED_FAULTS}

# Those that would like to fill the memory.
GREEDY_FAULTS: Final = (
    "flood of headers",
    "flood in one header",
    "flood in a chunk's head",
    "flood of trailers",
    "flood of hundreds",
    "flood before the status",
    "deeply nested",
    "just not too deeply nested",
    "very many parts",
    "very many keys",
    "a very long number",
    "a very long key",
    "gzip bomb",
    "gzip bomb that says nothing",
    "gzip bomb of another name",
    "body without end",
    "body until the connection ends, which it does not",
    "body of 1 GB",
    "too large",
)
