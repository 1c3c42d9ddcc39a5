"""What all servers have in common: start, stop, kill, freeze; each bounded in time."""

import os
import signal
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, ClassVar, Self

from tools.services import folders
from tools.services.certificates import make_certificates
from tools.services.daemon import Daemon
from tools.services.failures import NotInstalled, NotStarted, PortTaken
from tools.services.ports import HOST, free_ports, holder, is_taken

START_SECONDS = 90.0
STOP_SECONDS = 20.0
STEP = 0.05


class Server(ABC):
    """A server of one kind, with its data in one folder, on ports of loopback that it keeps from start to start.

    A second object on the same folder and ports is the same server, in another process too.
    """

    name: ClassVar[str]
    uses: ClassVar[tuple[str, ...]]
    """What its ports are for; the first is where its clients go."""
    gentle: ClassVar[signal.Signals] = signal.SIGTERM
    """How it is asked to end."""
    helpers: ClassVar[tuple[str, ...]] = ()
    """Processes of its own that it needs beside it."""

    def __init__(self, folder: Path, ports: Mapping[str, int] | None = None, certificates: Path | None = None) -> None:
        self.folder = folder
        self.ports = dict(ports) if ports else dict(zip(self.uses, free_ports(len(self.uses)), strict=True))
        self.certificates = certificates or folder / "tls"
        self.log = folder / "log"
        self._main = Daemon(folder / "pid")
        self._helpers = {helper: Daemon(folder / f"{helper}.pid") for helper in self.helpers}

    @classmethod
    @contextmanager
    def private(cls) -> Iterator[Self]:
        """A running server for one test alone, of which nothing is left afterwards."""
        with folders.temporary() as place:
            server = cls(place / cls.name)
            try:
                server.start()
                yield server
            finally:
                server.remove()

    @property
    def port(self) -> int:
        return self.ports[self.uses[0]]

    @property
    @abstractmethod
    def address(self) -> str:
        """What a client is given, as in `addresses`."""

    @property
    def running(self) -> bool:
        """Whether its process lives; it may be frozen."""
        return self._main.process is not None

    @property
    def pid(self) -> int | None:
        """Of its main process, while it lives."""
        process = self._main.process
        return process.pid if process else None

    def start(self, seconds: float = START_SECONDS) -> None:
        """Return when it answers; with the data that an earlier life has left, if any.

        Raises `NotInstalled`, `PortTaken` or `NotStarted`. One that runs already is left as it is.
        """
        until = time.monotonic() + seconds
        if not self.running:
            if lacking := self.missing():
                raise NotInstalled(lacking)
            for use, port in self.ports.items():
                if is_taken(port):
                    raise PortTaken(f"{HOST}:{port} ({use}) is taken by {holder(port)}")
            folders.make(self.folder)
            try:
                make_certificates(self.certificates)
                self._begin()
            except subprocess.CalledProcessError as failed:
                raise NotStarted(f"{failed.cmd[0]} failed with {failed.returncode}", self.log) from failed
        while not self.answers():
            if not self.running:
                self.kill()
                raise NotStarted("ended at its start", self.log)
            if time.monotonic() > until:
                self.kill()
                raise NotStarted(f"did not answer within {seconds:g} s", self.log)
            time.sleep(STEP)

    def stop(self, seconds: float = STOP_SECONDS) -> None:
        """End it as its operator would, and kill what is left of it when the time is over; its data stay."""
        self._main.end(self.gentle, seconds)
        for helper in self._helpers.values():
            helper.end(signal.SIGTERM, seconds)

    def kill(self) -> None:
        """SIGKILL to all its processes; its data stay."""
        for daemon in self._daemons:
            daemon.kill()

    def freeze(self) -> None:
        """It takes connections (the system does) and answers nothing, until `thaw`."""
        for daemon in self._daemons:
            daemon.freeze()

    def thaw(self) -> None:
        for daemon in self._daemons:
            daemon.thaw()

    def remove(self) -> None:
        """Its processes and its data."""
        self.kill()
        folders.remove(self.folder)

    @classmethod
    @abstractmethod
    def missing(cls) -> list[str]:
        """The Debian packages without which it cannot be started here."""

    @abstractmethod
    def answers(self) -> bool:
        """Whether it is ready for clients."""

    @abstractmethod
    def _begin(self) -> None:
        """Make its configuration, and its data where there are none, and spawn its processes."""

    @property
    def _daemons(self) -> list[Daemon]:
        return [self._main, *self._helpers.values()]

    def _do(
        self,
        command: Sequence[str | Path],
        user: str = "",
        told: IO[bytes] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Run something that comes before the server; what it says is in the log."""
        with self.log.open("ab") as output:
            subprocess.run(
                command,
                check=True,
                timeout=START_SECONDS,
                stdin=told or subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=self.folder,
                env={**os.environ, **(environment or {})},
                user=user or None,
                group=user or None,
                extra_groups=[] if user else None,
            )
