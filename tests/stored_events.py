"""Messages as earlier versions wrote them (`tests/recordings/events`): brokers and outboxes still hold such.

Only added to, one at least for each type and each form its data ever had; one that is there never changes.
"""

import json
from pathlib import Path

from ports.message import Message

FOLDER = Path(__file__).parent / "recordings" / "events"


def stored_events() -> dict[str, Message]:
    """Each by the name of its file."""
    found = {}
    for file in sorted(FOLDER.glob("*.json")):
        stored = json.loads(file.read_text(encoding="utf-8"))
        found[file.stem] = Message(topic=stored["topic"], attributes=stored["attributes"], body=stored["body"].encode())
    return found
