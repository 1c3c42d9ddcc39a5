"""Identities."""

from abc import ABC, abstractmethod
from uuid import UUID


class Ids(ABC):
    """Makes identities that are unique everywhere and sort roughly by the time they were made."""

    @abstractmethod
    def new(self) -> UUID:
        """A fresh UUID of version 7 (RFC 9562)."""
