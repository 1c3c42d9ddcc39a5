"""Nobody needs a token."""

from typing import NoReturn

from ports.identity import Identity, InvalidToken


class Anyone(Identity):
    """Knows nobody, and lets everybody in."""

    wants_tokens = False

    async def identify(self, token: str) -> NoReturn:  # noqa: ARG002 - whatever it is
        raise InvalidToken("No token is known here.")
