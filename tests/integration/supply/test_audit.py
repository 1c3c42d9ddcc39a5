"""`make audit`, before a database of advisories that this test plays."""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from tests.foreign import attempt, beside

ROOT = Path(__file__).parents[3]
HASH = "0" * 64
ADVISORY = {
    "id": "GHSA-aaaa-bbbb-cccc",
    "summary": "One can be made to do what it should not.",
    "published": "2026-11-01T00:00:00Z",
    "affected": [
        {
            "package": {"name": "one", "ecosystem": "PyPI"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "1.1"}]}],
        }
    ],
}


class Advisories:
    """Answers as the API of OSV does."""

    def __init__(self) -> None:
        self.known: dict[str, Any] = {}
        self.status = 200
        self.asked: list[tuple[str, str]] = []
        database = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                question = json.loads(self.rfile.read(int(self.headers["content-length"])))
                name = question["package"]["name"]
                database.asked.append((name, question["version"]))
                found = database.known.get(name)
                body = json.dumps({} if found is None else {"vulns": [found]}).encode()
                self.send_response(database.status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *arguments: Any) -> None:
                """Says nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/v1/query"


@pytest.fixture
def advisories() -> Iterator[Advisories]:
    advisories = Advisories()
    thread = Thread(target=advisories.server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield advisories
    advisories.server.shutdown()
    thread.join(10)
    advisories.server.server_close()


@pytest.fixture
def locks(tmp_path: Path) -> list[Path]:
    """Two locks that share a package."""
    run, test = tmp_path / "run.txt", tmp_path / "test.txt"
    one, two = (f"{name} \\\n    --hash=sha256:{HASH}\n" for name in ("one==1.0", "two==2.0 ; sys_platform == 'win32'"))
    run.write_text(one)
    test.write_text(one + two)
    return [run, test]


def audit(url: str, *more: object) -> tuple[int, list[str]]:
    done = attempt(
        beside("supply", "python"), "-m", "tools.audit", "--osv-url", url, *map(str, more), cwd=ROOT, seconds=60
    )
    return done.returncode, (done.stdout + done.stderr).splitlines()


def test_every_package_is_asked_about_once_for_whichever_platform(advisories: Advisories, locks: list[Path]) -> None:
    code, said = audit(advisories.url, *locks)

    assert advisories.asked == [("one", "1.0"), ("two", "2.0")]
    assert (code, said) == (0, ["audit: 2 packages, none of which is known to be vulnerable"])


def test_one_that_is_known_to_be_vulnerable_is_told_with_the_cure(advisories: Advisories, locks: list[Path]) -> None:
    advisories.known["one"] = ADVISORY

    code, said = audit(advisories.url, *locks)
    looked_at, _ = audit(advisories.url, "--ignore-vuln", ADVISORY["id"], locks[0])

    assert (code, said) == (1, ["audit: run.txt: one 1.0: GHSA-aaaa-bbbb-cccc, fixed in 1.1"])
    assert looked_at == 0


@pytest.mark.parametrize("status", [500, 404])
def test_a_database_that_does_not_answer_well_is_no_good_news(
    advisories: Advisories, locks: list[Path], status: int
) -> None:
    advisories.status = status

    code, said = audit(advisories.url, *locks)

    assert code == 2
    assert said[0].startswith("audit: run.txt: the advisory database could not be asked, nothing is known: ")


def test_a_database_that_cannot_be_reached_is_no_good_news(locks: list[Path]) -> None:
    code, said = audit("http://127.0.0.1:1/v1/query", *locks)

    assert code == 2
    assert said[0].startswith("audit: run.txt: the advisory database could not be asked, nothing is known: ")
    assert len(said) == 1
    assert "cannot be reached from here" in said[0]
    assert "Error" not in said[0]
