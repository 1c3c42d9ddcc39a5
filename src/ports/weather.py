"""The weather now."""

from abc import ABC, abstractmethod

from domain.model.weather import City, Weather


class WeatherProvider(ABC):
    """Knows the current weather of cities.

    A driver knows one provider and tries once; whatever makes that quick and safe wraps it behind this same port.
    """

    @abstractmethod
    async def current(self, city: City) -> Weather:
        """The latest observation.

        Raises `CityNotFound` when there is no such place, `WeatherNotConfigured` when a key is wanted and missing,
        `Unavailable` when the provider cannot answer now, `Rejected` when it answers what we cannot use. Ends by
        its own deadline. May be called by many at once.
        """

    @property
    def trouble(self) -> str | None:
        """What keeps it from being asked, as far as it knows without asking; None when nothing does."""
        return None

    async def stop(self) -> None:  # noqa: B027 - most have nothing on their way
        """End what is on its way and ask nothing more; whoever waits hears `Unavailable`. May be called twice."""
