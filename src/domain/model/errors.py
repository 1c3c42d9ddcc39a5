"""What the business refuses, as one tree.

Refusal
├── InvalidValue             a value that the model does not allow, with the place where it stood
├── EmailAlreadyRegistered
├── UserNotFound             asked for by its id
├── UnknownUser              named inside another request
├── OrderNotFound
├── CityNotFound
└── WeatherNotConfigured     the chosen provider wants a key and has none

A refusal knows no HTTP and no driver; each entrypoint has one table that turns refusals into its own words.
"""


class Refusal(Exception):
    """The request is understood and cannot be granted as it stands."""


class InvalidValue(Refusal):
    """A value is outside of what the model allows.

    ``pointer`` is a JSON Pointer (RFC 6901) to the value, relative to the request; empty when the value stands alone.
    """

    def __init__(self, detail: str, pointer: str = "") -> None:
        super().__init__(detail)
        self.detail = detail
        self.pointer = pointer

    def inside(self, parent: str) -> "InvalidValue":
        """The same complaint, one level further out: ``/unit_price`` inside ``/lines/0``."""
        return InvalidValue(self.detail, parent + self.pointer)


class EmailAlreadyRegistered(Refusal):
    """Another user has this address."""

    def __init__(self) -> None:
        super().__init__("A user with this e-mail address is already registered.")


class UserNotFound(Refusal):
    """No user has this id."""

    def __init__(self) -> None:
        super().__init__("There is no user with this id.")


class UnknownUser(Refusal):
    """The order names a user that does not exist."""

    def __init__(self) -> None:
        super().__init__("The order names a user that does not exist.")


class OrderNotFound(Refusal):
    """No order has this id."""

    def __init__(self) -> None:
        super().__init__("There is no order with this id.")


class CityNotFound(Refusal):
    """The weather provider knows no such place."""

    def __init__(self) -> None:
        super().__init__("The weather provider knows no city of this name.")


class WeatherNotConfigured(Refusal):
    """The chosen weather provider wants a key and none is set."""

    def __init__(self) -> None:
        super().__init__("The weather provider wants an API key, and none is set.")
