import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from entrypoints.web.problem_types import PROBLEM_TYPES

OPERATIONS = {
    "registerUser",
    "getUser",
    "createOrder",
    "getOrder",
    "listOrders",
    "getWeather",
    "getLiveness",
    "getReadiness",
    "getMetrics",
    "listDeadLetters",
    "getDeadLetter",
    "replayDeadLetter",
    "discardDeadLetter",
    "replayDeadLetters",
    "discardDeadLetters",
    "getTimeline",
    "getSettings",
    "getStatus",
}


def _operations(document: Any) -> Iterator[Any]:
    for path in document["paths"].values():
        yield from path.values()


def _found(node: Any, document: Any) -> Any:
    while "$ref" in node:
        _, *steps = node["$ref"].split("/")
        node = document
        for step in steps:
            node = node[step]
    return node


async def test_every_operation_has_its_stable_id_a_tag_and_a_summary(client: httpx.AsyncClient) -> None:
    document = (await client.get("/openapi.json")).json()

    operations = list(_operations(document))
    assert {operation["operationId"] for operation in operations} == OPERATIONS
    assert {tag for operation in operations for tag in operation["tags"]} == {tag["name"] for tag in document["tags"]}
    assert all(operation["description"] for operation in operations)


def test_every_reference_leads_somewhere(app: FastAPI) -> None:
    document = app.openapi()

    references = set(re.findall(r"#/components/(\w+)/([\w-]+)", str(document)))
    assert ("schemas", "NewOrder") in references
    assert all(name in document["components"][kind] for kind, name in references)


def test_the_document_names_problems_where_they_happen_and_no_foreign_errors(app: FastAPI) -> None:
    document = app.openapi()

    create = document["paths"]["/orders/"]["post"]["responses"]
    assert set(create) == {"201", "400", "406", "408", "409", "413", "415", "422", "429", "500", "503", "default"}
    assert set(create["422"]["content"]) == {"application/problem+json"}
    assert "HTTPValidationError" not in document["components"]["schemas"]
    named = set(
        re.findall(r"`([a-z-]+)`", " ".join(str(operation["responses"]) for operation in _operations(document)))
    )
    assert named & set(PROBLEM_TYPES) == named


def test_every_answer_has_its_headers_and_every_problem_an_example(app: FastAPI) -> None:
    document = app.openapi()

    for operation in _operations(document):
        for status, response in operation["responses"].items():
            told = _found(response, document)
            assert {"X-Request-ID", "Cache-Control"} <= set(told["headers"]), (operation["operationId"], status)
            for media_type, content in told.get("content", {}).items():
                if media_type == "application/problem+json":
                    examples = [_found(example, document)["value"] for example in content["examples"].values()]
                    assert examples
                    assert {str(example["status"]) for example in examples} == {status} or status == "default"
                elif media_type == "application/json":
                    assert _found(content["schema"], document)["examples"], operation["operationId"]
    assert "Retry-After" in document["paths"]["/orders/"]["post"]["responses"]["503"]["headers"]
    assert {"Retry-After", "RateLimit"} <= set(document["paths"]["/orders/"]["post"]["responses"]["429"]["headers"])
    assert "429" not in document["paths"]["/livez"]["get"]["responses"]
    assert "Location" in document["paths"]["/orders/"]["post"]["responses"]["201"]["headers"]
    for path in ("/orders/{id}", "/users/{id}"):
        read = document["paths"][path]["get"]
        assert all("ETag" in read["responses"][status]["headers"] for status in ("200", "304"))
        assert "If-None-Match" in {each["name"] for each in read["parameters"]}
    assert "Link" in document["paths"]["/orders/"]["get"]["responses"]["200"]["headers"]
    assert "Age" in document["paths"]["/weather/{city}"]["get"]["responses"]["200"]["headers"]


def test_what_can_be_asked_next_is_there(app: FastAPI) -> None:
    document = app.openapi()

    linked = [
        link["operationId"]
        for operation in _operations(document)
        for response in operation["responses"].values()
        for link in response.get("links", {}).values()
    ]
    assert {"getUser", "getOrder", "createOrder", "listOrders"} <= set(linked) <= OPERATIONS


async def test_the_largest_order_is_as_it_is_described(app: FastAPI, client: httpx.AsyncClient) -> None:
    """A fuzzer found its total longer than the document said."""
    schemas = app.openapi()["components"]["schemas"]
    user = (await client.post("/register-user/", json={"email": "ann@example.com"})).json()
    line = {"sku": "tea-1", "quantity": 10_000, "unit_price": "999999999999.9999"}

    body = {"user_id": user["id"], "currency": "CLF", "lines": [line] * 100}
    order = (await client.post("/orders/", json=body)).json()

    assert order["total"] == "999999999999999900.0000"
    assert re.search(schemas["OrderDocument"]["properties"]["total"]["pattern"], order["total"])
    assert re.search(schemas["LineDocument"]["properties"]["unit_price"]["pattern"], order["lines"][0]["unit_price"])


def test_no_parameter_may_be_null(app: FastAPI) -> None:
    schemas = [each["schema"] for operation in _operations(app.openapi()) for each in operation.get("parameters", ())]

    assert schemas
    assert not any("null" in str(schema) for schema in schemas)


def test_requests_are_described_with_their_limits_and_an_example(app: FastAPI) -> None:
    schemas = app.openapi()["components"]["schemas"]

    assert schemas["NewOrder"]["additionalProperties"] is False
    assert schemas["NewOrder"]["examples"]
    assert schemas["NewUser"]["examples"]
    line = schemas["NewLine"]["properties"]
    assert (line["quantity"]["minimum"], line["quantity"]["maximum"]) == (1, 10_000)
    assert line["unit_price"]["type"] == "string"


async def test_the_docs_load_everything_from_here_and_run_nothing_inline(client: httpx.AsyncClient) -> None:
    page = await client.get("/docs")

    sources = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    policy = page.headers["content-security-policy"]
    assert re.findall(r"script-src ([^;]+)", policy) == ["'self'"]
    assert re.findall(r"connect-src ([^;]+)", policy) == ["'self'"]
    assert "http" not in policy
    assert not re.search(r"<script(?! src)", page.text)
    for source in sources:
        assert source == "data:," or (await client.get(source)).status_code == 200


@pytest.mark.parametrize(
    ("name", "media_type"),
    [
        ("swagger-ui-bundle.js", "text/javascript; charset=utf-8"),
        ("swagger-ui.css", "text/css; charset=utf-8"),
        ("docs.js", "text/javascript; charset=utf-8"),
        ("pages.css", "text/css; charset=utf-8"),
    ],
)
async def test_static_files_are_served_with_their_type_and_may_be_kept_a_while(
    client: httpx.AsyncClient, name: str, media_type: str
) -> None:
    answer = await client.get(f"/static/{name}")

    assert answer.status_code == 200
    assert answer.headers["content-type"] == media_type
    assert answer.headers["cache-control"] == "max-age=3600"


@pytest.mark.parametrize("name", ["..%2Fapp.py", "%2e%2e/app.py", "%2Fetc%2Fpasswd", "pages.css%00", ""])
async def test_no_other_file_is_served(client: httpx.AsyncClient, name: str) -> None:
    assert (await client.get(f"/static/{name}")).status_code == 404


def test_importing_the_application_imports_no_adapter_and_no_driver() -> None:
    source = "import sys, entrypoints.web.app; print(*sys.modules, sep='\\n')"

    modules = subprocess.run(
        [sys.executable, "-c", source],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[3] / "src",
    ).stdout.split()

    unwanted = {"adapters", "aiokafka", "pika", "celery", "asyncpg", "redis", "sqlalchemy", "aiosqlite", "sqlite3"}
    unwanted |= {"prometheus_client", "httpx", "dependency_injector"}
    assert {name.partition(".")[0] for name in modules} & unwanted == set()
