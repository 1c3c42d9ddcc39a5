"""Each alert fires for what it is there for, no sooner than it says, and is over when that is.

By Prometheus' own tester of rules, where half an hour passes at once; that the product really says what is written here
is seen in `test_alerts_fire.py`.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.integration.monitoring.promtool import MONITORING, promtool
from tests.unit.metrics.test_monitoring import ALERTS

WELL, ILL, AFTER = 20, 60, 60  # samples, half a minute apart
JOB = 'job="crossdock",instance="api:8000"'


@dataclass(frozen=True)
class Story:
    """Values of series while all is well and while it is not; ``1+5`` grows by 5 with each sample from 1 on."""

    well: Mapping[str, str]
    ill: Mapping[str, str]
    soonest: int  # minutes of trouble in which it does not fire yet


def gauge(name: str, labels: str = "", *, well: float = 0, ill: float, soonest: int) -> Story:
    series = f"{name}{{{JOB}{',' if labels else ''}{labels}}}"
    return Story({series: f"{well}+0"}, {series: f"{ill}+0"}, soonest)


def check(name: str, *, soonest: int) -> Story:
    return gauge("crossdock_check", f'check="{name}",cause="out_of_reach"', ill=1, soonest=soonest)


def rates(well: Mapping[str, int], ill: Mapping[str, int], *, soonest: int) -> Story:
    """Counters, by how much they grow with each sample."""

    def told(grows: Mapping[str, int]) -> dict[str, str]:
        return {series.replace("{", f"{{{JOB},"): f"0+{by}" for series, by in grows.items()}

    return Story(told(well), told(ill), soonest)


def slow(name: str, bounds: tuple[str, ...], *, well: int, ill: int, soonest: int) -> Story:
    """A histogram, whose values are all below the bound at ``well``, or ``ill``."""

    def grows(first: int) -> dict[str, int]:
        return {f'{name}_bucket{{le="{bound}"}}': 100 if at >= first else 0 for at, bound in enumerate(bounds)}

    return rates(grows(well), grows(ill), soonest=soonest)


REQUESTS = "crossdock_http_requests_total"
BREAKER = f'crossdock_outside_breaker{{{JOB},api="openweather",state="open"}}'
WEATHER = f'crossdock_check{{{JOB},check="weather",cause="out_of_reach"}}'
LAG = f'crossdock_consumer_lag{{{JOB},topic="order_events"}}'
STORIES = {
    "CrossdockDown": gauge("up", well=1, ill=0, soonest=0),
    "CrossdockStorageOutOfReach": check("storage", soonest=0),
    "CrossdockBrokerOutOfReach": check("event_broker", soonest=0),
    "CrossdockCheckInTrouble": check("cache", soonest=4),
    "CrossdockEventsLate": gauge("crossdock_oldest_due_age_seconds", 'lane="event"', well=5, ill=70, soonest=0),
    "CrossdockTasksLate": gauge("crossdock_oldest_due_age_seconds", 'lane="task"', well=200, ill=400, soonest=0),
    "CrossdockConsumerStuck": gauge("crossdock_check", 'check="handling",cause="behind"', ill=1, soonest=0),
    "CrossdockNothingReceived": Story(
        {LAG: "50+0", f"crossdock_received_total{{{JOB}}}": "0+10"},
        {LAG: "50+0", f"crossdock_received_total{{{JOB}}}": "200+0"},
        soonest=5,
    ),
    "CrossdockConsumerBehind": gauge("crossdock_consumer_lag", 'topic="t"', well=900, ill=20_000, soonest=9),
    "CrossdockEffectsLate": slow(
        "crossdock_effect_delay_seconds", ("1", "60", "300", "+Inf"), well=0, ill=2, soonest=9
    ),
    "CrossdockDeadLetters": gauge("crossdock_deliveries", 'lane="task",state="dead"', ill=1, soonest=0),
    "CrossdockProviderDown": Story({BREAKER: "0+0", WEATHER: "0+0"}, {BREAKER: "1+0", WEATHER: "1+0"}, soonest=0),
    "CrossdockQuotaSpent": rates(
        {'crossdock_outside_calls_total{outcome="quota_spent"}': 0},
        {'crossdock_outside_calls_total{outcome="quota_spent"}': 7},
        soonest=4,
    ),
    "CrossdockErrors": rates(
        {f'{REQUESTS}{{status="201"}}': 100, f'{REQUESTS}{{status="503"}}': 1},
        {f'{REQUESTS}{{status="201"}}': 100, f'{REQUESTS}{{status="503"}}': 20},
        soonest=1,
    ),
    "CrossdockSlow": slow(
        "crossdock_http_request_duration_seconds", ("0.1", "1", "5", "+Inf"), well=0, ill=2, soonest=4
    ),
    "CrossdockPoolExhausted": Story(
        {f'crossdock_pool_in_use{{{JOB},pool="http"}}': "3+0", f'crossdock_pool_size{{{JOB},pool="http"}}': "8+0"},
        {f'crossdock_pool_in_use{{{JOB},pool="http"}}': "9+0", f'crossdock_pool_size{{{JOB},pool="http"}}': "8+0"},
        soonest=0,
    ),
}


def values(well: str, ill: str) -> str:
    """First well, then ill, then well again; what grows begins anew with each, as after a restart."""
    return f"{well}x{WELL - 1} {ill}x{ILL - 1} {well}x{AFTER - 1}"


def test_each_alert_has_its_story() -> None:
    assert STORIES.keys() == ALERTS.keys()


@pytest.mark.parametrize("alert", STORIES)
def test_it_fires_for_its_trouble_alone_and_is_over_with_it(alert: str, tmp_path: Path) -> None:
    story = STORIES[alert]
    firing = f'count(ALERTS{{alertname="{alert}",alertstate="firing"}}) or vector(0)'
    begins, ends, last = (each // 2 for each in (WELL, WELL + ILL, WELL + ILL + AFTER))
    minutes = {begins - 1: 0, begins + story.soonest: 0, ends - 1: 1, last - 1: 0}
    test = {
        "rule_files": [str(MONITORING / "alerts.yml")],
        "evaluation_interval": "30s",
        "tests": [
            {
                "interval": "30s",
                "input_series": [
                    {"series": series, "values": values(story.well[series], story.ill[series])} for series in story.well
                ],
                "promql_expr_test": [
                    {"expr": firing, "eval_time": f"{minute}m", "exp_samples": [{"labels": "{}", "value": value}]}
                    for minute, value in minutes.items()
                ],
            }
        ],
    }
    file = tmp_path / "test.yml"
    file.write_text(json.dumps(test))

    assert "SUCCESS" in promtool("test", "rules", file)


OF_STORAGE, OF_BROKER, OF_CONSUMER, OF_CHECK = (
    f"Crossdock{name}" for name in ("StorageOutOfReach", "BrokerOutOfReach", "ConsumerStuck", "CheckInTrouble")
)


@pytest.mark.parametrize(
    ("checks", "fires"),
    [
        ({("storage", "refused"), ("consumer", "refused"), ("handling", "refused")}, {(OF_STORAGE, "refused")}),
        ({("storage", "full"), ("housekeeping", "full")}, {(OF_STORAGE, "full")}),
        ({("reactions", "stuck"), ("handling", "stuck"), ("retrying", "behind")}, {(OF_CONSUMER, "stuck")}),
        (
            {("event_broker", "out_of_reach"), ("consumer", "out_of_reach"), ("identity", "out_of_reach")},
            {(OF_BROKER, "out_of_reach"), (OF_CHECK, "out_of_reach")},
        ),
        ({("event_broker", "stuck"), ("reactions", "stuck")}, {(OF_BROKER, "stuck"), (OF_CONSUMER, "stuck")}),
        (
            {("reactions", "out_of_reach"), ("handling", "behind")},
            {(OF_CHECK, "out_of_reach"), (OF_CONSUMER, "behind")},
        ),
    ],
    ids=["storage refuses", "disk full", "reaction hangs", "two are away", "queue and reaction", "pause and more"],
)
def test_one_fault_is_one_alert_and_two_are_two(
    checks: set[tuple[str, str]], fires: set[tuple[str, str]], tmp_path: Path
) -> None:
    """Checks that rest on another have its cause, in their own process; what others say is left to the alerts."""
    series = {f'crossdock_check{{{JOB},check="{name}",cause="{cause}"}}': "1x400" for name, cause in checks}

    assert_fires(series, {"10m": fires}, tmp_path)


def test_what_has_rested_on_the_broker_is_no_alert_of_its_own_when_that_is_well_again(tmp_path: Path) -> None:
    """For half a minute it keeps the cause."""
    series = {
        f'crossdock_check{{{JOB},check="event_broker",cause="refused"}}': "1x30 0x170",
        f'crossdock_check{{{JOB},check="consumer",cause="refused"}}': "1x200",
    }
    minute = {(OF_BROKER, "refused")}

    assert_fires(series, {"1m": minute, "1m30s": set(), "3m": {(OF_CONSUMER, "refused")}}, tmp_path)


def assert_fires(series: Mapping[str, str], at: Mapping[str, set[tuple[str, str]]], folder: Path) -> None:
    """With a sample every two seconds: these alerts, by name and cause, and no other."""
    test = {
        "rule_files": [str(MONITORING / "alerts.yml")],
        "evaluation_interval": "1s",
        "tests": [
            {
                "interval": "2s",
                "input_series": [{"series": each, "values": values} for each, values in series.items()],
                "promql_expr_test": [
                    {
                        "expr": 'count by (alertname, cause) (ALERTS{alertstate="firing"})',
                        "eval_time": time,
                        "exp_samples": [
                            {"labels": f'{{alertname="{alert}",cause="{cause}"}}', "value": 1} for alert, cause in fires
                        ],
                    }
                    for time, fires in at.items()
                ],
            }
        ],
    }
    file = folder / "test.yml"
    file.write_text(json.dumps(test))

    assert "SUCCESS" in promtool("test", "rules", file)
