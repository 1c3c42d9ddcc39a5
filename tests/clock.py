"""The clock that tests hold in their hand is part of the product: its users' suites need it as well."""

from adapters.manual_clock import ManualClock

__all__ = ["ManualClock"]
