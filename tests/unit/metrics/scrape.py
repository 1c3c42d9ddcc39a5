"""What a scrape brings, to be looked into."""

from collections.abc import Iterable
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

from entrypoints.testing import Crossdock

Labels = frozenset[tuple[str, str]]
PAUSE = 3.0  # seconds: what waits is asked for anew


@dataclass(frozen=True)
class Scrape:
    """Each sample by its name and labels."""

    text: str
    samples: dict[tuple[str, Labels], float]

    def __call__(self, metric: str, /, **labels: str) -> float:
        """The sum of the samples of this name that have at least these labels; `KeyError` when there is none."""
        found = [value for (given, of), value in self.samples.items() if given == metric and labels.items() <= of]
        if not found:
            raise KeyError(metric, labels)
        return sum(found)

    def series(self, *but: str) -> set[tuple[str, Labels]]:
        """Which there are, but for names that begin so."""
        return {key for key in self.samples if not key[0].startswith(tuple(but) or ("\0",))}

    def values_of(self, label: str) -> set[str]:
        """What stands at a label, anywhere."""
        return {dict(labels)[label] for _, labels in self.samples if label in dict(labels)}


def read(text: str) -> Scrape:
    families = text_string_to_metric_families(text)
    samples: Iterable[tuple[tuple[str, Labels], float]] = (
        ((sample.name, frozenset(sample.labels.items())), sample.value)
        for family in families
        for sample in family.samples
    )
    return Scrape(text, dict(samples))


async def scrape(dock: Crossdock) -> Scrape:
    await dock.clock.advance(PAUSE)
    answer = await dock.client.get("/metrics")
    assert answer.status_code == 200
    return read(answer.text)
