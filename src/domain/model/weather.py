"""The weather of a city, as a provider observed it."""

import unicodedata
from dataclasses import dataclass
from datetime import datetime

from domain.model.errors import InvalidValue
from domain.model.text import one_line

CITY_MOST = 100


@dataclass(frozen=True, slots=True)
class City:
    """The name of a city as a caller asks for it: one line, 1 to 100 characters.

    Outer and repeated blanks are dropped, and characters that can be written in two ways are written in one (NFC).
    """

    name: str

    def __post_init__(self) -> None:
        try:
            name = one_line(unicodedata.normalize("NFC", self.name), what="A city", most=CITY_MOST)
        except InvalidValue as error:
            raise error.inside("/city") from None
        if "\ufffd" in name:  # stands for what could not be read
            raise InvalidValue("A city must be written in valid UTF-8.", pointer="/city")
        object.__setattr__(self, "name", " ".join(name.split()))

    @property
    def key(self) -> str:
        """Equal for spellings that differ in case only.

        Not `str.casefold`: it takes letters for each other that are none (ſ and s, ﬂ and fl), so a provider that does
        not know such a spelling would answer for the usual one too.
        """
        if self.name.isascii():
            return self.name.lower()
        return "".join(low if (low := letter.lower()).upper() == letter else letter for letter in self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Weather:
    """One observation.

    Units: degrees Celsius, per cent, hectopascal, metres per second; times are UTC. ``country`` is ISO 3166 alpha-2.
    ``provider`` says who observed it and ``retrieved_at`` when we asked; ``stale`` is true when a fresher answer could
    not be had.
    """

    city: str
    country: str | None
    observed_at: datetime
    temperature_c: float
    feels_like_c: float
    humidity_percent: int
    pressure_hpa: float
    wind_speed_m_s: float
    conditions: str
    provider: str
    retrieved_at: datetime
    stale: bool = False
