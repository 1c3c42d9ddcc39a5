"""The AsyncAPI document over HTTP, and the same as a page for people."""

import json
from html import escape
from typing import Any

from fastapi import APIRouter, Request, Response
from starlette.responses import HTMLResponse

from entrypoints.web.fields import to_json
from entrypoints.web.pages import page

Document = dict[str, Any]

router = APIRouter(include_in_schema=False)


@router.get("/asyncapi.json")
async def asyncapi(request: Request) -> Response:
    """The document."""
    return Response(to_json(request.app.state.event_document), media_type="application/json")


@router.get("/docs/events")
async def events(request: Request) -> HTMLResponse:
    """Read what travels over the broker."""
    return page("Events", event_page(request.app.state.event_document))


def event_page(document: Document) -> str:
    """The document as HTML."""
    info = document["info"]
    words = "\n".join(f"<p>{_prose(each)}</p>" for each in info["description"].split("\n\n"))
    channels = "\n".join(_channel(channel, document) for channel in document["channels"].values())
    return (
        f"<h1>Events</h1>\n{words}\n"
        '<p>The whole, for machines: <a href="/asyncapi.json">/asyncapi.json</a> (AsyncAPI '
        f'{escape(document["asyncapi"])}). The requests: <a href="/docs">/docs</a>.</p>\n{channels}'
    )


def _prose(text: str) -> str:
    """Plain words, in which backticks mark code."""
    pieces = escape(text).split("`")
    return "".join(f"<code>{piece}</code>" if index % 2 else piece for index, piece in enumerate(pieces))


def _channel(channel: Document, document: Document) -> str:
    kafka, amqp = channel["bindings"]["kafka"], channel["bindings"]["amqp"]
    messages = "\n".join(_message(_found(each, document), document) for each in channel["messages"].values())
    return (
        f"<h2>Topic <code>{escape(channel['address'])}</code></h2>\n<p>{_prose(channel['description'])}</p>\n"
        f"<p>Kafka: topic <code>{escape(kafka['topic'])}</code>, {kafka['partitions']} partitions. "
        f"RabbitMQ: {escape(amqp['exchange']['type'])} exchange <code>{escape(amqp['exchange']['name'])}</code>.</p>\n"
        f"{messages}"
    )


def _message(message: Document, document: Document) -> str:
    kafka = message["headers"]["oneOf"][0]
    example = json.dumps(message["examples"][0]["payload"], indent=2, ensure_ascii=False)
    return (
        f'<h3 id="{escape(message["title"])}"><code>{escape(message["name"])}</code></h3>\n'
        f"<p>{_prose(message['summary'])}</p>\n{_fields(_found(message['payload'], document))}\n"
        f"<details><summary>Headers, as on Kafka</summary>\n{_fields(kafka)}\n</details>\n"
        f"<details><summary>Example</summary>\n<pre>{escape(example)}</pre>\n</details>"
    )


def _fields(schema: Document) -> str:
    rows = "\n".join(_rows(schema))
    return (
        "<table>\n<thead><tr><th>Field</th><th>Type</th><th>What it is</th></tr></thead>\n"
        f"<tbody>\n{rows}\n</tbody>\n</table>"
    )


def _rows(schema: Document, within: str = "") -> list[str]:
    rows = []
    for name, field in schema["properties"].items():
        about = _prose(field.get("description", ""))
        if name not in schema["required"]:
            about = f'<span class="quiet">may be missing</span> {about}'
        rows.append(f"<tr><td><code>{escape(within + name)}</code></td><td>{_type(field)}</td><td>{about}</td></tr>")
        if "items" in field:
            rows += _rows(field["items"], f"{within}{name}[].")
    return rows


def _type(field: Document) -> str:
    kinds = field["type"] if isinstance(field["type"], list) else [field["type"]]
    said = [escape(" or ".join(kinds)) + (f" ({escape(field['format'])})" if "format" in field else "")]
    if "const" in field:
        said.append(f"always <code>{escape(field['const'])}</code>")
    if "pattern" in field:
        said.append(f"<code>{escape(field['pattern'])}</code>")
    said += [_range(field.get(least), field.get(most), of) for least, most, of in _RANGES if {least, most} & set(field)]
    return ", ".join(said)


_RANGES = (("minimum", "maximum", ""), ("minLength", "maxLength", " characters"), ("minItems", "maxItems", " items"))


def _range(least: int | None, most: int | None, of: str) -> str:
    if least is None:
        return f"at most {most:,}{of}"
    return f"at least {least:,}{of}" if most is None else f"{least:,} to {most:,}{of}"


def _found(node: Document, document: Document) -> Document:
    """What a reference stands for."""
    while "$ref" in node:
        found: Any = document
        for step in node["$ref"].removeprefix("#/").split("/"):
            found = found[step]
        node = found
    return node
