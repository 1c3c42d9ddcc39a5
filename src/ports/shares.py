"""Which partitions a process may act for, when several share the work."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping


class Shares(ABC):
    """One member's part of numbered partitions; no two members hold one at the same time.

    A member that stops asking loses what it held within seconds, and others take it over.
    """

    @abstractmethod
    async def hold(self, side: str) -> Mapping[int, int]:
        """The partitions that are ours now, each with a fence, which grows whenever a partition changes hands.

        To be asked again every second or two. Members of different sides never hold shares together. Raises
        `Unavailable` when it cannot be told; what was held may be another's soon.
        """

    @abstractmethod
    async def give_back(self) -> None:
        """Let others have all of it at once instead of when it runs out."""


# A new member's shares of the partitions of a group.
SharesOf = Callable[[str], Shares]
