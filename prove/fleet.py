"""The roles as processes, and who starts again what has died, as a supervisor would."""

import asyncio
import subprocess
import time
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from prove.process import START_SECONDS, DidNotStart, Process

LOOK_SECONDS = 0.1
AGAIN_SECONDS = 0.5
GRACE_SECONDS = 10.0
MACHINE_SECONDS = 5.0  # by which a machine that is busy with everything else may be late


@dataclass(slots=True)
class Member:
    """One place in the fleet, and the process that fills it now."""

    process: Process
    wanted: bool = False
    doomed: bool = False  # its death is our doing
    lives: int = 0


@dataclass(slots=True)
class Fleet:
    """Every role, two of most."""

    folder: Path
    settings: dict[str, str]
    commands: dict[str, str]
    wrong: list[str] = field(default_factory=list)  # deaths and endings that no fault excuses
    excused: bool = False  # whether a process may fail to start: what it needs is away
    members: dict[str, Member] = field(default_factory=dict)
    _keeping: "asyncio.Task[None] | None" = None

    def of(self, role: str) -> list[str]:
        """The names of those that play a role."""
        return [name for name in self.commands if name.partition("-")[0] == role]

    async def start(self, names: Collection[str] | None = None, *, ready: bool = True, **settings: str) -> None:
        """Begin lives, all at once; returns when they work, unless told not to wait."""
        chosen = list(self.commands if names is None else names)
        for name in chosen:
            member = self.members.get(name)
            if member is None:
                process = Process(self.folder, *self.commands[name].split(), name=name, settings=self.settings)
                member = self.members[name] = Member(process)
            self._spawn(member, **settings)
        if self._keeping is None:
            self._keeping = asyncio.create_task(self._keep())
        if ready:
            await asyncio.gather(*(self.until_ready(name) for name in chosen))

    async def until_ready(self, name: str) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not self.members[name].process.is_ready():
            if time.monotonic() > deadline:
                raise DidNotStart(f"{name} did not come up:\n{self.members[name].process.tail()}")
            await asyncio.sleep(LOOK_SECONDS)

    async def kill(self, name: str) -> None:
        """kill -9; returns when it has been started again, not yet when it works."""
        member = self.members[name]
        member.doomed = True
        lives = member.lives
        await asyncio.to_thread(member.process.kill)
        while member.lives == lives:  # noqa: ASYNC110 - it is a process that is waited for
            await asyncio.sleep(LOOK_SECONDS)

    async def retire(self, names: Collection[str]) -> None:
        """kill -9 of all that remains of these; they stay away until they are started."""
        for name in names:
            self.members[name].wanted = False
            await asyncio.to_thread(self.members[name].process.close)

    async def end(self, names: Collection[str], *, again: bool = False) -> None:
        """SIGTERM to all of these at once; each has to end well within its grace. ``again``: they are started anew."""
        for name in names:
            self.members[name].wanted = False
            self.members[name].process.tell_to_end()
        await asyncio.gather(*(self._ended(name) for name in names))
        if again:
            await self.start(names)

    async def arm(self, names: Collection[str], fault: str) -> None:
        """Another life for these, which ends at a step."""
        for name in names:
            member = self.members[name]
            member.wanted = False
            await asyncio.to_thread(member.process.close)
            self._spawn(member, CROSSDOCK_FAULT=fault)
            member.doomed = True

    def close(self) -> None:
        if self._keeping is not None:
            self._keeping.cancel()
        for member in self.members.values():
            member.wanted = False
            member.process.close()

    def _spawn(self, member: Member, **settings: str) -> None:
        member.process.spawn(**settings)
        member.wanted, member.doomed = True, False
        member.lives += 1

    async def _ended(self, name: str) -> None:
        process, bound = self.members[name].process, GRACE_SECONDS + MACHINE_SECONDS
        try:
            code = await asyncio.to_thread(process.process.wait, bound)
        except subprocess.TimeoutExpired:
            states = {member.pid: member.state for member in process.family()}
            self.wrong.append(f"{name} {states} did not end within {bound:g} s of SIGTERM:\n{process.tail()}")
            code = 0
        if code and process.is_ready():
            self.wrong.append(f"{name} ended with {code} when told to:\n{process.tail()}")
        await asyncio.to_thread(process.close)

    async def _keep(self) -> None:
        while True:
            for name, member in list(self.members.items()):
                if member.wanted and not member.process.is_alive:
                    await self._replace(name, member)
            await asyncio.sleep(LOOK_SECONDS)

    async def _replace(self, name: str, member: Member) -> None:
        code, worked = member.process.process.returncode, member.process.is_ready()
        if not member.doomed and (worked or not self.excused):
            self.wrong.append(f"{name} ended by itself with {code}:\n{member.process.tail()}")
        await asyncio.to_thread(member.process.close)  # children that it has left behind
        await asyncio.sleep(AGAIN_SECONDS)
        if member.wanted and not member.process.is_alive:
            self._spawn(member)
