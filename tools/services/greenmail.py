from tools.services.jars import LEAN, jars, missing_for_jars
from tools.services.ports import HOST
from tools.services.probes import gets, says
from tools.services.programs import java
from tools.services.server import Server


class GreenMail(Server):
    """Takes every mail for everybody, and shows it by IMAP and HTTP; in memory, so gone with its process.

    Any login will do. TLS is with a certificate of its own, which nobody vouches for.
    """

    name = "greenmail"
    uses = ("smtp", "smtps", "imap", "api")

    @property
    def address(self) -> str:
        return f"smtp://{HOST}:{self.port}"

    @property
    def mailbox(self) -> str:
        return f"http://{HOST}:{self.ports['api']}"

    @classmethod
    def missing(cls) -> list[str]:
        return missing_for_jars()

    def answers(self) -> bool:
        return gets(self.ports["api"], "/api/service/readiness") and says(self.port, b"", b"220 ")

    def _begin(self) -> None:
        where = [
            f"-Dgreenmail.{use}.{what}"
            for use, port in self.ports.items()
            for what in (f"port={port}", f"hostname={HOST}")
        ]
        [jar] = jars(self.name).glob("*.jar")
        self._main.spawn(
            [str(java()), *LEAN, "-Xmx128m", *where, "-Dgreenmail.auth.disabled", "-jar", str(jar)], self.log
        )
