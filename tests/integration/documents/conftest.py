"""The documents as this code writes them, and a running service that they describe."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from entrypoints.container import build
from entrypoints.settings import Settings
from entrypoints.web.app import create_app
from prove.process import Process

OPERATOR_TOKEN = "operator-token-of-a-test"  # nobody else can reach the service
_SETTINGS = {
    "PORT": "0",
    "CROSSDOCK_WEATHER": "sample",
    "CROSSDOCK_LOG_FORMAT": "json",
    "CROSSDOCK_OPERATOR_TOKEN": OPERATOR_TOKEN,
}


def service_on(database: str, folder: Path, **settings: str) -> Process:
    """`crossdock up` in this folder."""
    return Process(folder, "up", settings={**_SETTINGS, "DATABASE_URL": database, **settings})


@pytest.fixture(scope="session")
def service_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A service that clients may talk to."""
    with service_on("sqlite:///crossdock.db", tmp_path_factory.mktemp("service")) as service:
        yield service.url


@pytest.fixture(scope="session")
def openapi_document() -> Any:
    return create_app(build(Settings.defaults()), operator_token=None).openapi()


@pytest.fixture
def openapi_file(openapi_document: Any, tmp_path: Path) -> Path:
    file = tmp_path / "openapi.json"
    file.write_text(json.dumps(openapi_document))
    return file
