"""The pages about issuers (docs/identity), read as somebody reads them who types what they say."""

import asyncio
import json
import re
import time
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, Self

import pytest
from joserfc import jwt
from joserfc.jwk import RSAKey

from tests.foreign import attempt
from tools.services.packages import install, may_install
from tools.services.programs import program

FOLDER = Path(__file__).parents[3] / "docs" / "identity"
OUR_API = "https://api.example.com"
KEY_ID = "2Fx9"

Answer = Callable[[bytes], tuple[int, object]]


class Page:
    """One page, and what it calls things that are somewhere else in a test."""

    def __init__(self, name: str, **instead: str) -> None:
        self.text = (FOLDER / f"{name}.md").read_text()
        self._instead = instead

    def settings(self, number: int = 0) -> dict[str, str]:
        """Those of one of the blocks under *In Crossdock*."""
        lines = self._blocks("In Crossdock")[number].splitlines()
        return dict(line.split("=", 1) for line in lines)

    async def call(self, api: str, **given: str) -> tuple[int, Any]:
        """Run the commands under *A call* in a shell, against ``api``; the status and the JSON that they come to.

        ``given`` are the variables that the reader is to set.
        """
        [script] = self._blocks("A call")
        script = script.replace(f"{OUR_API}/register-user/", f"{api}/register-user/")
        done = await asyncio.to_thread(
            attempt, _program("bash"), "-euc", script, cwd=_program("curl").parent, environ=given, seconds=30
        )
        assert done.returncode == 0, done.stderr
        head, _, body = done.stdout.replace("\r\n", "\n").partition("\n\n")
        return int(head.split()[1]), json.loads(body)

    @property
    def refusals(self) -> set[str]:
        """What is said of tokens in the table at its end, as far as it is the same for all."""
        table = self._section("What each refusal means")
        return {cell.partition("…")[0].strip() for cell in re.findall(r"^\| (The .*?) \|", table, re.MULTILINE)}

    def _blocks(self, title: str) -> list[str]:
        return re.findall(r"```sh\n(.*?)```", self._section(title), re.DOTALL)

    def _section(self, title: str) -> str:
        text = self.text.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
        for said, meant in self._instead.items():
            assert said in self.text, f"the page does not speak of {said}"
            text = text.replace(said, meant)
        return text


class PageIssuer:
    """Stands in for an issuer that cannot be had here: discovery and keys below ``path``, and what a page's calls ask.

    Signs what it is told, with the one key that it publishes.
    """

    def __init__(self, path: str) -> None:
        self.key = RSAKey.generate_key(2048, {"kid": KEY_ID})
        self.asked: list[tuple[str, Any]] = []
        self._answers: dict[str, Answer] = {}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.address = f"http://127.0.0.1:{self._server.server_address[1]}"
        self.issuer = self.address + path
        below = path.rstrip("/")
        keys = {"keys": [self.key.as_dict(private=False, use="sig", alg="RS256")]}
        discovered = {"issuer": self.issuer, "jwks_uri": f"{self.address}{below}/.well-known/jwks.json"}
        self.answer(f"{below}/.well-known/openid-configuration", lambda _: (200, discovered))
        self.answer(f"{below}/.well-known/jwks.json", lambda _: (200, keys))

    def answer(self, path: str, how: Answer) -> None:
        """What is answered there from now on."""
        self._answers[path] = how

    def token(self, claims: Mapping[str, Any]) -> str:
        """Exactly these claims, besides the issuer's name and an hour from now."""
        return jwt.encode({"alg": "RS256", "typ": "JWT", "kid": KEY_ID}, self.complete(claims), self.key)

    def complete(self, claims: Mapping[str, Any]) -> dict[str, Any]:
        """With what stands in each of its tokens."""
        now = int(time.time())
        return {"iss": self.issuer, "iat": now, "exp": now + 3600, **claims}

    def __enter__(self) -> Self:
        self._thread = Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                path, _, query = self.path.partition("?")
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                issuer.asked.append((path, {"query": query, "body": body}))
                status, value = issuer._answers.get(path, _nothing)(body)
                content = json.dumps(value).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_POST = do_GET  # noqa: N815 - so it is called by the library

            def log_message(self, *_: Any) -> None:
                return

        return Handler


def _nothing(_: bytes) -> tuple[int, object]:
    return 404, {}


def _program(name: str) -> Path:
    found = program(name)
    if found is None and may_install():
        install([name])
        found = program(name)
    if found is None:
        pytest.skip(f"{name} is not installed: apt install {name} (INSTALL=1 or CI=true does it)")
    return found
