"""By which name a caller is counted: who it is when its token says so, else the address that it calls from."""

from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from starlette.requests import Request
from starlette.types import Scope

from entrypoints.web.errors import Problem
from entrypoints.web.security import bearer_token
from ports.errors import Unavailable
from ports.identity import Identity, InvalidToken

_IPV6_OF_ONE = 64  # bits: whoever has one address of such a network usually has all of it
_HOPS_MOST = 32

Networks = Sequence[IPv4Network | IPv6Network]


class Callers:
    """Tells callers apart.

    ``proxies`` are those whose X-Forwarded-For is believed. It is read from its end, where the nearest of them wrote,
    to the first address that is none of theirs: everything before that may have been made up by the caller.
    """

    def __init__(self, identity: Identity | None, proxies: Networks) -> None:
        self._identity = identity
        self._proxies = proxies

    @property
    def are_addresses(self) -> bool:
        """Whether nobody is asked who they are."""
        return self._identity is None

    async def name_of(self, scope: Scope) -> str:
        """The name of whoever sent this request."""
        if self._identity is not None:
            name = await self._subject(self._identity, scope)
            if name is not None:
                return name
        return self.address_of(scope)

    def address_of(self, scope: Scope) -> str:
        """Where this request comes from."""
        client = scope.get("client")
        host = client[0] if client else ""
        if self._proxies and self._is_proxy(host):
            host = self._forwarded(scope, host)
        return host if ":" not in host else _network_of(host)  # IPv4 is not looked at any closer

    async def _subject(self, identity: Identity, scope: Scope) -> str | None:
        # A token that is not valid makes nobody somebody else. The identity remembers valid ones: the route asks again.
        try:
            token = bearer_token(Request(scope))
            if token is None:
                return None
            principal = await identity.identify(token)
        except (InvalidToken, Unavailable, Problem):
            return None
        return f"{principal.issuer} {principal.subject}"

    def _forwarded(self, scope: Scope, nearest: str) -> str:
        values = [value for name, value in scope["headers"] if name == b"x-forwarded-for"]
        hops = b",".join(values).decode("latin-1").rsplit(",", _HOPS_MOST)
        for hop in reversed(hops[-_HOPS_MOST:]):
            address = _address_of(hop.strip())
            if address is None:
                return nearest
            nearest = address
            if not self._is_proxy(address):
                break
        return nearest

    def _is_proxy(self, host: str) -> bool:
        return _is_in(host, tuple(self._proxies))


@lru_cache(maxsize=4096)
def _is_in(host: str, networks: tuple[IPv4Network | IPv6Network, ...]) -> bool:
    address = _address_of(host)
    return address is not None and any(ip_address(address) in network for network in networks)


@lru_cache(maxsize=4096)
def _address_of(text: str) -> str | None:
    """An address as it is written usually; some proxies add a port."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return str(mapped or address)


@lru_cache(maxsize=4096)
def _network_of(host: str) -> str:
    address = _address_of(host.partition("%")[0])
    if address is None:
        return host
    return str(ip_network((address, _IPV6_OF_ONE), strict=False)) if ":" in address else address
