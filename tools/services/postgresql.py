import ctypes
import os
import shutil
import signal
import struct
from pathlib import Path
from typing import ClassVar, Final

from tools.services import folders
from tools.services.failures import NotInstalled
from tools.services.ports import HOST
from tools.services.probes import says
from tools.services.programs import missing, newest, program
from tools.services.server import Server

FIRST_STATEMENTS: Final = Path(__file__).with_suffix(".sql")  # the same that compose.yaml runs
VERSION_3: Final = 196608
LOGIN: Final = b"user\0crossdock\0database\0crossdock\0\0"
IPC_RMID: Final = 0


class PostgreSQL(Server):
    """PostgreSQL with TLS, and durable as in production: benchmarks shall mean something.

    `crossdock` may make databases and is no superuser; `postgres`, with the password `postgres`, is.
    """

    name = "postgresql"
    uses = ("sql",)
    gentle = signal.SIGINT  # "fast": sessions are ended; SIGTERM would wait for them
    settings: ClassVar = {
        "listen_addresses": HOST,
        "unix_socket_directories": "",  # their paths must be short, and temporary folders are not
        "max_connections": "200",
        "fsync": "on",
        "synchronous_commit": "on",
        "dynamic_shared_memory_type": "mmap",  # in the data folder: nothing is left outside after a kill
        "timezone": "UTC",
        "ssl": "on",
        "ssl_cert_file": "server.crt",
        "ssl_key_file": "server.key",
    }

    @property
    def address(self) -> str:
        return f"postgresql://crossdock:crossdock@{HOST}:{self.port}/crossdock"

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    @classmethod
    def missing(cls) -> list[str]:
        return missing([(_programs(), "postgresql"), (program("openssl"), "openssl")])

    def answers(self) -> bool:
        # A server that still recovers takes the connection, and answers E.
        return says(self.port, struct.pack("!ii", len(LOGIN) + 8, VERSION_3) + LOGIN, b"R")

    def remove(self) -> None:
        self.kill()
        self._release_lock()
        super().remove()

    def _begin(self) -> None:
        user = "postgres" if os.geteuid() == 0 else ""  # it refuses root; Debian's package brings this user
        if not self._data.exists():
            self._make_data(user)
        self._main.spawn(
            [_found() / "postgres", "-D", self._data, "-p", str(self.port), *self._settings()], self.log, user=user
        )

    def _make_data(self, user: str) -> None:
        unfinished = self.folder / "unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(mode=0o700)
        password = folders.make(self.folder) / "password"
        password.write_text("postgres\n")
        if user:
            shutil.chown(unfinished, user, user)
        self._do(
            [
                *(_found() / "initdb", "-D", unfinished, "--username=postgres", f"--pwfile={password}"),
                *("--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"),
            ],
            user,
        )
        for file in ("server.crt", "server.key"):
            shutil.copy(self.certificates / file, unfinished)
            (unfinished / file).chmod(0o600)  # it refuses a key that others may read
            if user:
                shutil.chown(unfinished / file, user, user)
        # No server listens before the role and its database are there.
        with FIRST_STATEMENTS.open("rb") as statements:
            self._do([_found() / "postgres", "--single", "-D", unfinished, "postgres"], user, statements)
        unfinished.rename(self._data)

    def _settings(self) -> list[str]:
        return [part for name, value in self.settings.items() for part in ("-c", f"{name}={value}")]

    def _release_lock(self) -> None:
        """The one thing of a killed server that is outside its folder: the shared memory that says "in use"."""
        lock = self._data / "postmaster.pid"
        lines = lock.read_text().splitlines() if lock.exists() else []
        if identity := " ".join(lines[6:7]).split()[1:]:  # the seventh line has its key and its identity
            ctypes.CDLL(None).shmctl(int(identity[0]), IPC_RMID, None)


def _programs() -> Path | None:
    return newest("usr/lib/postgresql/*/bin")


def _found() -> Path:
    if (folder := _programs()) is None:
        raise NotInstalled(PostgreSQL.missing())
    return folder
