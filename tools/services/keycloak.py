import argparse
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Final

from tools.services.failures import Failure
from tools.services.jars import LEAN, brought, missing_for_jars
from tools.services.ports import HOST
from tools.services.probes import gets
from tools.services.programs import java
from tools.services.server import Server

POM: Final = Path(__file__).with_suffix(".xml")
REALM: Final = Path(__file__).with_suffix(".json")  # clients, users and their passwords
ADMIN: Final = "admin"  # its name and its password
BUILD_SECONDS: Final = 180
START_SECONDS: Final = 180.0  # it makes a whole schema at its first start, beside whatever else runs

_THREADS: Final = "io.quarkus.bootstrap.forkjoin.QuarkusForkJoinWorkerThreadFactory"
_OPENED: Final = tuple(
    f"--add-opens=java.base/{package}=ALL-UNNAMED" for package in ("java.util", "java.util.concurrent", "java.security")
)


class Keycloak(Server):
    """Red Hat's identity provider, with one realm, `crossdock`; over plain HTTP, for this machine alone."""

    name = "keycloak"
    uses = ("http", "management")

    @property
    def address(self) -> str:
        return f"http://{HOST}:{self.port}"

    @property
    def issuer(self) -> str:
        """The realm, as it stands in tokens."""
        return f"{self.address}/realms/crossdock"

    @classmethod
    def missing(cls) -> list[str]:
        return missing_for_jars(POM, REALM)

    def start(self, seconds: float = START_SECONDS) -> None:
        super().start(seconds)

    def answers(self) -> bool:
        return gets(self.port, "/realms/crossdock/.well-known/openid-configuration")

    def _begin(self) -> None:
        home = _home(brought(POM, REALM, finish=_finish))
        # Not its script: that would stay as the parent, and keep what it is sent to itself.
        self._main.spawn(
            [
                *(str(java()), *LEAN, "-Xmx384m", *_OPENED, "-Dfile.encoding=UTF-8"),
                f"-Djava.util.concurrent.ForkJoinPool.common.threadFactory={_THREADS}",
                "-Djava.util.logging.manager=org.jboss.logmanager.LogManager",
                f"-Dkc.home.dir={home}",
                f"-Djboss.server.config.dir={home / 'conf'}",
                *("-cp", str(home / "lib" / "quarkus-run.jar"), "io.quarkus.bootstrap.runner.QuarkusEntryPoint"),
                *("start", "--optimized", "--import-realm", "--cache=local"),
                *("--http-enabled=true", "--hostname-strict=false", f"--http-host={HOST}", f"--http-port={self.port}"),
                f"--http-management-port={self.ports['management']}",
                f"--db-url=jdbc:h2:file:{self.folder / 'data' / 'keycloak'};NON_KEYWORDS=VALUE;DB_CLOSE_ON_EXIT=FALSE",
            ],
            self.log,
            {"KC_BOOTSTRAP_ADMIN_USERNAME": ADMIN, "KC_BOOTSTRAP_ADMIN_PASSWORD": ADMIN},
        )


def _home(place: Path) -> Path:
    [home] = place.glob("keycloak-*")
    return home


def _finish(place: Path) -> None:
    """Build it for our options, once, and put the realm where it looks for one."""
    home = _home(place)
    done = subprocess.run(
        ["/bin/bash", home / "bin" / "kc.sh", "build", "--db=dev-file", "--health-enabled=true"],
        capture_output=True,
        text=True,
        check=False,
        timeout=BUILD_SECONDS,
        env={**os.environ, "JAVA_OPTS_APPEND": "-XX:TieredStopAtLevel=1"},
    )
    if done.returncode:
        raise Failure(f"Keycloak cannot be built:\n{done.stdout}{done.stderr}")
    realms = home / "data" / "import"
    realms.mkdir(parents=True, exist_ok=True)
    shutil.copy(REALM, realms / REALM.name)


def main() -> None:
    """One to try the service with, until it is interrupted; prints the settings that make the service believe it."""
    argparse.ArgumentParser(
        prog="python -m tools.services.keycloak",
        description="Keycloak on 127.0.0.1 with the realm of tools/services/keycloak.json, until it is interrupted.",
    ).parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that nothing of it is left
    with Keycloak.private() as server:
        settings = {
            "CROSSDOCK_IDENTITY": "oidc",
            "OIDC_ISSUER": server.issuer,
            "OIDC_AUDIENCE": "crossdock-api",
            "CROSSDOCK_OIDC_DOCS_CLIENT_ID": "crossdock-docs",
        }
        print(*(f"{name}={value}" for name, value in settings.items()), sep="\n", flush=True)
        signal.pause()


if __name__ == "__main__":
    try:
        main()
    except Failure as failure:
        sys.exit(str(failure))
    except KeyboardInterrupt:
        pass
