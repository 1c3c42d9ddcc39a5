"""A local issuer of tokens, made by hand: it can also lie, be slow, and be away.

To try the service with it: ``python -m tests.stand_ins.issuer --port 8098``.
"""

import argparse
import asyncio
import contextlib
import json
import sys
import time
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import parse_qsl, urlsplit

from joserfc import jws
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey

AUDIENCE: Final = "my-api"
DISCOVERY: Final = "/.well-known/openid-configuration"
KEYS: Final = "/keys"

Key = RSAKey | ECKey | OKPKey | OctKey


def new_key(kind: str = "RSA", which: str | int = 2048, *, id: str = "k1", **members: str) -> Key:
    """A private key; RSA of 2048 bits when nothing is said."""
    made: Key
    given: Any = {"kid": id, **members}
    if kind == "RSA":
        made = RSAKey.generate_key(int(which), given)
    elif kind == "EC":
        made = ECKey.generate_key(str(which), given)
    else:
        curve: Any = which
        made = OKPKey.generate_key(curve, given)
    return made


class FakeIssuer:
    """Answers on a free port of 127.0.0.1, and counts who asks for its keys."""

    def __init__(self, *keys: Key, now: float) -> None:
        self.keys = list(keys)
        self.now = now  # by the clock of the test
        self.port = 0
        self.asked: list[str] = []
        self.cache_control = "max-age=3600"
        self.documents: dict[str, Mapping[str, Any]] = {}  # instead of the true ones
        self.status = 200
        self.answers = asyncio.Event()
        self.answers.set()
        self._server: asyncio.Server | None = None
        self._serving: set[asyncio.Task[None]] = set()
        self._news = asyncio.Event()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def key_fetches(self) -> int:
        """How often the keys were asked for."""
        return self.asked.count(KEYS)

    async def until_asked(self, path: str, times: int) -> None:
        """Return when this has been asked for so often."""
        while self.asked.count(path) < times:
            self._news.clear()
            await self._news.wait()

    def token(
        self, key: Key | None = None, *, header: Mapping[str, Any] | None = None, without: str = "", **claims: Any
    ) -> str:
        """A token of Ann with all scopes, valid for five minutes, with whatever a test changes in it."""
        key = key or self.keys[-1]
        told = {"alg": _usual(key), "kid": key.kid, "typ": "JWT", **(header or {})}
        says = {
            "iss": self.address,
            "aud": AUDIENCE,
            "sub": "ann",
            "iat": int(self.now),
            "exp": int(self.now) + 300,
            "scope": "users:read users:write orders:read orders:write weather:read",
            **claims,
        }
        says.pop(without, None)
        told = {name: value for name, value in told.items() if value is not None}
        # The library refuses to write what this is for, so the parts are put together here.
        signed = f"{part(told)}.{part(says)}".encode()
        model = jws.JWSRegistry.algorithms.get(str(told["alg"]))
        signature = b"" if model is None or told["alg"] == "none" else model.sign(signed, key)
        return f"{signed.decode()}.{_base64(signature)}"

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """On the port of before, if there was one."""
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Nobody listens any more, and open connections end."""
        if self._server is None:
            return
        self._server.close()
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)
        await self._server.wait_closed()
        self._server = None

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        try:
            with contextlib.suppress(asyncio.IncompleteReadError, asyncio.CancelledError, OSError):
                while True:
                    head = await reader.readuntil(b"\r\n\r\n")
                    path = head.split(b" ", 2)[1].decode()
                    self.asked.append(path)
                    self._news.set()
                    await self.answers.wait()
                    writer.write(self._answer(path))
                    await writer.drain()
        finally:
            self._serving.discard(task)
            writer.close()

    def _answer(self, path: str) -> bytes:
        true: dict[str, Mapping[str, Any]] = {
            DISCOVERY: {
                "issuer": self.address,
                "jwks_uri": self.address + KEYS,
                "authorization_endpoint": f"{self.address}/authorize",
                "token_endpoint": f"{self.address}/token",
            },
            KEYS: {"keys": [key.as_dict(private=False) for key in self.keys]},
        }
        document = {**true, **self.documents}.get(path)
        status = 404 if document is None else self.status
        body = json.dumps(document).encode()
        head = (
            f"HTTP/1.1 {status} Whatever\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
            f"Cache-Control: {self.cache_control}\r\n\r\n"
        )
        return head.encode() + body


def part(value: object) -> str:
    """A part of a token."""
    return _base64(json.dumps(value).encode())


def _base64(text: bytes) -> str:
    return urlsafe_b64encode(text).rstrip(b"=").decode()


def _usual(key: Key) -> str:
    if isinstance(key, RSAKey):
        return "RS256"
    if isinstance(key, ECKey):
        return {"P-256": "ES256", "P-384": "ES384", "P-521": "ES512"}[key.curve_name]
    return "EdDSA" if isinstance(key, OKPKey) else "HS256"


class _GenerousIssuer(FakeIssuer):
    """Gives a token to whoever asks at ``/token``, with the ``sub`` and the ``scope`` of the query."""

    def _answer(self, path: str) -> bytes:
        asked = urlsplit(path)
        if asked.path != "/token":
            return super()._answer(path)
        self.now = time.time()
        claims: dict[str, Any] = {name: value for name, value in parse_qsl(asked.query) if name in {"sub", "scope"}}
        body = self.token(**claims)
        return f"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()


async def _serve(port: int, key: Key) -> None:
    issuer = _GenerousIssuer(key, now=0)
    issuer.port = port
    async with issuer:
        settings = ("CROSSDOCK_IDENTITY=oidc", f"OIDC_ISSUER={issuer.address}", f"OIDC_AUDIENCE={AUDIENCE}")
        sys.stdout.write("".join(f"{line}\n" for line in settings))
        sys.stdout.flush()
        await asyncio.Event().wait()


def main() -> None:
    """Serve until interrupted; prints the settings that make the service believe it."""
    parser = argparse.ArgumentParser(
        description="An issuer of tokens on 127.0.0.1, which gives one to whoever asks: GET /token?sub=ann&scope=…"
    )
    parser.add_argument("--port", type=int, default=0, help="a free one when none is said")
    parser.add_argument("--key", type=Path, metavar="FILE", help="the private key (JWK); a new one when none is said")
    chosen = parser.parse_args()
    key = new_key() if chosen.key is None else RSAKey.import_key(json.loads(chosen.key.read_text()))
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(chosen.port, key))


if __name__ == "__main__":
    main()
