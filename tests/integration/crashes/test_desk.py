"""Death in the middle of a replay: it happened or it did not, and the letter is never lost."""

import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

from adapters.clock import SystemClock
from adapters.persistence.sql.migrations.upgrade import upgrade_sqlite
from adapters.persistence.sql.sqlite import SqlitePersistence
from ports.crash_points import CrashPoint
from ports.persistence import AddUser, Record
from tests.builders import a_task, a_user
from tests.integration.crashes.ledger import drain, pending
from tests.integration.crashes.service import Service


def desk(folder: Path, *arguments: str, fault: str = "") -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "entrypoints.cli", "dead-letters", *arguments],
        cwd=folder,
        env={
            "PYTHONPATH": str(Path("src").absolute()),
            "DATABASE_URL": "sqlite:///crossdock.db",
            "CROSSDOCK_FAULT": fault,
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


async def test_death_in_the_middle_of_a_replay_leaves_the_letter_at_the_desk(tmp_path: Path) -> None:
    path = tmp_path / "crossdock.db"
    upgrade_sqlite(path)
    clock = SystemClock()
    persistence = SqlitePersistence(path, clock)
    await persistence.start()
    user = a_user()
    task = a_task(name="send_welcome_email", body=b'{"user_id":"%s"}' % str(user.id).encode(), due_at=clock.now()).died(
        "no such template", clock.now() - timedelta(seconds=1), attempts=8
    )
    await persistence.commit([AddUser(user), Record(task)])
    await persistence.stop()

    killed = desk(tmp_path, "replay", task.id, fault=f"{CrashPoint.DESK_MID_REPLAY}:kill")

    assert killed.returncode == -signal.SIGKILL
    assert pending(path) == {"task dead": 1}
    assert "no such template" in desk(tmp_path, "list", "--json").stdout
    assert desk(tmp_path, "replay", task.id).returncode == 0
    with Service(tmp_path) as service:
        drain(service, path)
        assert [subject for _, subject in service.mails] == ["Welcome"]
