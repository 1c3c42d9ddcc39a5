import json

import pytest

from domain.model.events import EVENT_TYPES
from ports.message import read_event, write_event
from tests.stored_events import stored_events

STORED = stored_events()


@pytest.mark.parametrize("name", STORED)
def test_what_earlier_versions_have_stored_can_still_be_read(name: str) -> None:
    """Every field, too: written again, nothing of it is missing."""
    stored = STORED[name]

    event = read_event(stored)

    assert event is not None
    again = write_event(event)
    assert {**again.attributes, **stored.attributes} == again.attributes
    data, data_again = json.loads(stored.body), json.loads(again.body)
    assert {**data_again, **data} == data_again


def test_of_every_type_one_is_stored() -> None:
    """A new type, or a new field, gets a recording of its own; those that are there are never changed."""
    assert {stored.attributes["type"] for stored in STORED.values()} >= {event.type for event in EVENT_TYPES}
