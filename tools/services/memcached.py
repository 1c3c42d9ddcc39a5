import os

from tools.services.ports import HOST
from tools.services.probes import says
from tools.services.programs import missing, program
from tools.services.server import Server


class Memcached(Server):
    """Memcached, whose data are gone with its process, as they are meant to be."""

    name = "memcached"
    uses = ("memcached",)

    @property
    def address(self) -> str:
        return f"{HOST}:{self.port}"

    @classmethod
    def missing(cls) -> list[str]:
        return missing([(program("memcached"), "memcached")])

    def answers(self) -> bool:
        return says(self.port, b"version\r\n", b"VERSION ")

    def _begin(self) -> None:
        user = ["-u", "root"] if os.geteuid() == 0 else []  # root has to say whom it wants to be
        self._main.spawn(
            [str(program("memcached")), "-l", HOST, "-p", str(self.port), "-U", "0", "-m", "64", "-c", "1024", *user],
            self.log,
        )
