import json
from pathlib import Path
from typing import Any

from entrypoints.container import build
from entrypoints.settings import Settings
from entrypoints.web.app import create_app
from tests.foreign import NODE_FOLDER, attempt, node_packages
from tools.node import NODE


def lint(file: Path) -> Any:
    linter = node_packages() / "@redocly" / "cli" / "bin" / "cli.js"
    config = NODE_FOLDER / "redocly.yaml"
    done = attempt(NODE, linter, "lint", "--config", config, "--format", "json", file, cwd=file.parent)
    return json.loads(done.stdout)["problems"]


def test_a_linter_finds_nothing_in_the_openapi_document(openapi_file: Path) -> None:
    """Exceptions, each with its reason, are in tests/node/redocly.yaml."""
    found = lint(openapi_file)

    assert [(each["ruleId"], each["message"], each["location"][0]["pointer"]) for each in found] == []


def test_nor_in_the_one_that_asks_for_tokens(tmp_path: Path) -> None:
    chosen = {"CROSSDOCK_IDENTITY": "oidc", "OIDC_ISSUER": "https://issuer.example.com", "OIDC_AUDIENCE": "an-api"}
    document = create_app(build(Settings.load(chosen, None)), operator_token=None).openapi()
    file = tmp_path / "openapi.json"
    file.write_text(json.dumps(document))

    assert lint(file) == []
    place = document["paths"]["/orders/"]["post"]
    ((scheme, scopes),) = place["security"][0].items()
    assert scopes == ["orders:write"]
    assert scheme in document["components"]["securitySchemes"]
    assert {"401", "403"} <= set(place["responses"])
    assert list(place["responses"]["503"]["content"]["application/problem+json"]["examples"]) == [
        "identity-unavailable",
        "overloaded",
        "storage-unavailable",
    ]


def test_the_linter_sees_what_is_wrong(openapi_document: Any, tmp_path: Path) -> None:
    file = tmp_path / "wrong.json"
    file.write_text(json.dumps(openapi_document).replace('"operationId": "getUser"', '"operationId": "getOrder"'))

    assert "operation-operationId-unique" in {each["ruleId"] for each in lint(file)}
