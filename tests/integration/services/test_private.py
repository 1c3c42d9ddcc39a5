"""A server of a test's own, of each kind: killed, frozen, started again, and gone."""

import os
import socket
from pathlib import Path

import pytest

from tests.integration.services.clients import client_of
from tests.services import private
from tools.services import folders
from tools.services.failures import NotStarted, PortTaken
from tools.services.memcached import Memcached
from tools.services.ports import HOST, is_taken
from tools.services.processes import Process
from tools.services.redis import Redis
from tools.services.server import Server
from tools.services.standing import KINDS


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
async def test_a_server_is_killed_starts_again_freezes_and_leaves_nothing(kind: type[Server]) -> None:
    """In one go, because each start takes seconds; what a kill must not lose is still there."""
    with private(kind) as server:
        client = client_of(server)
        await client.leave()
        assert await client.finds()
        family = _family(server)

        server.kill()

        assert not server.running
        assert not any(process.alive for process in family)
        assert not any(map(is_taken, server.ports.values()))

        server.start()

        if client.keeps:
            assert await client.finds()

        server.freeze()

        assert server.running
        assert {process.state for process in _family(server)} == {"T"}
        assert not server.answers()

        server.thaw()

        assert server.answers()
        family = _family(server)

    assert not any(process.alive for process in family)
    assert not any(map(is_taken, server.ports.values()))
    assert not server.folder.parent.exists()


async def test_a_server_that_is_stopped_keeps_its_data() -> None:
    with private(Redis) as server:
        client = client_of(server)
        await client.leave()

        server.stop()
        assert not server.running
        server.start()

        assert await client.finds()


def test_a_frozen_server_can_be_stopped() -> None:
    with private(Memcached) as server:
        server.freeze()

        server.stop()

        assert not server.running


def test_a_second_start_changes_nothing() -> None:
    with private(Memcached) as server:
        first = server.pid

        server.start()

        assert server.pid == first


def test_another_object_on_the_same_folder_is_the_same_server() -> None:
    with private(Memcached) as server:
        same = Memcached(server.folder, server.ports)
        assert same.pid == server.pid

        same.kill()

        assert not server.running


def test_a_port_that_somebody_has_is_refused_with_who_it_is() -> None:
    with private(Redis) as server:
        server.stop()

        with (
            socket.create_server((HOST, server.port)),
            pytest.raises(PortTaken, match=rf"^{HOST}:{server.port} \(redis\) is taken by process {os.getpid()} "),
        ):
            server.start()


def test_a_server_that_ends_at_its_start_shows_its_log() -> None:
    with private(Redis) as server:
        server.stop()
        spoiled = server.folder / "appendonlydir" / "appendonly.aof.manifest"
        spoiled.write_text("this is no manifest\n")

        with pytest.raises(NotStarted, match=r"ended at its start; its log is (?s:.*)manifest"):
            server.start()

        assert not server.running


def test_a_process_that_got_the_pid_of_a_server_is_left_alone() -> None:
    with private(Memcached) as server:
        server.stop()
        mine = Process.of(os.getpid())
        (server.folder / "pid").write_text(f"{mine.pid} {mine.started}x\n")

        assert not server.running
        server.kill()  # or this test would not go on

        assert mine.alive


def test_a_private_folder_may_be_entered_by_the_user_that_postgresql_runs_as() -> None:
    with folders.temporary() as folder:
        closed = [place for place in (folder, *folder.parents) if not place.stat().st_mode & 0o001]

        assert closed == []


def _family(server: Server) -> list[Process]:
    pids = [int(file.read_text().split()[0]) for file in Path(server.folder).glob("*pid") if file.stat().st_size]
    return [member for pid in pids for member in Process.of(pid).family()]
