import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.model.email import Email
from domain.model.errors import InvalidValue
from tests.unit.model.values import domains, emails, locals_


@given(emails)
def test_the_normal_form_of_a_normal_form_is_the_same(email: Email) -> None:
    assert Email(email.address) == email


@given(locals_, domains, st.randoms(use_true_random=False))
def test_spellings_that_differ_in_case_are_one_mailbox(local: str, domain: str, random: object) -> None:
    address = f"{local}@{domain}"
    spelt = "".join(random.choice((each.lower(), each.upper())) for each in address)  # type: ignore[attr-defined]

    assert Email(spelt) == Email(address)
    assert hash(Email(spelt)) == hash(Email(address))


@pytest.mark.parametrize(
    ("given_domain", "encoded"),
    [
        ("münchen.example", "xn--mnchen-3ya.example"),
        ("MÜNCHEN.example", "xn--mnchen-3ya.example"),
        ("XN--MNCHEN-3YA.example", "xn--mnchen-3ya.example"),
        ("例え。example", "xn--r8jz45g.example"),
    ],
)
def test_spellings_of_an_international_domain_are_one_mailbox(given_domain: str, encoded: str) -> None:
    assert Email(f"ann@{given_domain}") == Email(f"ann@{encoded}")
    assert Email(f"ann@{given_domain}").address == f"ann@{encoded}"


@given(st.text(max_size=40))
def test_any_text_is_an_address_in_normal_form_or_refused(text: str) -> None:
    try:
        email = Email(text)
    except InvalidValue:
        return

    assert Email(email.address) == email
    assert no_control_characters(email.address)


@given(st.text(max_size=10), st.characters(categories=["Cc", "Cf", "Cs", "Zl", "Zp", "Zs"]), st.text(max_size=10))
def test_no_control_character_gets_through(before: str, character: str, after: str) -> None:
    """One would forge a header line of a mail or hide what a person reads."""
    for address in (f"a{before}{character}{after}b@example.com", f"ann@a{before}{character}{after}b.com"):
        try:
            email = Email(address)
        except InvalidValue:
            continue
        assert no_control_characters(email.address)


@pytest.mark.parametrize(
    "address",
    [
        "",
        "ann",
        "@example.com",
        "ann@",
        "ann@example",
        "ann@-a.com",
        "ann@a-.com",
        "ann@a..com",
        "ann@.com",
        "ann@example.com.",
        ".ann@example.com",
        "ann.@example.com",
        "a..b@example.com",
        "a b@example.com",
        "a@b@example.com",
        "<ann@example.com>",
        "Ann <ann@example.com>",
        "ann@example.com, bob@example.com",
        "ann@exam ple.com",
        "ann@example.com\r\nBcc: bob@example.com",
        "ann\0@example.com",
        "ann@[127.0.0.1]",
        "x" * 65 + "@example.com",
        "ann@" + "x" * 64 + ".com",
        "ann@" + "a." * 130 + "com",
        "ann@\ud800.com",
        "\ud800@example.com",
    ],
)
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(InvalidValue):
        Email(address)


def test_outer_blanks_are_dropped() -> None:
    assert Email("  ann@example.com \n").address == "ann@example.com"


def no_control_characters(text: str) -> bool:
    return all(unicodedata.category(each) not in {"Cc", "Cf", "Cs", "Zl", "Zp", "Zs"} for each in text)
