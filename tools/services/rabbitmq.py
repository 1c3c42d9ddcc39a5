from pathlib import Path
from typing import Final

from tools.services.ports import HOST
from tools.services.probes import gets, says
from tools.services.programs import missing, newest, program
from tools.services.server import Server

PROTOCOL: Final = b"AMQP\x00\x00\x09\x01"
CONNECTION_START: Final = b"\x01\x00\x00"  # a method frame on channel 0
QUIET: Final = "+sbwt none +sbwtdcpu none +sbwtdio none"  # schedulers that wait do not burn a core
CONTROL: Final = "usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin/rabbitmqctl"
SETTLE: Final = "mnesia:dump_log(), [dets:sync(Table) || Table <- dets:all()]."
MAPPER: Final = "epmd"


class RabbitMQ(Server):
    """RabbitMQ with its management, and with a port mapper and a node name of its own, so that several fit."""

    name = "rabbitmq"
    uses = ("amqp", "amqps", "management", "epmd", "nodes")
    helpers = (MAPPER,)

    @property
    def address(self) -> str:
        return f"amqp://guest:guest@{HOST}:{self.port}/"

    @property
    def secure_address(self) -> str:
        return f"amqps://guest:guest@{HOST}:{self.ports['amqps']}/"

    @property
    def management(self) -> str:
        return f"http://guest:guest@{HOST}:{self.ports['management']}/"

    @classmethod
    def missing(cls) -> list[str]:
        return missing(
            [
                (_script(), "rabbitmq-server"),
                (program(MAPPER), "erlang-base"),
                (program("openssl"), "openssl"),
            ]
        )

    def answers(self) -> bool:
        # The listeners are opened last, so this comes first: it is refused at once until then.
        return says(self.port, PROTOCOL, CONNECTION_START) and gets(
            self.ports["management"], "/api/health/checks/virtual-hosts", "guest:guest"
        )

    def settle(self) -> None:
        """Write down what was declared. It does so by itself, but seconds later: a kill before that loses queues."""
        control = [newest(CONTROL), "--node", self._node, "eval", SETTLE]
        self._do([part for part in control if part], environment=self._environment())

    def _begin(self) -> None:
        self.folder.joinpath("rabbitmq.conf").write_text(self._configuration())
        self.folder.joinpath("plugins").write_text("[rabbitmq_management].\n")
        environment = self._environment()
        self._helpers[MAPPER].spawn(
            [str(program(MAPPER)), "-port", str(self.ports["epmd"]), "-address", HOST], self.log, environment
        )
        self._main.spawn([str(_script())], self.log, environment)

    @property
    def _node(self) -> str:
        return f"crossdock-{self.port}@localhost"

    def _configuration(self) -> str:
        return "\n".join(
            [
                f"listeners.tcp.1 = {self._at('amqp')}",
                f"listeners.ssl.1 = {self._at('amqps')}",
                f"management.tcp.ip = {HOST}",
                f"management.tcp.port = {self.ports['management']}",
                f"ssl_options.cacertfile = {self.certificates / 'ca.pem'}",
                f"ssl_options.certfile = {self.certificates / 'server.crt'}",
                f"ssl_options.keyfile = {self.certificates / 'server.key'}",
                "ssl_options.verify = verify_none",
                "vm_memory_high_watermark.absolute = 1GB",  # not a share of a machine that is full of other servers
                "disk_free_limit.absolute = 100MB",
                "log.console = true",
                "log.file = false",
                "",
            ]
        )

    def _environment(self) -> dict[str, str]:
        """Every place that the start script knows, so that nothing of an installed server's is touched."""
        data = self.folder / "data"
        return {
            "HOME": str(self.folder),  # the cookie is made there
            "ERL_EPMD_PORT": str(self.ports["epmd"]),
            "ERL_EPMD_ADDRESS": HOST,
            "RABBITMQ_NODENAME": self._node,
            "RABBITMQ_DIST_PORT": str(self.ports["nodes"]),
            "RABBITMQ_CONF_ENV_FILE": str(self.folder / "none.conf"),
            "RABBITMQ_CONFIG_FILE": str(self.folder / "rabbitmq.conf"),
            "RABBITMQ_CONFIG_FILES": str(self.folder / "conf.d"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(self.folder / "none.config"),
            "RABBITMQ_GENERATED_CONFIG_DIR": str(data / "config"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "plugins"),
            "RABBITMQ_PLUGINS_EXPAND_DIR": str(data / "plugins"),
            "RABBITMQ_MNESIA_BASE": str(data),
            "RABBITMQ_LOG_BASE": str(data),
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_PID_FILE": str(self.folder / "rabbitmq.pid"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": f"-kernel inet_dist_use_interface {{127,0,0,1}} {QUIET}",
        }

    def _at(self, use: str) -> str:
        return f"{HOST}:{self.ports[use]}"


def _script() -> Path | None:
    """The server's own script: Debian's wrapper around it would change the user and the folders."""
    return newest("usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin/rabbitmq-server")
