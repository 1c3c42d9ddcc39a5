"""A trace context is what W3C says it is, or nothing."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ports.trace_context import TraceContext, carried, current, following, trace_from, trace_of

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"
PARENT = f"00-{TRACE}-{SPAN}-01"


def test_a_sane_one_is_read() -> None:
    context = trace_of({"traceparent": PARENT, "tracestate": "shop=1,other=2"})

    assert context is not None
    assert (context.trace_id, context.span_id) == (TRACE, SPAN)
    assert context.attributes == {"traceparent": PARENT, "tracestate": "shop=1,other=2"}


@pytest.mark.parametrize(
    "parent",
    [
        None,
        "",
        "nonsense",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01-more",
        f"cc-{TRACE}-{SPAN}-01more",
        f"00-{TRACE}-{SPAN}",
        f" {PARENT}",
        f"{PARENT}\n",
    ],
)
def test_what_is_not_sane_is_none(parent: str | None) -> None:
    assert trace_from(parent, "shop=1") is None


def test_of_a_later_version_is_kept_what_this_one_knows() -> None:
    assert trace_from(f"cc-{TRACE}-{SPAN}-01-what-comes-later") == TraceContext(PARENT)


@pytest.mark.parametrize("state", ["", "a=1\r\nX: y", "ü=1", "a" * 513])
def test_a_state_that_is_not_sane_is_left_out(state: str) -> None:
    assert trace_from(PARENT, state) == TraceContext(PARENT)


@given(st.text(max_size=80), st.text(max_size=600))
def test_whatever_is_sent_nothing_but_hexadecimal_digits_is_believed(parent: str, state: str) -> None:
    context = trace_from(parent, state)

    assert context is None or set(context.parent) <= set("0123456789abcdef-")


def test_what_is_done_inside_belongs_there_and_afterwards_where_it_did() -> None:
    outer, inner = TraceContext(PARENT), TraceContext(f"00-{TRACE}-{'a' * 16}-00")

    with following(outer):
        with following(inner):
            assert carried() == inner.attributes
        with following(None):
            assert (current(), carried()) == (None, {})
        assert current() == outer
    assert current() is None


async def test_what_goes_on_at_once_is_not_mixed_up() -> None:
    """Of two that take turns each stays in its own trace."""
    seen: dict[str, list[str]] = {}

    async def work(digit: str) -> None:
        with following(TraceContext(f"00-{digit * 32}-{SPAN}-01")):
            for _ in range(3):
                await asyncio.sleep(0)
                place = current()
                seen.setdefault(digit, []).append("" if place is None else place.trace_id)

    await asyncio.gather(work("a"), work("b"))

    assert seen == {digit: [digit * 32] * 3 for digit in "ab"}
