"""What a store is told of the fields of the log is what the log writes."""

import json
from pathlib import Path
from typing import Any

from entrypoints.log_fields import ALWAYS, FIELDS, OF_DATADOG

TEMPLATE = Path(__file__).parents[3] / "deploy" / "logs" / "index-template.json"
TEXTS = {"keyword", "text"}


def leaves(properties: dict[str, Any], before: str = "") -> dict[str, str]:
    """Each field with its type."""
    found: dict[str, str] = {}
    for name, told in properties.items():
        if "properties" in told:
            found |= leaves(told["properties"], f"{before}{name}.")
        else:
            found[before + name] = told["type"]
    return found


def test_each_field_of_the_log_has_its_type_in_the_template_of_the_index() -> None:
    mappings = json.loads(TEMPLATE.read_text())["template"]["mappings"]
    told = leaves(mappings["properties"])

    assert set(ALWAYS) | set(OF_DATADOG) | {name for name, _ in FIELDS.values()} <= set(told)
    assert all(told[name] in (TEXTS if kind is str else {"long"}) for name, kind in FIELDS.values())
    assert mappings["dynamic"] is False  # what is named nowhere is kept and not indexed, so that nothing conflicts
