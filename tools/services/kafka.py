import struct
from pathlib import Path
from typing import Final

from tools.services.addresses import SECRET, USER
from tools.services.jars import LEAN, jars, missing_for_jars
from tools.services.ports import HOST
from tools.services.probes import hears
from tools.services.programs import java
from tools.services.server import Server

PROPERTIES: Final = Path(__file__).with_suffix(".properties")  # the same that compose.yaml mounts
CLUSTER: Final = "Y3Jvc3Nkb2NrLXRlc3RzIQ"
SCRAM_USER: Final = f"SCRAM-SHA-512=[name={USER},password={SECRET}]"
API_VERSIONS: Final = 18
CORRELATION: Final = 0x63726F73
READY: Final = "Kafka Server started"


class Kafka(Server):
    """Apache's broker, one node that is its own controller, with a listener for TLS and SASL beside the plain one."""

    name = "kafka"
    uses = ("plain", "controller", "secure")

    @property
    def address(self) -> str:
        return f"{HOST}:{self.port}"

    @property
    def secure_address(self) -> str:
        return f"{HOST}:{self.ports['secure']}"

    @classmethod
    def missing(cls) -> list[str]:
        return missing_for_jars()

    def answers(self) -> bool:
        # A broker answers this question before it can serve; of one that is ours we know when it can.
        return (not self.running or READY in self._said()) and self._tells_versions()

    def _begin(self) -> None:
        properties, data = self.folder / "server.properties", self.folder / "data"
        properties.write_text(PROPERTIES.read_text() + self._here(data))
        self._begun.write_text(str(self.log.stat().st_size if self.log.exists() else 0))
        if not (data / "meta.properties").exists():
            told = ("-t", CLUSTER, "-c", str(properties), "--add-scram", SCRAM_USER)
            self._do([*self._java("-Xmx128m"), "kafka.tools.StorageTool", "format", *told])
        self._main.spawn([*self._java("-Xmx512m"), "kafka.Kafka", properties], self.log)

    def _here(self, data: Path) -> str:
        controller = f"{HOST}:{self.ports['controller']}"
        return "\n".join(
            [
                "",
                f"listeners=PLAIN://{self.address},CONTROLLER://{controller},SECURE://{self.secure_address}",
                f"advertised.listeners=PLAIN://{self.address},SECURE://{self.secure_address}",
                f"controller.quorum.voters=1@{controller}",
                f"log.dirs={data}",
                f"ssl.keystore.location={self.certificates / 'server.pem'}",
                "",
            ]
        )

    def _java(self, heap: str) -> list[str | Path]:
        return [str(java()), *LEAN, heap, "-cp", f"{jars(self.name)}/*"]

    @property
    def _begun(self) -> Path:
        """How long the log was before this life."""
        return self.folder / "log-before"

    def _tells_versions(self) -> bool:
        told = hears(self.port, struct.pack("!ihhih", 10, API_VERSIONS, 0, CORRELATION, -1), 10)
        return told[4:] == struct.pack("!ih", CORRELATION, 0)

    def _said(self) -> str:
        if not self.log.exists():
            return ""
        with self.log.open("rb") as log:
            log.seek(int(self._begun.read_text()) if self._begun.exists() else 0)
            return log.read().decode(errors="replace")
