from pathlib import Path
from typing import Final

from tools.services.jars import LEAN, brought, missing_for_jars
from tools.services.ports import HOST, is_taken
from tools.services.probes import gets
from tools.services.programs import java
from tools.services.server import Server

POM: Final = Path(__file__).with_suffix(".xml")
PORTS: Final = range(9202, 9299)  # its runner takes no other


class OpenSearch(Server):
    """The store of log lines, one node, without users and TLS."""

    name = "opensearch"
    uses = ("http",)

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, {"http": next(port for port in PORTS if not is_taken(port))})

    @property
    def address(self) -> str:
        return f"http://{HOST}:{self.port}"

    @classmethod
    def missing(cls) -> list[str]:
        return missing_for_jars(POM)

    def answers(self) -> bool:
        return gets(self.port, "/_cluster/health?wait_for_status=yellow&timeout=1s")

    def _begin(self) -> None:
        where = ("-basePath", str(self.folder / "data"), "-baseHttpPort", str(self.port - 1), "-numOfNode", "1")
        self._main.spawn(
            [
                *(str(java()), *LEAN, "-Xmx512m", "-cp", f"{brought(POM)}/*"),
                *("org.codelibs.opensearch.runner.OpenSearchRunner", *where),
                *("-clusterName", f"crossdock-{self.port}", "-printOnFailure"),
            ],
            self.log,
        )
