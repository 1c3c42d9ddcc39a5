"""What the settings say about the edge of the web application."""

from ipaddress import ip_network

from entrypoints.container import Container
from entrypoints.web.edge_options import EdgeOptions


def edge_options(container: Container) -> EdgeOptions:
    """The bounds on callers, as they were chosen."""
    server = container.settings().server
    return EdgeOptions(
        rate_limit=container.rate_limit(),
        trusted_proxies=tuple(ip_network(each) for each in server.trusted_proxies),
        in_flight_most=server.max_in_flight,
        cors_origins=server.cors_origins,
        metrics=container.settings().telemetry.metrics,
    )
