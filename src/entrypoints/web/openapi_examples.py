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
_CHECK = {"status": "ready", "cause": "", "detail": "", "cure": "", "since": ""}
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
_FLOW = {"recorded_rate": 12.5, "handled_rate": 4.1, "done_rate": 12.5, "backlog": 0, "waits": {"task": {"ready": 0.2}}}
_PORT = {
    "port": "event_broker",
    "adapter": "kafka",
    "choices": ["memory", "kafka", "rabbitmq"],
    "check": "event_broker",
}
_SETTING = {"value": "kafka", "origin": "environment", "default": "memory", "port": "event_broker", "used": True}
_OUTSIDE = {"breaker": "closed", "quota_left": 58}
_STEP = {
    "what": "perform",
    "name": "send_order_confirmation",
    "progress": "dead",
    "at": _AT,
    "detail": "no such mailbox",
    "id": _TASK_ID,
}
_COUNTS = {"ready": 0, "sent": 0, "blocked": 0, "dead": 1, "discarded": 0}

# By the name of the schema.
EXAMPLES: dict[str, Any] = {
    "CheckDocument": _CHECK,
    "DeadLetterDocument": _DEAD_LETTER,
    "Chosen": {"ids": [_TASK_ID]},
    "DeadLetterPageDocument": {"items": [_DEAD_LETTER], "total": 1, "next_cursor": None},
    "FlowDocument": _FLOW,
    "HappeningDocument": _HAPPENING,
    "LifeDocument": {"status": "alive"},
    "LineDocument": _LINE,
    "NewLine": _LINE,
    "OrderDocument": _ORDER,
    "OrderPageDocument": {"items": [_ORDER], "next_cursor": "bwGTe16PeyGaTl0vaxwOhwAAAAA"},
    "OutcomeDocument": {"id": _TASK_ID, "outcome": "replayed"},
    "OutcomesDocument": {"items": [{"id": _TASK_ID, "outcome": "replayed"}]},
    "OutsideDocument": _OUTSIDE,
    "PortDocument": _PORT,
    "ReadinessDocument": {"status": "ready", "checks": {"storage": _CHECK}},
    "SettingDocument": _SETTING,
    "SettingsDocument": {"settings": {"CROSSDOCK_EVENT_BROKER": _SETTING}},
    "StatusDocument": {
        "version": "0.1.0",
        "status": "ready",
        "process": "host-1:4711:9f86d081",
        "at": _AT,
        "checks": {"storage": _CHECK},
        "deliveries": {"event": _COUNTS, "task": _COUNTS, "received": _COUNTS},
        "flow": _FLOW,
        "ports": [_PORT],
        "outside": {"open_meteo": _OUTSIDE},
    },
    "StepDocument": _STEP,
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
    "WayDocument": {"subject": _ORDER_ID, "kind": "order", "steps": [_STEP], "more": False},
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
        "trace_id": None,
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
