"""What can be chosen about the edge of the web application."""

from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network

from ports.rate_limit import RateLimit

IN_FLIGHT_MOST = 1000  # far beyond what one process gets done at once: whoever comes later would wait for too long


@dataclass(frozen=True, slots=True, kw_only=True)
class EdgeOptions:
    """Bounds on callers, and whether they are counted; what is not said of bounds is off, but for those in flight."""

    rate_limit: RateLimit | None = None
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...] = ()
    in_flight_most: int = IN_FLIGHT_MOST
    cors_origins: tuple[str, ...] = ()
    metrics: bool = True


PROBES = frozenset({"/livez", "/readyz", "/metrics"})  # answered whatever happens: who asks decides about our life
