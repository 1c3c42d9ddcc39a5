from tools.services.ports import HOST
from tools.services.probes import says
from tools.services.programs import missing, program
from tools.services.server import Server


class Redis(Server):
    """Redis that writes down what it was told before it answers, so that a kill loses nothing."""

    name = "redis"
    uses = ("redis",)

    @property
    def address(self) -> str:
        return f"redis://{HOST}:{self.port}/0"

    @classmethod
    def missing(cls) -> list[str]:
        return missing([(program("redis-server"), "redis-server"), (program("openssl"), "openssl")])

    def answers(self) -> bool:
        return says(self.port, b"PING\r\n", b"+PONG")  # while it still loads its data it answers -LOADING

    def _begin(self) -> None:
        options = {
            "bind": HOST,
            "port": str(self.port),
            "dir": str(self.folder),
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": "",
            "daemonize": "no",
        }
        arguments = [part for name, value in options.items() for part in (f"--{name}", value)]
        self._main.spawn([str(program("redis-server")), *arguments], self.log)
