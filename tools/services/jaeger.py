import json
import urllib.error
import urllib.request
from functools import cache
from pathlib import Path
from typing import Any

from tools.services.ports import HOST
from tools.services.probes import gets
from tools.services.server import START_SECONDS, Server
from tools.services.sources import built

_VERSION = "v1.62.0"  # the last that is built from its own modules alone
_PACKAGE = "github.com/jaegertracing/jaeger/cmd/all-in-one"
_FLAGS = {
    "query": "query.http-server.host-port",
    "otlp": "collector.otlp.http.host-port",
    "otlp-grpc": "collector.otlp.grpc.host-port",
    "query-grpc": "query.grpc-server.host-port",
    "admin": "admin.http.host-port",
    "collector-grpc": "collector.grpc-server.host-port",
    "collector": "collector.http-server.host-port",
    "compact": "processor.jaeger-compact.server-host-port",
    "binary": "processor.jaeger-binary.server-host-port",
    "zipkin": "processor.zipkin-compact.server-host-port",
    "sampling": "http-server.host-port",
}


class Jaeger(Server):
    """Keeps traces in memory and shows them."""

    name = "jaeger"
    uses = tuple(_FLAGS)

    @property
    def address(self) -> str:
        return f"http://{HOST}:{self.ports['otlp']}"

    def trace(self, trace_id: str) -> list[dict[str, Any]]:
        """The spans of a trace, as its API tells them; none when it knows no such trace."""
        url = f"http://{HOST}:{self.port}/api/traces/{trace_id}"
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                spans: list[dict[str, Any]] = json.load(answer)["data"][0]["spans"]
                return spans
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return []
            raise

    @classmethod
    def missing(cls) -> list[str]:
        return []  # `start` says

    def start(self, seconds: float = START_SECONDS) -> None:
        self.program()  # before the seconds begin to count
        super().start(seconds)

    @staticmethod
    @cache
    def program() -> Path:
        """Itself; it is built when it is asked for the first time."""
        get = ["go", "get", f"{_PACKAGE}@{_VERSION}"]
        return built("jaeger", [["go", "mod", "init", "built"], get, ["go", "build", "-o", "jaeger", _PACKAGE]])

    def answers(self) -> bool:
        return gets(self.ports["admin"], "/")

    def _begin(self) -> None:
        places = [f"--{_FLAGS[use]}={HOST}:{port}" for use, port in self.ports.items()]
        self._main.spawn([str(self.program()), *places, "--collector.zipkin.host-port="], self.log)
