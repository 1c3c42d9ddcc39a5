"""What one environment variable is, and the values that several of them share."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.utils import getaddresses
from ipaddress import ip_address
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from pydantic import SecretStr

HIDDEN = "***"
_SHOWN_MOST = 80

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_USERINFO = re.compile(r"(?:(?P<user>[^:/?#@\s]*):)?\S*@")
_NO_PORT = re.compile(r"[^:/@\[]+:(?![0-9]*(/|\Z))[^@]*\Z")  # a password whose host was forgotten
_HOST = re.compile(
    r"(?=.{1,253}\Z)[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?)*"
)
_RATE = re.compile(r"([1-9][0-9]{0,8})/(second|minute|hour|day)")
_RATE_SECONDS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}


@dataclass(frozen=True, slots=True)
class Variable:
    """One environment variable: its name, what it means, what it may hold.

    What a choice allows need not be said: it is the names of the backends. The value of a ``secret`` one is never
    shown, not even when it is refused. One that is ``sensitive`` may hold a password somewhere inside: it is shown with
    that masked, and not at all when the password cannot be told from the rest.
    """

    name: str
    meaning: str
    allowed: str = ""
    secret: bool = False
    sensitive: bool = False
    public: bool = False  # never a secret, also not when it looks like one

    def shown(self, value: str) -> str:
        """The value as it may be seen by anybody."""
        if not value or self.public:
            return value
        if self.secret or (self.sensitive and not _SCHEME.match(value)):
            return HIDDEN
        return masked(value)


@dataclass(frozen=True, slots=True)
class Choice:
    """A variable that chooses one class among those of a port.

    ``also`` are values that stand for one of the others, ``later`` the backends that are promised and not built yet.
    ``resolve`` says which backend a value means, given all other values.
    """

    variable: Variable
    default: str
    also: tuple[str, ...] = ()
    later: tuple[str, ...] = ()
    resolve: Callable[[str, Mapping[str, str]], str] = lambda value, _: value


class Refused(ValueError):
    """A value is not allowed; the message says why and, unlike those of libraries, never repeats the value."""


@dataclass(frozen=True, slots=True)
class Rate:
    """So many in so many seconds."""

    count: int
    seconds: int

    def __str__(self) -> str:
        unit = next(unit for unit, seconds in _RATE_SECONDS.items() if seconds == self.seconds)
        return f"{self.count}/{unit}"


def rate(value: object) -> object:
    """Read ``60/minute``."""
    if not isinstance(value, str):
        return value
    match = _RATE.fullmatch(value.strip())
    if match is None:
        raise Refused("is no rate")
    return Rate(int(match[1]), _RATE_SECONDS[match[2]])


def masked(text: str) -> str:
    """The text without what may be a password: the one before an ``@``, and the query of an address."""
    scheme = _SCHEME.match(text)
    head, rest = (scheme[0], text[scheme.end() :]) if scheme else ("", text)
    if scheme and "?" in rest and "@" not in rest.partition("?")[2]:
        rest = f"{rest.partition('?')[0]}?{HIDDEN}"
    if scheme and _NO_PORT.match(rest):
        rest = f"{rest.partition(':')[0]}:{HIDDEN}"
    match = _USERINFO.match(rest)
    if match is not None:
        user = match["user"]
        rest = f"{user}:{HIDDEN}@{rest[match.end() :]}" if user and scheme else f"{HIDDEN}@{rest[match.end() :]}"
    return head + rest


def quoted(text: str) -> str:
    """The text between quotes, on one line, cut to a readable length."""
    return repr(text if len(text) <= _SHOWN_MOST else f"{text[:_SHOWN_MOST]}…")


def is_loopback(host: str) -> bool:
    """Whether what is sent to this host stays on this machine."""
    name = host.strip("[]").lower()
    if name == "localhost":
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False


def host_name(value: str) -> str:
    """A host name or an IP address, without brackets."""
    name = value.removeprefix("[").removesuffix("]")
    try:
        ip_address(name)
    except ValueError:
        if not _HOST.fullmatch(name):
            raise Refused("is neither a host name nor an IP address") from None
    return name


def outbound_url(value: str) -> str:
    """An address that a key may travel to: ``https``, or ``http`` that stays on this machine."""
    parts = urlsplit(value)
    host = parts.hostname
    if parts.scheme not in {"https", "http"} or not host:
        raise Refused("is no http address")
    if parts.scheme == "http" and not is_loopback(host):
        raise Refused("would send requests, and a key with them, in clear text")
    if parts.username is not None or parts.query or parts.fragment:
        raise Refused("must have no user, query or fragment")
    host_name(host)
    _ = parts.port  # raises ValueError for what is no port
    return value


def server_url(value: str, *schemes: str) -> str:
    """The address of a server that may hold a user and a password, of one of these schemes; any scheme without."""
    parts = urlsplit(value)
    if schemes and parts.scheme.lower() not in schemes:
        raise Refused(f"does not begin with {' or '.join(f'{scheme}://' for scheme in schemes)}")
    try:
        usable = parts.port != 0
        host = parts.hostname
    except ValueError:
        raise Refused(
            "names no server: its port is no number, or a character of the password wants %-encoding"
        ) from None
    if not usable:
        raise Refused("names no port that anybody could listen on")
    if host:
        host_name(host)
    elif schemes:
        raise Refused("names no server")
    return value


@dataclass(frozen=True, slots=True)
class Server:
    """The parts of a server's address."""

    scheme: str
    host: str
    port: int
    user: str | None = None
    password: str | None = field(default=None, repr=False)


def server_of(url: str, ports: Mapping[str, int]) -> Server:
    """The parts of an address that `server_url` has accepted; ``ports`` are the usual ones by scheme."""
    parts = urlsplit(url)
    scheme = parts.scheme.lower()
    user, password = (None if part is None else unquote(part) for part in (parts.username, parts.password))
    return Server(scheme, parts.hostname or "localhost", parts.port or ports[scheme], user or None, password or None)


def passwords_in(url: str) -> tuple[str, ...]:
    """The passwords of an address, as they stand there and as a person would write them.

    Not one that is the user's name as well: struck out wherever it stands, it would take half of the log along.
    """
    parts = urlsplit(url)
    raw = [parts.password, *(value for name, value in parse_qsl(parts.query) if "password" in name)]
    given = (text for one in raw if one for text in (one, unquote(one)))
    return tuple(dict.fromkeys(text for text in given if text != parts.username))


def mail_address(value: str) -> str:
    """``ann@example.com`` or ``Ann <ann@example.com>``, in one line."""
    addresses = getaddresses([value]) if value.isprintable() else []
    address = addresses[0][1] if len(addresses) == 1 else ""
    local, at, domain = address.rpartition("@")
    if not (at and local and local.isprintable() and not set(local) & set(' <>,;:"()[]')):
        raise Refused("is no mail address")
    host_name(domain)
    return value


def text_of(value: Any) -> str:
    """A value as it is written in the environment."""
    if value is None:
        return ""
    if isinstance(value, SecretStr):
        return value.get_secret_value()  # a default: it stands in the code
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return str(value)
