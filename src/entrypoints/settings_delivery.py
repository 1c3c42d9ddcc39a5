"""How often is tried again what fails, and where it fails on purpose."""

import re
from typing import Annotated

from pydantic import AfterValidator, Field

from entrypoints.settings_part import Part
from entrypoints.settings_variables import Refused, Variable
from ports.crash_points import CrashPoint

_FAULT = re.compile(rf"({'|'.join(map(re.escape, CrashPoint))}):(kill|freeze)(:[1-9][0-9]{{0,5}})?")


class DeliverySettings(Part):
    """How often what fails is tried again."""

    max_attempts: Annotated[
        int,
        Variable("CROSSDOCK_MAX_ATTEMPTS", "attempts before a message is dead", "1 to 1000"),
        Field(ge=1, le=1000),
    ] = 8
    retry_delay: Annotated[
        float,
        Variable(
            "CROSSDOCK_RETRY_DELAY", "seconds before the second attempt; doubles, jittered, at most 60", "0 to 60"
        ),
        Field(ge=0, le=60),
    ] = 1.0


def _fault(value: str) -> str:
    if value and not _FAULT.fullmatch(value):
        raise Refused("is no fault at a known point")
    return value


class FaultSettings(Part):
    """Faults on purpose; for the tests of the promises."""

    armed: Annotated[
        str,
        Variable(
            "CROSSDOCK_FAULT",
            "a step at which the process dies or stops, at the first time or the Nth; for tests only",
            f"POINT:kill, POINT:freeze, POINT:kill:N, POINT:freeze:N with POINT one of {', '.join(CrashPoint)}",
        ),
        AfterValidator(_fault),
    ] = ""
