"""Bugsink: a server that speaks as Sentry does, for one test alone."""

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import httpx
import pytest

from tools.services.ports import HOST
from tools.services.probes import gets
from tools.services.server import Server

BIN = Path(__file__).parents[3] / ".venv" / "observers" / "bin"

# Its tables at once, and not by all of its migrations, which take longer than everything else here.
_AT_ONCE = """
class _NoMigrations:
    def __contains__(self, name): return True
    def __getitem__(self, name): return None


MIGRATION_MODULES = _NoMigrations()
"""
_PREPARE = """
import django
from django.core.management import call_command

django.setup()
call_command("migrate", run_syncdb=True, verbosity=0)
from phonehome.models import Installation

Installation.objects.get_or_create()
call_command("create_auth_token")
"""


def need_observers() -> None:
    """Go on when the environment with other people's servers is there."""
    if not BIN.exists():
        pytest.skip("requirements/observers.txt is not installed: `make test` does it")


class Bugsink(Server):
    """Its web server and its API; what arrives can be read at once."""

    name = "bugsink"
    uses = ("http",)

    @property
    def address(self) -> str:
        return f"http://{HOST}:{self.port}"

    @classmethod
    def missing(cls) -> list[str]:
        return []

    def answers(self) -> bool:
        return gets(self.port, "/health/ready")

    def _begin(self) -> None:
        made = ("--template", "local", "--host", HOST, "--port", str(self.port), "-o", "bugsink_conf.py")
        self._do([BIN / "bugsink-create-conf", *made])
        conf = self.folder / "bugsink_conf.py"
        text = re.sub(r"^BUGSINK = \{", 'BUGSINK = {\n    "PHONEHOME": False,', conf.read_text(), flags=re.MULTILINE)
        databases = "".join(
            f'DATABASES["{name}"]["NAME"] = "{self.folder}/{name}.sqlite3"\n' for name in ("default", "snappea")
        )
        conf.write_text(f"{text}\n{databases}DEBUG = False\n{_AT_ONCE}")
        with (self.folder / "token").open("w") as token:
            subprocess.run(
                [BIN / "python", "-c", _PREPARE],
                cwd=self.folder,
                env=os.environ | self._environment,
                stdout=token,
                check=True,
                timeout=120,
            )
        self._main.spawn(
            [BIN / "gunicorn", "bugsink.wsgi", "--bind", f"{HOST}:{self.port}", "--workers", "1"],
            self.log,
            self._environment,
        )

    @property
    def _environment(self) -> dict[str, str]:
        return {"PYTHONPATH": str(self.folder), "DJANGO_SETTINGS_MODULE": "bugsink_conf"}

    def client(self) -> httpx.Client:
        """Of its API, as its administrator."""
        token = (self.folder / "token").read_text().split()[-1]
        return httpx.Client(
            base_url=f"{self.address}/api/canonical/0", headers={"Authorization": f"Bearer {token}"}, timeout=20
        )


def new_project(api: httpx.Client) -> tuple[str, str]:
    """A project: its id, and the address that errors of it are reported to."""
    team = _made(api.post("/teams/", json={"name": "crossdock"}))["id"]
    project = str(_made(api.post("/projects/", json={"team": team, "name": "crossdock"}))["id"])
    return project, str(_made(api.get(f"/projects/{project}/"))["dsn"])


def events_of(api: httpx.Client, project: str) -> list[dict[str, Any]]:
    """All that was reported of a project, whole."""
    issues = _made(api.get("/issues/", params={"project": project}))["results"]
    listed = [
        event["id"] for one in issues for event in _made(api.get("/events/", params={"issue": one["id"]}))["results"]
    ]
    return [_made(api.get(f"/events/{event}/")) for event in listed]


def _made(answer: httpx.Response) -> Any:
    assert answer.is_success, answer.text
    return answer.json()
