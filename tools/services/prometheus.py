import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tools.services.ports import HOST
from tools.services.probes import gets
from tools.services.programs import missing, program
from tools.services.server import Server

_CONFIG: Final = """\
global: {pace}
rule_files: [rules.yml]
scrape_configs:
  - job_name: crossdock
    static_configs:
{targets}
"""
EACH_SECOND: Final = "{scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}"
_TARGET: Final = "      - {{targets: ['{place}'], labels: {{role: {role}}}}}"


class Prometheus(Server):
    """Prometheus, which looks at what it was told to watch."""

    name = "prometheus"
    uses = ("http",)

    @property
    def address(self) -> str:
        return f"http://{HOST}:{self.port}"

    def watch(self, targets: Mapping[str, str], rules: Path, *, pace: str = EACH_SECOND) -> None:
        """Scrape these, each a place by its role, and follow these rules; to be said before it is started.

        ``pace`` is the value of ``global``: how often.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(rules, self.folder / "rules.yml")
        told = "\n".join(_TARGET.format(role=role, place=place) for role, place in targets.items())
        (self.folder / "prometheus.yml").write_text(_CONFIG.format(targets=told, pace=pace), encoding="utf-8")

    @classmethod
    def missing(cls) -> list[str]:
        return missing([(program("prometheus"), "prometheus"), (program("promtool"), "prometheus")])

    def answers(self) -> bool:
        return gets(self.port, "/-/ready")

    def _begin(self) -> None:
        self._main.spawn(
            [
                str(program("prometheus")),
                f"--config.file={self.folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={self.folder / 'data'}",
                f"--web.listen-address={HOST}:{self.port}",
            ],
            self.log,
        )
