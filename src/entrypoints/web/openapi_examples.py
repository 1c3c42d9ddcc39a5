"""Examples for the OpenAPI document, which generated clients show and fuzzers begin with."""

from typing import Any

from entrypoints.web.problem_types import PROBLEM_TYPES

_USER_ID = "01937b5e-8f3a-7c21-9a4e-5d2f6b1c0e87"
_ORDER_ID = "01937b5e-9a10-7d3c-8b52-1f4e7a9c2d60"
_TASK_ID = "01937b5e-9b42-7e61-9c08-2a7d5f1e3b84"
_AT = "2026-11-23T05:13:57.123456Z"

_LINE = {"sku": "apple", "quantity": 2, "unit_price": "9.90"}
_USER = {"id": _USER_ID, "email": "ann@example.com", "name": "Ann", "registered_at": _AT}
_ORDER = {
    "id": _ORDER_ID,
    "user_id": _USER_ID,
    "status": "placed",
    "currency": "EUR",
    "lines": [_LINE],
    "total": "19.80",
    "created_at": _AT,
}
_CHECK = {"status": "ready", "detail": ""}
_HAPPENING = {"at": _AT, "what": "failed", "why": "no such mailbox"}
_DEAD_LETTER = {
    "id": _TASK_ID,
    "lane": "task",
    "name": "send_order_confirmation",
    "subject": None,
    "reason": "no such mailbox",
    "attempts": 1,
    "first_failed_at": _AT,
    "last_failed_at": _AT,
}
_COUNTS = {"ready": 0, "sent": 0, "blocked": 0, "dead": 1, "discarded": 0}

# By the name of the schema.
EXAMPLES: dict[str, Any] = {
    "CheckDocument": _CHECK,
    "DeadLetterDocument": _DEAD_LETTER,
    "DeadLetterPageDocument": {"items": [_DEAD_LETTER], "next_cursor": None},
    "HappeningDocument": _HAPPENING,
    "LifeDocument": {"status": "alive"},
    "LineDocument": _LINE,
    "NewLine": _LINE,
    "OrderDocument": _ORDER,
    "OrderPageDocument": {"items": [_ORDER], "next_cursor": "bwGTe16PeyGaTl0vaxwOhwAAAAA"},
    "OutcomeDocument": {"id": _TASK_ID, "outcome": "replayed"},
    "ReadinessDocument": {"status": "ready", "checks": {"storage": _CHECK}},
    "StatusDocument": {
        "version": "0.1.0",
        "status": "ready",
        "checks": {"storage": _CHECK},
        "deliveries": {"event": _COUNTS, "task": _COUNTS, "received": _COUNTS},
    },
    "UserDocument": _USER,
    "WeatherDocument": {
        "city": "Reykjavík",
        "country": "IS",
        "observed_at": _AT,
        "temperature_c": -1.5,
        "feels_like_c": -6.0,
        "humidity_percent": 81,
        "pressure_hpa": 1003.0,
        "wind_speed_m_s": 7.2,
        "conditions": "light snow",
        "provider": "open_meteo",
        "retrieved_at": _AT,
        "stale": False,
    },
    "WholeDeadLetterDocument": {
        **_DEAD_LETTER,
        "state": "dead",
        "topic": "",
        "group": "",
        "attributes": {},
        "body": "{}",
        "body_encoding": "utf-8",
        "recorded_at": _AT,
        "story": [_HAPPENING],
    },
}


def problem_example(code: str) -> dict[str, Any]:
    """What a problem of this kind looks like."""
    kind = PROBLEM_TYPES[code]
    example: dict[str, Any] = {
        "type": f"/problems/{code}",
        "title": kind.title,
        "status": kind.status,
        "detail": kind.cause,
        "instance": "/orders/",
        "code": code,
        "request_id": "5d0c3f7e-2b1a-4c8d-8e6f-9a7b5c3d1e2f",
    }
    if code == "invalid-request":
        example["detail"] = "1 thing is wrong with the request."
        example["errors"] = [{"pointer": "/lines/0/quantity", "detail": "This field is required."}]
    return example
