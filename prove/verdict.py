"""I1–I10: what is compared with what. Knows the promises and the books, and nothing of how the product keeps them."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field

from prove.books.database import Kept
from prove.books.mails import Mail
from prove.books.published import Published
from prove.promises import Promises

REGISTERED = "crossdock.user.registered.v1"
CREATED = "crossdock.order.created.v1"
CONFIRMED = "crossdock.order.confirmed.v1"
STEP = "prove.step.v1"
SOURCE = "crossdock"  # of the product's own events
SHOWN = 5


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that was seen from outside. ``brokers`` has one list for each broker, or life of one that was wiped."""

    promises: Promises
    kept: Kept
    brokers: Sequence[Sequence[Published]]
    mails: Sequence[Mail]
    steps: dict[str, int] = field(default_factory=dict)  # subject: how many are certain
    desk: int = 0  # how many letters were put there on purpose


@dataclass(frozen=True, slots=True)
class Counts:
    """For the table."""

    promised: int
    kept: int
    unknown: int
    events: int
    duplicates: int
    mails: int
    mails_again: int
    desk: int


def counts(evidence: Evidence) -> Counts:
    """What was seen, good or bad."""
    ours = _ours(evidence)
    return Counts(
        promised=len(evidence.promises.orders) + len(evidence.promises.users),
        kept=len(evidence.kept.orders) + len(evidence.kept.users),
        unknown=len(evidence.promises.unknown),
        events=len({event.id for event in ours}),
        duplicates=len(ours) - len({event.id for event in ours}),
        mails=len({mail.id for mail in evidence.mails}),
        mails_again=len(evidence.mails) - len({mail.id for mail in evidence.mails}),
        desk=len(evidence.kept.desk),
    )


def faults(evidence: Evidence) -> list[str]:
    """Every loss, double effect, disorder and ghost, in words."""
    return [
        *evidence.promises.wrong[:SHOWN],
        *_nothing_promised_is_lost(evidence),
        *_each_key_has_one_answer(evidence),
        *_each_has_its_events(evidence),
        *_each_effect_happened_once(evidence),
        *_subjects_are_in_order(evidence),
        *_there_are_no_ghosts(evidence),
        *_each_mail_was_sent(evidence),
        *_the_desk_is_as_expected(evidence),
    ]


def _ours(evidence: Evidence) -> list[Published]:
    return [event for broker in evidence.brokers for event in broker if event.source == SOURCE]


def _nothing_promised_is_lost(evidence: Evidence) -> Iterator[str]:
    promises, kept = evidence.promises, evidence.kept
    yield from _some("I1: orders that were answered 201 are lost", promises.orders.keys() - kept.orders.keys())
    yield from _some("I1: users that were answered 201 are lost", promises.users.keys() - kept.users.keys())
    mixed = [id_ for id_, sku in promises.orders.items() if id_ in kept.orders and kept.orders[id_].sku != sku]
    yield from _some("I1: orders are not what was ordered", mixed)
    # Whatever became of a request without an answer, it was carried out once or not at all.
    skus = Counter(order.sku for order in kept.orders.values())
    yield from _some("I7: one request made two orders", [sku for sku, number in skus.items() if number > 1])
    yield from _some("I7: nobody asked for these orders", skus.keys() - promises.asked_skus.keys())
    yield from _some("I7: nobody asked for these users", set(kept.users.values()) - promises.asked_emails.keys())


def _each_key_has_one_answer(evidence: Evidence) -> Iterator[str]:
    promises, kept = evidence.promises, evidence.kept
    marks = {id_: order.sku for id_, order in kept.orders.items()} | kept.users
    told = {mark: {id_ for id_, _ in each.answers} for mark, each in promises.repeated.items()}
    short = [mark for mark, each in promises.repeated.items() if len(each.answers) < 2]
    yield from _some("I7: nobody knows what became of these", [*(promises.unknown - told.keys()), *short])
    yield from _some("I7: one key was answered with several ids", [mark for mark, ids in told.items() if len(ids) > 1])
    lost = [f"{mark} {id_}" for mark, ids in told.items() for id_ in ids if marks.get(id_) != mark]
    yield from _some("I7: a key was answered with what is not kept", lost)
    again = [
        mark
        for mark, each in promises.repeated.items()
        for number, (id_, replayed) in enumerate(each.answers)
        if (number or each.before) and (not replayed or id_ != (each.before or id_))
    ]
    yield from _some("I7: what was there already was not replayed", again)


def _each_has_its_events(evidence: Evidence) -> Iterator[str]:
    ids: dict[tuple[str, str], set[str]] = defaultdict(set)
    for event in _ours(evidence):
        ids[event.type, event.subject].add(event.id)
    wanted = [(REGISTERED, id_) for id_ in evidence.kept.users]
    wanted += [(type_, id_) for type_ in (CREATED, CONFIRMED) for id_ in evidence.kept.orders]
    yield from _some("I3: events never reached a broker", [one for one in wanted if not ids.get(one)])
    several = [one for one, found in ids.items() if len(found) > 1 and one[0] != STEP]
    yield from _some("I2: told by two different events", several)
    short = [subject for subject, certain in evidence.steps.items() if len(ids.get((STEP, subject), ())) < certain]
    yield from _some("I3: steps are missing", short)


def _each_effect_happened_once(evidence: Evidence) -> Iterator[str]:
    states = Counter((order.status, order.version) for order in evidence.kept.orders.values())
    if wrong := {state: number for state, number in states.items() if state != ("confirmed", 2)}:
        yield f"I4: orders were not confirmed exactly once: {wrong}"
    created = {event.id for event in _ours(evidence) if event.type == CREATED}
    handled = set(evidence.kept.handled)
    yield from _some("I4: events were not handled", created - handled)
    yield from _some("I4: what was handled was never published", handled - created)
    if len(evidence.kept.handled) != len(handled):
        yield "I4: an event was handled twice"


def _subjects_are_in_order(evidence: Evidence) -> Iterator[str]:
    for number, broker in enumerate(evidence.brokers):
        seen: dict[tuple[str, str], dict[int, str]] = defaultdict(dict)
        disorder = []
        for event in broker:
            if event.source != SOURCE:
                continue
            of_subject = seen[event.topic, event.subject]
            again = event.sequence in of_subject
            if of_subject.setdefault(event.sequence, event.id) != event.id:
                disorder.append(f"{event.subject}: two events are its number {event.sequence}")
            elif not again and event.sequence < max(of_subject):
                disorder.append(f"{event.subject}: {event.sequence} came after {max(of_subject)}")
        yield from _some(f"I5: disorder on broker {number + 1}", disorder)
        if number == 0 and len(evidence.brokers) == 1:
            gaps = [subject for (_, subject), found in seen.items() if sorted(found) != list(range(1, len(found) + 1))]
            yield from _some("I5: gaps", gaps)


def _there_are_no_ghosts(evidence: Evidence) -> Iterator[str]:
    subjects: dict[str, Collection[str]] = {
        REGISTERED: evidence.kept.users,
        CREATED: evidence.kept.orders,
        CONFIRMED: evidence.kept.orders,
    }
    names = {REGISTERED: "user_id", CREATED: "order_id", CONFIRMED: "order_id"}
    ghosts, mixed = [], []
    for event in _ours(evidence):
        if event.type == STEP and event.subject in evidence.steps:
            continue
        if event.subject not in subjects.get(event.type, ()):
            ghosts.append(f"{event.type} {event.subject}")
        elif event.data[names[event.type]] != event.subject:
            mixed.append(f"{event.type} {event.subject}")
    yield from _some("I6: events of what does not exist", ghosts)
    yield from _some("I6: events that tell of something else", mixed)


def _each_mail_was_sent(evidence: Evidence) -> Iterator[str]:
    ids: dict[tuple[str, str], set[str]] = defaultdict(set)
    for mail in evidence.mails:
        ids[mail.to, mail.subject].add(mail.id)
    kept = evidence.kept
    wanted = {(email, "Welcome") for email in kept.users.values()}
    wanted |= {
        (kept.users.get(order.user, "nobody"), f"Your order {id_} is confirmed") for id_, order in kept.orders.items()
    }
    yield from _some("I4: mails are missing", wanted - ids.keys())
    yield from _some("I6: mails that nobody asked for", ids.keys() - wanted)
    yield from _some("I4: two different mails of one thing", [one for one, found in ids.items() if len(found) > 1])
    owners = Counter(id_ for found in ids.values() for id_ in found)
    yield from _some("I4: different mails with one id", [id_ for id_, number in owners.items() if number > 1])


def _the_desk_is_as_expected(evidence: Evidence) -> Iterator[str]:
    if len(evidence.kept.desk) != evidence.desk:
        yield f"I4: {len(evidence.kept.desk)} letters on the desk, not {evidence.desk}: {evidence.kept.desk[:SHOWN]}"


def _some(what: str, which: Collection[object]) -> Iterator[str]:
    if which:
        shown = ", ".join(str(one) for one in list(which)[:SHOWN])
        yield f"{what}: {len(which)}: {shown}"
