"""What the operator's page is made of: each part as HTML, from the documents that the API gives as well."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import quote, urlencode

from markupsafe import Markup

from domain.delivery.whereabouts import Progress, Way, WayStep
from domain.model.times import to_rfc3339
from entrypoints.flow_watch import Look
from entrypoints.settings_slots import Line
from entrypoints.web.markup import attribute, given, html, seen
from entrypoints.web.operator import body_text
from entrypoints.web.pages import static_address
from ports.deliveries import Delivery, Lane, State
from ports.persistence import DeskPage, Sought

BODY_SHOWN: Final = 4000
UNKNOWN: Final = "–"

_PAGES: Final = {"/operator/": "Overview", "/operator/where": "Where is…", "/operator/settings": "Settings"}
_UNITS: Final = ((86_400, "d"), (3_600, "h"), (60, "min"))

AWAY: Final = Markup(
    '<p class="trouble">The database does not answer. Nothing is lost. The <a href="/operator/#bay">patch bay</a> '
    "has the reason; try again in a moment.</p>"
)


# --- around every page ------------------------------------------------------------------------------------------------


def frame(current: str, overall: Markup) -> Markup:
    """What stands above: where one is, where one can go, and how everything is."""
    links = [
        html(
            '<li><a href="{address}"{current}>{title}</a></li>',
            address=attribute(address),
            current=Markup(' aria-current="page"') if address == current else Markup(),
            title=title,
        )
        for address, title in _PAGES.items()
    ]
    return html(
        '<a class="skip" href="#main">To the content</a>\n'
        '<header class="top"><a class="brand" href="/operator/">Crossdock</a>\n'
        '<nav aria-label="Operator"><ul>{links}</ul></nav>\n{overall}</header>\n'
        '<p id="said" class="said" role="status" aria-live="polite"></p>\n',
        links=links,
        overall=overall,
    )


def overall(status: Mapping[str, Any]) -> Markup:
    """How everything is, in one word."""
    return html(
        '<p class="overall"><span data-live class="live" hidden></span>{state}</p>',
        state=state_of(status["status"], "overall"),
    )


def state_of(status: str, name: str = "") -> Markup:
    """A state as a shape and a word."""
    known = status if status in {"ready", "degraded", "unavailable"} else "unknown"
    return html(
        '<span class="state is-{known}" data-state="{name}">{word}</span>',
        known=attribute(known),
        name=attribute(name),
        word=status,
    )


def script() -> Markup:
    """What makes the page live."""
    return html('<script src="{address}" defer></script>', address=attribute(static_address("operator.js")))


# --- numbers and times ------------------------------------------------------------------------------------------------


def number(value: float | None) -> str:
    """A number to be read: 1,234 or 4.2."""
    if value is None:
        return UNKNOWN
    return f"{value:,.0f}" if value >= 10 or value == int(value) else f"{value:,.1f}"


def duration(seconds: float | None) -> str:
    """So long, in its largest unit."""
    if seconds is None:
        return UNKNOWN
    for size, unit in _UNITS:
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def moment(at: datetime | None, now: datetime) -> Markup:
    """An instant, and how long ago it was."""
    if at is None:
        return Markup('<span class="quiet">not known</span>')
    return html(
        '<time datetime="{exact}">{told}</time> <span class="quiet ago" data-since="{exact}">{ago}</span>',
        exact=attribute(to_rfc3339(at)),
        told=f"{at:%Y-%m-%d %H:%M:%S}",
        ago=_ago(now - at),
    )


def _ago(passed: timedelta) -> str:
    seconds = passed.total_seconds()
    return f"{duration(seconds)} ago" if seconds >= 0 else f"in {duration(-seconds)}"


# --- the flow ---------------------------------------------------------------------------------------------------------

# Each station: its name, the figure and the note in words, by the names of values; the script fills them as well.
_STATIONS: Final = (
    ("api", "API", "recorded_rate", "recorded each second", "over all processes", ""),
    ("outbox", "Outbox", "event.ready", "events wait", "the first for ", "event.ready.wait"),
    ("broker", "Broker", "event.sent", "events not handled yet", "the first for ", "event.sent.wait"),
    ("consumer", "Consumer", "handled_rate", "messages handled each second", "kept for later: ", "received.kept"),
    ("effect", "Effect", "done_rate", "done each second", "tasks wait: ", "task.ready"),
)


def flow(status: Mapping[str, Any]) -> Markup:
    """From a request to its effect."""
    texts = values(status)
    stations = [
        html(
            '<li class="station" data-station="{id}"><h3>{title}</h3>'
            '<p class="figure"><b data-value="{figure}">{value}</b> <span>{unit}</span></p>'
            '<svg class="plot" viewBox="0 0 120 28" preserveAspectRatio="none" aria-hidden="true" focusable="false">'
            '<polyline points="" vector-effect="non-scaling-stroke"></polyline></svg>'
            '<p class="note">{words}{note}</p></li>',
            id=attribute(id_),
            title=title,
            figure=attribute(figure),
            value=texts[figure],
            unit=unit,
            words=Markup.escape(words),
            note=html('<b data-value="{note}">{told}</b>', note=attribute(note), told=texts[note]) if note else "",
        )
        for id_, title, figure, unit, words, note in _STATIONS
    ]
    trouble = Markup()
    if status["flow"] is None:
        trouble = Markup(
            '<p class="trouble">The database does not answer, so nobody knows what moves. '
            "What was accepted is safe; this page looks again by itself.</p>"
        )
    return html(
        '<section aria-labelledby="flow"><div class="head"><h2 id="flow">Flow</h2>'
        '<p class="quiet">Backlog at the broker: <b data-value="backlog">{backlog}</b></p></div>'
        '{trouble}<ol class="flow">{stations}</ol></section>\n',
        backlog=texts["backlog"],
        trouble=trouble,
        stations=stations,
    )


def values(status: Mapping[str, Any]) -> dict[str, str]:
    """What changes on the page, as text by its name."""
    found = {
        f"{what}.{api}": text
        for api, known in status["outside"].items()
        for what, text in (
            ("breaker", UNKNOWN if known["breaker"] is None else known["breaker"].replace("_", " ")),
            ("quota", number(known["quota_left"])),
        )
    }
    return found | _flow_values(status["flow"], status["deliveries"])


def _flow_values(flow_: Mapping[str, Any] | None, counts: Mapping[Lane, Mapping[State, int]] | None) -> dict[str, str]:
    if flow_ is None or counts is None:
        return dict.fromkeys((name for station in _STATIONS for name in station[2::3]), UNKNOWN) | {"backlog": UNKNOWN}
    waits, received, task = flow_["waits"], counts[Lane.RECEIVED], counts[Lane.TASK]
    kept = received[State.READY] + received[State.BLOCKED] + received[State.DEAD]
    of_events = waits.get(Lane.EVENT, {})
    return {
        "recorded_rate": number(flow_["recorded_rate"]),
        "event.ready": number(counts[Lane.EVENT][State.READY] + counts[Lane.EVENT][State.BLOCKED]),
        "event.ready.wait": duration(of_events.get(State.READY)),
        "event.sent": number(counts[Lane.EVENT][State.SENT]),
        "event.sent.wait": duration(of_events.get(State.SENT)),
        "handled_rate": number(flow_["handled_rate"]),
        "received.kept": number(kept),
        "done_rate": number(flow_["done_rate"]),
        "task.ready": number(task[State.READY]),
        "backlog": number(flow_["backlog"]),
    }


def plotted(look: Look) -> list[float | None]:
    """What is drawn of a look, a number for each station."""
    counts = look.counts
    return [
        look.recorded_rate,
        counts.get((Lane.EVENT, State.READY), 0) + counts.get((Lane.EVENT, State.BLOCKED), 0),
        counts.get((Lane.EVENT, State.SENT), 0),
        look.handled_rate,
        look.done_rate,
    ]


# --- the patch bay ----------------------------------------------------------------------------------------------------


def patch_bay(status: Mapping[str, Any]) -> Markup:
    """Each port with what is plugged into it, and how that is."""
    checks = status["checks"]
    of_ports = {port["check"] for port in status["ports"]}
    rows = [_port(port, checks) for port in status["ports"]]
    works = [
        html("<li>{name} {health}</li>", name=name.replace("_", " "), health=_health(name, check))
        for name, check in checks.items()
        if name not in of_ports
    ]
    return html(
        '<section aria-labelledby="bay"><div class="head"><h2 id="bay">Patch bay</h2>'
        '<p class="quiet">as seen by {process}, version {version}</p></div>\n'
        '<div class="scroll" tabindex="0" role="region" aria-label="Ports and adapters"><table class="bay"><thead><tr>'
        '<th scope="col">Port</th><th scope="col">Plugged in</th><th scope="col">Health</th></tr></thead>'
        "<tbody>{rows}{works}</tbody></table></div></section>\n",
        process=status["process"],
        version=status["version"],
        rows=rows,
        works=html(
            '<tr><th scope="row">at work here</th><td colspan="2"><ul class="works">{works}</ul></td></tr>', works=works
        )
        if works
        else "",
    )


def _port(port: Mapping[str, Any], checks: Mapping[str, Mapping[str, str]]) -> Markup:
    plugged = port["adapter"].split(", ")
    sockets = [
        html('<li class="plugged"><b>{name}</b> <span class="hidden">is plugged in</span></li>', name=choice)
        if choice in plugged
        else html("<li>{name}</li>", name=choice)
        for choice in sorted(port["choices"], key=lambda choice: choice not in plugged)
    ]
    name = port["check"]
    health = Markup('<span class="quiet">not watched</span>') if name is None else _health(name, checks[name])
    return html(
        '<tr><th scope="row">{port}</th><td><ul class="sockets">{sockets}</ul></td><td>{health}</td></tr>',
        port=port["port"].replace("_", " "),
        sockets=sockets,
        health=health,
    )


def _health(name: str, check: Mapping[str, str]) -> Markup:
    return html(
        '{state} <span class="detail" data-detail="{name}">{told}</span>',
        state=state_of(check["status"], name),
        name=attribute(name),
        told=told_of(check),
    )


def told_of(check: Mapping[str, str]) -> str:
    """What is wrong, with the word that readiness, log and alerts have for it, since when, and what to do."""
    detail = ": ".join(filter(None, (check.get("cause"), check.get("detail"))))
    since = check.get("since", "")
    when = f"since {since[:19].replace('T', ' ')} UTC" if since else ""
    return " · ".join(part for part in (detail, when, check.get("cure", "")) if part)


def outside(status: Mapping[str, Any]) -> Markup:
    """What stands before the APIs of others."""
    texts = values(status)
    rows = [
        html(
            '<tr><th scope="row">{api}</th><td data-value="breaker.{id}">{breaker}</td>'
            '<td class="number" data-value="quota.{id}">{left}</td></tr>',
            api=api.replace("_", " "),
            id=attribute(api),
            breaker=texts[f"breaker.{api}"],
            left=texts[f"quota.{api}"],
        )
        for api in status["outside"]
    ]
    if not rows:
        return Markup()
    return html(
        '<section aria-labelledby="outside"><div class="head"><h2 id="outside">Outside APIs</h2>'
        '<p class="quiet">in the process that answered</p></div>\n'
        '<table><thead><tr><th scope="col">API</th><th scope="col">Breaker</th>'
        '<th scope="col" class="number">Quota left</th></tr></thead><tbody>{rows}</tbody></table></section>\n',
        rows=rows,
    )


# --- the desk ---------------------------------------------------------------------------------------------------------


def desk(page: DeskPage | None, total: int, sought: Sought, *, later: str | None, now: datetime) -> Markup:
    """What waits for a person, and what can be done about it; None: the database does not answer."""
    query = query_of(sought)
    return html(
        '<section aria-labelledby="desk" data-total="{total}"><div class="head"><h2 id="desk">Desk</h2>{count}</div>\n'
        "{filter}{body}</section>\n",
        total=attribute(str(total)),
        count=html('<p class="quiet"><b data-count>{total}</b> wait for a person</p>', total=f"{total:,}")
        if total
        else "",
        filter=_filter(sought),
        body=_desk_body(page, query, later=later, now=now),
    )


def _desk_body(page: DeskPage | None, query: str, *, later: str | None, now: datetime) -> Markup:
    if page is None:
        return AWAY
    if not page.items and query:
        return Markup(
            '<p class="empty">Nothing that waits matches this. <a href="/operator/#desk">Show everything</a></p>'
        )
    if not page.items:
        return Markup(
            '<p class="empty"><strong>Nothing is waiting.</strong> '
            "What cannot be delivered comes here with its reason and its story.</p>"
        )
    return html(
        '<div class="scroll" tabindex="0" role="region" aria-label="Letters"><table class="letters"><thead><tr>'
        '<td class="pick"><input type="checkbox" data-all hidden aria-label="All on this page"></td>'
        '<th scope="col">What</th><th scope="col">About</th><th scope="col">Why</th>'
        '<th scope="col" class="number">Attempts</th><th scope="col">Last failed, UTC</th>'
        '<th scope="col">What to do</th></tr></thead>\n<tbody>{rows}</tbody></table></div>\n{bulk}{later}',
        rows=[_letter_row(letter, query, now) for letter in page.items],
        bulk=_BULK,
        later=html('<p><a href="{address}">Later ones</a></p>', address=attribute(later)) if later else "",
    )


_LANES: Final = {Lane.EVENT: "events", Lane.TASK: "tasks", Lane.RECEIVED: "received"}


def _filter(sought: Sought) -> Markup:
    lanes = [
        html(
            '<option value="{lane}"{chosen}>{word}</option>',
            lane=attribute(lane),
            chosen=Markup(" selected") if lane == sought.lane else Markup(),
            word=word,
        )
        for lane, word in _LANES.items()
    ]
    fields = [
        html(
            '<label>{title} <input name="{name}" value="{value}" maxlength="500" autocomplete="off" '
            'spellcheck="false"></label>',
            title=title,
            name=attribute(name),
            value=given(value),
        )
        for title, name, value in (
            ("Name", "name", sought.name),
            ("Subject", "subject", sought.subject),
            ("Reason", "reason", sought.reason),
        )
    ]
    return html(
        '<form class="filter" action="/operator/" role="search" aria-label="Filter the desk">'
        '<label>Lane <select name="lane"><option value="">all</option>{lanes}</select></label>{fields}'
        "<button>Filter</button>{clear}</form>\n",
        lanes=lanes,
        fields=fields,
        clear=Markup('<a href="/operator/#desk">Clear</a>') if query_of(sought) else "",
    )


_BULK: Final = Markup(
    '<div class="bulk" data-bulk hidden><p><b data-picked>0</b> selected <button type="button" data-pick-all hidden>'
    '</button></p><p><button type="button" data-do="replay">Replay selected</button> '
    '<button type="button" data-do="discard" class="danger">Discard selected…</button></p></div>\n'
)


def _letter_row(letter: Delivery, query: str, now: datetime) -> Markup:
    return html(
        '<tr data-letter="{id}"><td class="pick"><input type="checkbox" data-pick hidden aria-label="Select {label}">'
        '</td><td><a href="{address}" data-show>{name}</a><br><span class="quiet small">{lane} {shown}</span></td>'
        '<td class="about">{subject}</td><td class="alarm">{reason}</td><td class="number">{attempts}</td>'
        '<td class="when">{failed}</td><td class="do">{replay} {discard}</td></tr>',
        id=given(letter.id),
        label=attribute(f"{letter.name} {letter.id}"),
        address=attribute(letter_address(letter.id)),
        name=letter.name or "(no name)",
        lane=letter.lane.value,
        shown=letter.id,
        subject=_subject(letter.subject),
        reason=letter.reason or "",
        attempts=f"{letter.attempts:,}",
        failed=moment(letter.last_failed_at, now),
        replay=_replay(letter, query),
        discard=_discard(letter, query),
    )


def letter_address(id_: str) -> str:
    """Where a letter is shown."""
    return f"/operator/dead-letters/{quote(id_, safe='')}"


def query_of(sought: Sought) -> str:
    """What is looked for, as the query of an address; empty for everything."""
    parts = {"lane": sought.lane or "", "name": sought.name, "subject": sought.subject, "reason": sought.reason}
    return urlencode({name: text for name, text in parts.items() if text}, errors="replace")


def _subject(subject: str | None) -> Markup:
    if subject is None:
        return Markup('<span class="quiet">nothing in particular</span>')
    return html('<a href="{address}">{subject}</a>', address=attribute(way_address(subject)), subject=subject)


def way_address(subject: str) -> str:
    """Where the way of a subject is shown."""
    return f"/operator/where?{urlencode({'subject': subject}, errors='replace')}"


def _action(letter: Delivery, verb: str, query: str) -> Markup:
    return attribute(f"{letter_address(letter.id)}/{verb}" + (f"?{query}" if query else ""))


def _replay(letter: Delivery, query: str) -> Markup:
    return html(
        '<form method="post" action="{action}" data-replay><button aria-label="Replay {label}">Replay</button></form>',
        action=_action(letter, "replay", query),
        label=attribute(f"{letter.name} {letter.id}"),
    )


def _discard(letter: Delivery, query: str) -> Markup:
    return html(
        '<details class="confirm"><summary aria-label="Discard {label}…">Discard…</summary>'
        '<form method="post" action="{action}" data-discard><p>It will never be done, and what waits behind it goes on.'
        '</p><button class="danger">Discard for good</button></form></details>',
        action=_action(letter, "discard", query),
        label=attribute(f"{letter.name} {letter.id}"),
    )


# --- one letter -------------------------------------------------------------------------------------------------------


def whole_letter(letter: Delivery, now: datetime) -> Markup:
    """All that is known of one."""
    facts = {
        "Lane": seen(letter.lane.value),
        "About": _subject(letter.subject),
        "Topic": seen(letter.topic),
        "Group": seen(letter.group),
        "Attempts": seen(f"{letter.attempts:,}"),
        "Recorded, UTC": moment(letter.recorded_at, now),
        "First failed, UTC": moment(letter.first_failed_at, now),
        "Last failed, UTC": moment(letter.last_failed_at, now),
        "Trace": Markup() if letter.trace is None else html("<code>{id}</code>", id=letter.trace.trace_id),
        "Id": html("<code>{id}</code>", id=letter.id),
    }
    told = [html("<dt>{name}</dt><dd>{value}</dd>", name=name, value=value) for name, value in facts.items() if value]
    attributes = [
        html("<dt>{name}</dt><dd>{value}</dd>", name=name, value=value) for name, value in letter.attributes.items()
    ]
    return html(
        '<article class="letter" data-letter="{id}"><h1>{name}</h1>\n<p class="why"><span class="alarm">{reason}</span>'
        '</p>\n{do}<dl class="facts">{told}</dl>\n<h2>Story</h2>\n{story}\n<h2>Body</h2>\n{body}{attributes}</article>',
        id=given(letter.id),
        name=letter.name or "(no name)",
        reason=letter.reason or "",
        do=html('<div class="do">{replay} {discard}</div>', replay=_replay(letter, ""), discard=_discard(letter, ""))
        if letter.state is State.DEAD
        else Markup('<p class="trouble">It was discarded: nothing can be done about it any more.</p>'),
        told=told,
        story=_story(letter, now),
        body=_body(letter.body),
        attributes=html('\n<h2>Attributes</h2>\n<dl class="facts">{all}</dl>', all=attributes) if attributes else "",
    )


def _story(letter: Delivery, now: datetime) -> Markup:
    lines = [
        html("<li><b>{what}</b> {at}<br>{why}</li>", what=line.what, at=moment(line.at, now), why=line.why or Markup())
        for line in letter.story
    ]
    return html('<ol class="story">{lines}</ol>', lines=lines) if lines else Markup('<p class="quiet">None.</p>')


def _body(body: bytes) -> Markup:
    text, encoding = body_text(body)
    shown = text if len(text) <= BODY_SHOWN else text[:BODY_SHOWN] + "…"
    told = f"{len(body):,} bytes" + ("" if encoding == "utf-8" else f", which are no text: shown in {encoding}")
    return html(
        '<pre tabindex="0" aria-label="Body">{text}</pre><p class="quiet small">{told}{cut}</p>',
        text=seen(shown, lines=True),
        told=told,
        cut=f", of which the first {BODY_SHOWN:,} characters are shown" if shown != text else "",
    )


# --- where something is -----------------------------------------------------------------------------------------------


def where_form(subject: str) -> Markup:
    """Where the question is asked."""
    return html(
        '<form class="filter" action="/operator/where" role="search"><label>The id of an order or a user, or any '
        'subject <input name="subject" value="{subject}" maxlength="500" autocomplete="off" spellcheck="false" '
        "required></label><button>Look</button></form>\n",
        subject=given(subject),
    )


def way(found: Way, now: datetime) -> Markup:
    """The steps about a subject."""
    if not found.steps:
        return html(
            '<p class="empty"><strong>Nothing is known of {subject}.</strong> It may never have been recorded here, '
            "or it is no order and no user and all about it is done.</p>",
            subject=found.subject,
        )
    return html(
        '<h2>{kind} {subject}</h2>\n<ol class="way">{steps}</ol>\n{more}',
        kind=found.kind.capitalize(),
        subject=found.subject,
        steps=[_step(step, now) for step in found.steps],
        more=Markup('<p class="quiet">There is more: the oldest are shown.</p>') if found.more else "",
    )


_WORDS: Final = {
    Progress.DONE: "done",
    Progress.WAITING: "waits",
    Progress.FAILING: "is tried again",
    Progress.DEAD: "waits for a person",
    Progress.DISCARDED: "discarded",
}


def _step(step: WayStep, now: datetime) -> Markup:
    link = Markup()
    if step.delivery is not None and step.progress in {Progress.DEAD, Progress.DISCARDED}:
        link = html(' <a href="{address}">Show it</a>', address=attribute(letter_address(step.delivery.id)))
    return html(
        '<li class="step is-{progress}"><p><b>{what}</b> <span class="quiet">{name}</span> '
        '<span class="state">{word}</span></p><p class="when">{at}</p>{detail}{link}</li>',
        progress=attribute(step.progress),
        what=step.what.capitalize(),
        name=step.name,
        word=_WORDS[step.progress],
        at=moment(step.at, now) if step.at else Markup(),
        detail=html('<p class="detail">{text}</p>', text=step.detail) if step.detail else "",
        link=link,
    )


# --- settings ---------------------------------------------------------------------------------------------------------


def settings_table(lines: Sequence[Line]) -> Markup:
    """Each setting with its value and where that comes from, by port."""
    return html(
        '<div class="scroll" tabindex="0" role="region" aria-label="Settings"><table class="settings"><thead><tr>'
        '<th scope="col">Setting</th><th scope="col">Value</th><th scope="col">From</th></tr></thead>{groups}</table>'
        "</div>",
        groups=list(_groups(lines)),
    )


def _groups(lines: Sequence[Line]) -> Iterator[Markup]:
    for port in dict.fromkeys(line.port for line in lines):
        rows = [
            html(
                '<tr class="{used}"><th scope="row"><code>{name}</code></th><td><code>{value}</code></td>'
                "<td>{origin}</td></tr>",
                used=attribute("" if line.used else "unused"),
                name=line.variable.name,
                value=line.shown or Markup('<span class="quiet">empty</span>'),
                origin=_origin(line),
            )
            for line in lines
            if line.port == port
        ]
        yield html(
            '<tbody><tr><th scope="rowgroup" colspan="3" class="group">{port}</th></tr>{rows}</tbody>',
            port=port.replace("_", " "),
            rows=rows,
        )


def _origin(line: Line) -> str:
    told = line.origin if line.file is None else f"{line.origin} {line.file}"
    return told if line.used else f"{told}, not used by this choice"
