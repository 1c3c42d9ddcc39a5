from functools import cache
from pathlib import Path

from tools.services.ports import HOST
from tools.services.probes import listens
from tools.services.server import START_SECONDS, Server
from tools.services.sources import built

_VERSION = "v0.111.0"
_PARTS = {
    "receivers": ["receiver/otlpreceiver"],
    "processors": ["processor/batchprocessor"],
    "exporters": ["exporter/otlphttpexporter"],
}
_MANIFEST = "dist: {name: collector, output_path: built, otelcol_version: 0.111.0}\n" + "".join(
    f"{kind}: [{', '.join(f'{{gomod: go.opentelemetry.io/collector/{part} {_VERSION}}}' for part in parts)}]\n"
    for kind, parts in _PARTS.items()
)
_CONFIG = """\
receivers: {{otlp: {{protocols: {{http: {{endpoint: "{host}:{port}"}}}}}}}}
processors: {{batch: {{timeout: 100ms}}}}
exporters: {{otlphttp: {{endpoint: "{to}"}}}}
service:
  telemetry: {{metrics: {{level: none}}}}
  pipelines: {{traces: {{receivers: [otlp], processors: [batch], exporters: [otlphttp]}}}}
"""


class OtelCollector(Server):
    """Passes on to ``to`` the traces that it is told."""

    name = "otel-collector"
    uses = ("otlp",)
    to = ""

    @property
    def address(self) -> str:
        return f"http://{HOST}:{self.port}"

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
        install = ["go", "install", f"go.opentelemetry.io/collector/cmd/builder@{_VERSION}"]
        build = ["sh", "-c", "builder --config manifest.yaml && mv built/collector collector"]
        return built("collector", [install, build], {"manifest.yaml": _MANIFEST})

    def answers(self) -> bool:
        return listens(self.port)

    def _begin(self) -> None:
        config = self.folder / "config.yaml"
        config.write_text(_CONFIG.format(host=HOST, port=self.port, to=self.to))
        self._main.spawn([str(self.program()), f"--config={config}"], self.log)
