"""A verdict is worth something only if it sees each kind of fault: here is one of each."""

import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from prove.books.database import Kept, Order
from prove.books.mails import Mail
from prove.books.published import Published
from prove.promises import Promises, Repeated, Request
from prove.verdict import CONFIRMED, CREATED, REGISTERED, STEP, Evidence, counts, faults


def an_event(id: str, type_: str, subject: str, sequence: int) -> Published:
    topic, name = ("user_events", "user_id") if type_ == REGISTERED else ("order_events", "order_id")
    attributes = {"id": id, "source": "crossdock", "type": type_, "subject": subject, "sequence": str(sequence)}
    return Published(topic, attributes, json.dumps({name: subject}).encode())


def all_well() -> Evidence:
    """One user, one order, and a subject of three steps."""
    promises = Promises(
        users={"ada": "ada@example.com"},
        orders={"o1": "sku1"},
        asked_emails={"ada@example.com": Request("/register-user/", {})},
        asked_skus={"sku1": Request("/orders/", {})},
        repeated={"sku1": Repeated("o1", [("o1", True), ("o1", True)])},
    )
    return Evidence(
        promises,
        Kept({"ada": "ada@example.com"}, {"o1": Order("ada", "confirmed", 2, "sku1")}, handled=["e2"], desk=[]),
        [
            [
                an_event("e1", REGISTERED, "ada", 1),
                an_event("e2", CREATED, "o1", 1),
                an_event("e2", CREATED, "o1", 1),  # twice, which is allowed
                an_event("e3", CONFIRMED, "o1", 2),
                *(an_event(f"s{number}", STEP, "step-1", number) for number in (1, 2, 3)),
            ]
        ],
        [
            Mail("m1", "ada@example.com", "Welcome"),
            Mail("m2", "ada@example.com", "Your order o1 is confirmed"),
            Mail("m2", "ada@example.com", "Your order o1 is confirmed"),  # again, with the same id
        ],
        {"step-1": 3},
    )


def test_what_is_kept_is_no_fault() -> None:
    seen = counts(all_well())

    assert faults(all_well()) == []
    assert (seen.promised, seen.kept, seen.duplicates, seen.mails, seen.mails_again) == (2, 2, 1, 2, 1)


@pytest.mark.parametrize(
    ("before", "answers"), [("o1", [True, True]), (None, [False, True]), (None, [True, True])], ids=str
)
def test_a_key_that_finds_out_what_became_of_its_request_is_no_fault(before: str | None, answers: list[bool]) -> None:
    """Also one whose request came to its end between the look into the database and the repetition."""
    evidence = sent_again(before, *(("o1", replayed) for replayed in answers))(all_well())

    assert faults(evidence) == []
    assert counts(evidence).unknown == 1


def on_the_broker(change: Callable[[list[Published]], list[Published]]) -> Callable[[Evidence], Evidence]:
    return lambda evidence: replace(evidence, brokers=[change(list(evidence.brokers[0]))])


def in_the_database(**changes: object) -> Callable[[Evidence], Evidence]:
    return lambda evidence: replace(evidence, kept=replace(evidence.kept, **changes))  # type: ignore[arg-type]


def sent_again(before: str | None, *answers: tuple[str, bool]) -> Callable[[Evidence], Evidence]:
    """The order was not answered the first time."""
    return lambda evidence: replace(
        evidence, promises=replace(evidence.promises, orders={}, repeated={"sku1": Repeated(before, list(answers))})
    )


def in_the_mailbox(*mails: Mail) -> Callable[[Evidence], Evidence]:
    return lambda evidence: replace(evidence, mails=mails)


WELCOME, CONFIRMATION = (
    Mail("m1", "ada@example.com", "Welcome"),
    Mail("m2", "ada@example.com", "Your order o1 is confirmed"),
)

FAULTS = {
    "a lost order": ("I1", in_the_database(orders={})),
    "a lost user": ("I1", in_the_database(users={})),
    "an order of something else": ("I1", in_the_database(orders={"o1": Order("ada", "confirmed", 2, "sku2")})),
    "an order that was carried out twice": (
        "I7",
        in_the_database(orders={name: Order("ada", "confirmed", 2, "sku1") for name in ("o1", "o2")}),
    ),
    "an order of which nobody knows": ("I7", sent_again(None)),
    "a request that has no answer for long": ("I7", sent_again(None, ("o1", False))),
    "two ids for one key": ("I7", sent_again(None, ("o1", False), ("o2", True))),
    "a key that was answered anew": ("I7", sent_again("o1", ("o1", False), ("o1", True))),
    "a key that was answered anew in the end": ("I7", sent_again(None, ("o1", False), ("o1", False))),
    "a key with another answer than before": ("I7", sent_again("o2", ("o1", True), ("o1", True))),
    "a key of an order that is not kept": ("I7", sent_again(None, ("o7", False), ("o7", True))),
    "an event that never left": ("I3", on_the_broker(lambda events: [one for one in events if one.id != "e3"])),
    "an order told by two events": ("I2", on_the_broker(lambda events: [*events, an_event("e9", CREATED, "o1", 1)])),
    "an order that was not confirmed": ("I4", in_the_database(orders={"o1": Order("ada", "placed", 1, "sku1")})),
    "an order that was confirmed twice": ("I4", in_the_database(orders={"o1": Order("ada", "confirmed", 3, "sku1")})),
    "an event that was not handled": ("I4", in_the_database(handled=[])),
    "an event that was handled twice": ("I4", in_the_database(handled=["e2", "e2"])),
    "disorder": ("I5", on_the_broker(lambda events: [*events[:4], *reversed(events[4:])])),
    "a step that is missing": ("I3", on_the_broker(lambda events: events[:-1])),
    "a gap": ("I5", on_the_broker(lambda events: [one for one in events if one.id != "s2"])),
    "a ghost": ("I6", on_the_broker(lambda events: [*events, an_event("e9", CREATED, "o9", 1)])),
    "a mail that is missing": ("I4", in_the_mailbox(WELCOME)),
    "two different mails of one thing": ("I4", in_the_mailbox(WELCOME, CONFIRMATION, replace(CONFIRMATION, id="m3"))),
    "a mail to somebody else": ("I6", in_the_mailbox(WELCOME, CONFIRMATION, replace(WELCOME, id="m3", to="b@c.de"))),
    "a letter on the desk": ("I4", in_the_database(desk=["received crossdock.order.created.v1 o1: no"])),
}


@pytest.mark.parametrize(("invariant", "spoil"), FAULTS.values(), ids=FAULTS.keys())
def test_each_fault_is_seen(invariant: str, spoil: Callable[[Evidence], Evidence]) -> None:
    found = faults(spoil(all_well()))

    assert any(fault.startswith(invariant) for fault in found), found
