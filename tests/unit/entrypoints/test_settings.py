import json
import traceback
from pathlib import Path
from typing import Annotated

import pytest

from entrypoints.settings import Settings, SettingsError
from entrypoints.settings_ports import (
    BackgroundTaskQueue,
    LogMailer,
    MemcachedCache,
    MemoryBroker,
    MemoryCache,
    MemoryMailer,
    MemoryPersistence,
    MemoryTaskQueue,
    NoIdentity,
    OpenMeteo,
    OpenWeather,
    Part,
    RedisCache,
    SampleWeather,
    SeveralWeather,
    SqlitePersistence,
)
from entrypoints.settings_report import env_example
from entrypoints.settings_slots import Slot
from entrypoints.settings_sources import Given, Origin, Problem
from entrypoints.settings_variables import Rate, Variable, masked

ROOT = Path(__file__).parents[3]
CANARY = "canary-7f3a9c"


def refused(**environ: str) -> tuple[Problem, ...]:
    with pytest.raises(SettingsError) as caught:
        Settings.load(environ, None)
    return caught.value.problems


def test_what_holds_when_nothing_is_set() -> None:
    settings = Settings.load({}, None)

    assert settings.persistence == SqlitePersistence(path=Path("crossdock.db"))
    assert settings.event_broker == MemoryBroker(topic_prefix="", consumer_group="crossdock", partitions=12)
    assert settings.task_queue == BackgroundTaskQueue()
    assert (settings.delivery.max_attempts, settings.delivery.retry_delay) == (8, 1)
    assert isinstance(settings.weather, OpenMeteo)
    assert (settings.weather.ttl, settings.weather.stale, settings.weather.quota) == (600, 3600, Rate(60, 60))
    assert settings.cache == MemoryCache()
    assert settings.mailer == LogMailer()
    assert settings.identity == NoIdentity()
    assert (settings.server.host, settings.server.port, settings.server.grace) == ("127.0.0.1", 8000, 10)
    assert settings.server.operator_token is None
    assert (settings.logging.format, settings.logging.level) == ("auto", "info")
    assert settings.faults.armed == ""


@pytest.mark.parametrize(
    ("port", "variable", "value", "chosen"),
    [
        ("persistence", "DATABASE_URL", "sqlite:///orders.db", SqlitePersistence),
        ("persistence", "DATABASE_URL", "memory://", MemoryPersistence),
        ("event_broker", "CROSSDOCK_EVENT_BROKER", "memory", MemoryBroker),
        ("task_queue", "CROSSDOCK_TASK_QUEUE", "background", BackgroundTaskQueue),
        ("task_queue", "CROSSDOCK_TASK_QUEUE", "memory", MemoryTaskQueue),
        ("weather", "CROSSDOCK_WEATHER", "auto", OpenMeteo),
        ("weather", "CROSSDOCK_WEATHER", "openweather", OpenWeather),
        ("weather", "CROSSDOCK_WEATHER", "open_meteo", OpenMeteo),
        ("weather", "CROSSDOCK_WEATHER", "sample", SampleWeather),
        ("cache", "CROSSDOCK_CACHE", "memory", MemoryCache),
        ("cache", "CROSSDOCK_CACHE", "redis", RedisCache),
        ("cache", "CROSSDOCK_CACHE", "memcached", MemcachedCache),
        ("mailer", "CROSSDOCK_MAILER", "log", LogMailer),
        ("mailer", "CROSSDOCK_MAILER", "memory", MemoryMailer),
        ("identity", "CROSSDOCK_IDENTITY", "none", NoIdentity),
    ],
)
def test_a_backend_is_chosen_by_one_variable(port: str, variable: str, value: str, chosen: type[Part]) -> None:
    settings = Settings.load({variable: value}, None)

    assert type(getattr(settings, port)) is chosen


def test_callers_are_bounded_as_it_is_said() -> None:
    server = Settings.load(
        {
            "CROSSDOCK_RATE_LIMIT": "100/second",
            "CROSSDOCK_TRUSTED_PROXIES": "10.0.0.0/8, ::1",
            "CROSSDOCK_MAX_IN_FLIGHT": "50",
            "CROSSDOCK_CORS_ORIGINS": "https://app.example.com,http://localhost:5173",
        },
        None,
    ).server

    assert server.rate_limit == Rate(100, 1)
    assert server.trusted_proxies == ("10.0.0.0/8", "::1")
    assert server.max_in_flight == 50
    assert server.cors_origins == ("https://app.example.com", "http://localhost:5173")


def test_without_a_word_nobody_is_limited_and_nobody_believed() -> None:
    server = Settings.load({"CROSSDOCK_RATE_LIMIT": ""}, None).server

    assert (server.rate_limit, server.trusted_proxies, server.cors_origins) == (None, (), ())
    assert server.max_in_flight == 1000


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("DATABASE_URL", "orders.db"),
        ("DATABASE_URL", "sqlite://"),
        ("DATABASE_URL", "sqlite:///"),
        ("DATABASE_URL", "sqlite://orders.db"),
        ("DATABASE_URL", "sqlite:///:memory:"),
        ("DATABASE_URL", "sqlite:///orders.db?mode=ro"),
        ("DATABASE_URL", "sqlite:////var/lib/"),
        ("DATABASE_URL", "memory://somewhere"),
        ("DATABASE_URL", "mysql://localhost/crossdock"),
        ("CROSSDOCK_EVENT_BROKER", "nats"),
        ("CROSSDOCK_EVENT_BROKER", "Memory"),
        ("CROSSDOCK_TOPIC_PREFIX", "staging/"),
        ("CROSSDOCK_TOPIC_PREFIX", "x" * 101),
        ("CROSSDOCK_CONSUMER_GROUP", "two words"),
        ("CROSSDOCK_PARTITIONS", "0"),
        ("CROSSDOCK_PARTITIONS", "1025"),
        ("CROSSDOCK_PARTITIONS", "twelve"),
        ("CROSSDOCK_PARTITIONS", "1.5"),
        ("CROSSDOCK_MAX_ATTEMPTS", "0"),
        ("CROSSDOCK_RETRY_DELAY", "-1"),
        ("CROSSDOCK_RETRY_DELAY", "61"),
        ("CROSSDOCK_RETRY_DELAY", "nan"),
        ("CROSSDOCK_TASK_QUEUE", "threads"),
        ("CROSSDOCK_WEATHER", "guess"),
        ("CROSSDOCK_WEATHER", ","),
        ("CROSSDOCK_WEATHER_TTL", "0"),
        ("CROSSDOCK_WEATHER_STALE", "-1"),
        ("CROSSDOCK_RATE_LIMIT", "100"),
        ("CROSSDOCK_RATE_LIMIT", "0/second"),
        ("CROSSDOCK_TRUSTED_PROXIES", "proxy.example.com"),
        ("CROSSDOCK_TRUSTED_PROXIES", "10.0.0.1/8"),
        ("CROSSDOCK_MAX_IN_FLIGHT", "0"),
        ("CROSSDOCK_CORS_ORIGINS", "app.example.com"),
        ("CROSSDOCK_CORS_ORIGINS", "https://app.example.com/"),
        ("CROSSDOCK_CORS_ORIGINS", "null"),
        ("CROSSDOCK_WEATHER_QUOTA", "60"),
        ("CROSSDOCK_WEATHER_QUOTA", "0/minute"),
        ("CROSSDOCK_WEATHER_QUOTA", "60/fortnight"),
        ("CROSSDOCK_CACHE", "disk"),
        ("CROSSDOCK_MAILER", "pigeon"),
        ("CROSSDOCK_IDENTITY", "basic"),
        ("OPEN_METEO_GEOCODING_URL", "geocoding-api.example"),
        ("OPEN_METEO_GEOCODING_URL", "ftp://api.example/v1"),
        ("OPEN_METEO_FORECAST_URL", "http://api.example/v1"),
        ("OPEN_METEO_FORECAST_URL", "http://localhost.example/v1"),
        ("OPEN_METEO_FORECAST_URL", "https://api.example/v1?units=metric"),
        ("OPEN_METEO_FORECAST_URL", "https://api.example/v1#now"),
        ("OPEN_METEO_FORECAST_URL", "https://api.example:port/v1"),
        ("OPEN_METEO_FORECAST_URL", "https://[::1/v1"),
        ("HOST", "two words"),
        ("HOST", "a..b"),
        ("PORT", "-1"),
        ("PORT", "65536"),
        ("PORT", "http"),
        ("CROSSDOCK_GRACE", "-1"),
        ("CROSSDOCK_GRACE", "inf"),
        ("CROSSDOCK_IDEMPOTENCY_KEEP", "59"),
        ("CROSSDOCK_IDEMPOTENCY_KEEP", "2592001"),
        ("CROSSDOCK_LOG_FORMAT", "xml"),
        ("CROSSDOCK_LOG_LEVEL", "loud"),
        ("CROSSDOCK_FAULT", "api.before-commit"),
        ("CROSSDOCK_FAULT", "api.before-commit:explode"),
        ("CROSSDOCK_FAULT", "api.before-commit:kill:0"),
        ("CROSSDOCK_FAULT", "no.such-point:kill"),
    ],
)
def test_a_bad_value_is_refused_with_what_is_allowed(variable: str, value: str) -> None:
    (problem,) = refused(**{variable: value})

    assert problem.variable == variable
    assert problem.wrong
    assert problem.allowed


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("DATABASE_URL", "sqlite:////var/lib/crossdock/orders.db"),
        ("CROSSDOCK_TOPIC_PREFIX", "staging."),
        ("CROSSDOCK_RETRY_DELAY", "0.01"),
        ("CROSSDOCK_WEATHER_STALE", "0"),
        ("CROSSDOCK_WEATHER_QUOTA", "1000/day"),
        ("OPEN_METEO_FORECAST_URL", "http://127.0.0.1:8099/v1/forecast"),
        ("OPEN_METEO_FORECAST_URL", "http://[::1]:8099/v1/forecast"),
        ("OPEN_METEO_FORECAST_URL", "http://localhost:8099"),
        ("HOST", "0.0.0.0"),
        ("HOST", "::"),
        ("PORT", "0"),
        ("CROSSDOCK_GRACE", "0.5"),
        ("CROSSDOCK_FAULT", "relay.after-claim:freeze"),
        ("CROSSDOCK_FAULT", "commit.mid-batch:kill:3"),
    ],
)
def test_an_unusual_value_that_makes_sense_is_taken(variable: str, value: str) -> None:
    settings = Settings.load({variable: value}, None)

    (line,) = (line for line in settings.lines if line.variable.name == variable)
    assert (line.shown, line.origin) == (value, Origin.ENVIRONMENT)


def test_everything_that_is_wrong_is_told_at_once() -> None:
    problems = refused(PORT="x", CROSSDOCK_CACHE="disk", CROSSDOCK_CASH="memory", DATABASE_URL="mysql://h/d")

    assert {problem.variable for problem in problems} == {"PORT", "CROSSDOCK_CACHE", "CROSSDOCK_CASH", "DATABASE_URL"}


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("CROSSDOCK_EVENT_BROKR", "is unknown; did you mean CROSSDOCK_EVENT_BROKER?"),
        ("crossdock_cache", "is unknown; did you mean CROSSDOCK_CACHE?"),
        ("CROSSDOCK_QQQ", "is unknown"),
    ],
)
def test_an_unknown_name_with_our_prefix_is_told_with_the_nearest_that_exists(name: str, wrong: str) -> None:
    (problem,) = refused(**{name: CANARY})

    assert (problem.variable, problem.wrong) == (name, wrong)


def test_names_without_our_prefix_belong_to_others() -> None:
    Settings.load({"KAFKA_BOOTSTRAP_SERVERS": "elsewhere:9092", "OTEL_SDK_DISABLED": "true", "HOME": "/"}, None)


@pytest.mark.parametrize(
    ("name", "meant"),
    [("OIDC_AUDIENC", "OIDC_AUDIENCE"), ("REDIS_UL", "REDIS_URL"), ("DATABASE_UR", "DATABASE_URL")],
)
def test_a_name_of_the_environment_that_is_ours_but_for_a_letter_is_pointed_out(name: str, meant: str) -> None:
    """It is not refused: the environment belongs to others as well."""
    settings = Settings.load({name: CANARY, "HOSTNAME": "here", "REDIS_PORT": "1", "DATABASE_URLS": ""}, None)

    assert [(each.variable, each.wrong) for each in settings.suspects] == [
        (name, f"is read by nobody here; did you mean {meant}?")
    ]


@pytest.mark.parametrize(
    ("line", "variable", "wrong"),
    [
        ("CROSSDOCK_CASH=redis", "CROSSDOCK_CASH", "is unknown; did you mean CROSSDOCK_CACHE?"),
        ("# a comment\nFOO", ".env line 2", "has no `=`"),
    ],
)
def test_what_is_ours_in_the_file_and_means_nothing_is_refused(
    tmp_path: Path, line: str, variable: str, wrong: str
) -> None:
    dotenv = tmp_path / ".env"
    dotenv.write_text(f"{line}\n")

    with pytest.raises(SettingsError) as caught:
        Settings.load({}, dotenv)

    (problem,) = caught.value.problems
    assert (problem.variable, problem.wrong) == (variable, wrong)


def test_the_file_belongs_to_others_as_well_and_what_is_ours_but_for_a_letter_is_pointed_out(tmp_path: Path) -> None:
    """The names of Docker, of a shell or of a library next to ours are no reason not to start."""
    dotenv = tmp_path / ".env"
    names = ("COMPOSE_PROJECT_NAME", "AWS_REGION", "https_proxy", "GF_SECURITY_ADMIN_USER", "OTEL_LOG_LEVEL", "QQQ")
    dotenv.write_text("".join(f"{name}=1\n" for name in (*names, "DATABASE_UR")))

    settings = Settings.load({}, dotenv)

    (suspect,) = settings.suspects
    assert (suspect.variable, suspect.where) == ("DATABASE_UR", ".env")
    assert suspect.wrong == "is read by nobody here; did you mean DATABASE_URL?"


def test_the_settings_of_what_was_not_chosen_are_checked_as_well() -> None:
    problems = refused(
        SMTP_URL=f"smtp://u:{CANARY}@h:x", KAFKA_BOOTSTRAP_SERVERS="nowhere", OIDC_SSL_CAFILE_FILE="/nowhere", PORT="x"
    )

    assert {problem.variable for problem in problems} == {
        "KAFKA_BOOTSTRAP_SERVERS",
        "SMTP_URL",
        "OIDC_SSL_CAFILE_FILE",
        "PORT",
    }
    assert CANARY not in str(problems)


def test_what_is_ours_stops_the_service_also_when_it_is_not_used() -> None:
    (problem,) = refused(CROSSDOCK_OIDC_LEEWAY="soon")

    assert problem.variable == "CROSSDOCK_OIDC_LEEWAY"


def test_what_a_choice_is_found_out_by_is_used() -> None:
    """With auto a key that cannot be had would silently make it another provider."""
    (problem,) = refused(OPEN_WEATHER_API_KEY_FILE="/nowhere")

    assert problem.variable == "OPEN_WEATHER_API_KEY_FILE"


def test_what_was_not_chosen_may_be_incomplete() -> None:
    """A name without its password is no mistake as long as nobody says it."""
    Settings.load({"KAFKA_SECURITY_PROTOCOL": "SASL_SSL", "KAFKA_SASL_USERNAME": "ann"}, None)


def test_a_missing_value_is_told_as_missing() -> None:
    class Smtp(Part):
        password: Annotated[str, Variable("SMTP_PASSWORD", "what it says", "a password", secret=True)]

    problems: list[Problem] = []

    read = Slot("mailer", (Smtp,), choice=None).read(Given({}), problems)

    assert read is None
    assert problems == [Problem("SMTP_PASSWORD", "is missing", "a password")]


def test_the_environment_wins_over_the_file_and_both_are_remembered(tmp_path: Path) -> None:
    dotenv = tmp_path / ".env"
    dotenv.write_text("PORT=8001\nCROSSDOCK_GRACE=5\n")

    settings = Settings.load({"PORT": "8002"}, dotenv)

    assert (settings.server.port, settings.server.grace) == (8002, 5)
    origins = {line.variable.name: line.origin for line in settings.lines}
    assert origins["PORT"] is Origin.ENVIRONMENT
    assert origins["CROSSDOCK_GRACE"] is Origin.DOTENV
    assert origins["HOST"] is Origin.DEFAULT


def test_an_empty_variable_counts_as_none_and_hides_the_one_in_the_file(tmp_path: Path) -> None:
    dotenv = tmp_path / ".env"
    dotenv.write_text("CROSSDOCK_TOPIC_PREFIX=staging.\n")

    settings = Settings.load({"CROSSDOCK_TOPIC_PREFIX": "", "PORT": " "}, dotenv)

    assert settings.event_broker.topic_prefix == ""
    assert settings.server.port == 8000


def test_a_dollar_in_the_file_is_a_dollar(tmp_path: Path) -> None:
    dotenv = tmp_path / ".env"
    dotenv.write_text("CROSSDOCK_OPERATOR_TOKEN=a${PORT}b\n")

    settings = Settings.load({"PORT": "8001"}, dotenv)

    assert settings.secrets == ("a${PORT}b",)


@pytest.mark.parametrize("content", [b"PORT=8001\n'no name' and no value\n", b"PORT=\xff\xfe\n"])
def test_a_file_that_cannot_be_read_is_a_problem_and_not_passed_over(tmp_path: Path, content: bytes) -> None:
    dotenv = tmp_path / ".env"
    dotenv.write_bytes(content)

    with pytest.raises(SettingsError) as caught:
        Settings.load({}, dotenv)

    assert [problem.variable.split()[0] for problem in caught.value.problems] == [".env"]


def test_no_file_is_no_problem(tmp_path: Path) -> None:
    settings = Settings.load({}, tmp_path / ".env")

    assert settings == Settings.defaults()


def test_auto_is_openweather_once_its_key_is_set() -> None:
    settings = Settings.load({"OPEN_WEATHER_API_KEY": CANARY}, None)

    assert isinstance(settings.weather, OpenWeather)
    assert settings.weather.key is not None
    assert settings.weather.key.get_secret_value() == CANARY


def test_openweather_without_its_key_starts_all_the_same() -> None:
    settings = Settings.load({"CROSSDOCK_WEATHER": "openweather"}, None)

    assert isinstance(settings.weather, OpenWeather)
    assert settings.weather.key is None


@pytest.mark.parametrize(
    ("value", "order"),
    [
        ("openweather,open_meteo", ("openweather", "open_meteo")),
        (" open_meteo , openweather ", ("open_meteo", "openweather")),
        ("openweather,open_meteo,sample", ("openweather", "open_meteo", "sample")),
        ("openweather,sample", ("openweather", "sample")),
    ],
)
def test_several_weather_providers_are_asked_in_the_order_in_which_they_are_named(
    value: str, order: tuple[str, ...]
) -> None:
    settings = Settings.load({"CROSSDOCK_WEATHER": value, "OPEN_WEATHER_API_KEY": CANARY}, None)

    assert isinstance(settings.weather, SeveralWeather)
    assert settings.weather.providers == order
    assert settings.weather.key is not None
    assert settings.weather.key.get_secret_value() == CANARY
    assert settings.weather.forecast_url == OpenMeteo().forecast_url
    assert CANARY not in repr(settings)
    assert settings.secrets == (CANARY,)


@pytest.mark.parametrize("name", ["openweather", "open_meteo", "sample"])
def test_one_weather_provider_is_a_list_of_one(name: str) -> None:
    assert Settings.load({"CROSSDOCK_WEATHER": name}, None).weather.providers == (name,)


@pytest.mark.parametrize(
    ("value", "wrong"),
    [
        ("openweather,openweather", "names openweather twice"),
        ("openweather,guess", "names 'guess', which is not known"),
        ("openweather,", "has a comma without a name on both sides"),
        (",", "has a comma without a name on both sides"),
        ("openweather,auto", "has auto among several: it stands alone"),
        ("openweather,Sample", "names 'Sample', which is not known"),
    ],
)
def test_a_list_of_weather_providers_that_cannot_be_is_refused_by_name(value: str, wrong: str) -> None:
    (problem,) = refused(CROSSDOCK_WEATHER=value)

    assert problem.variable == "CROSSDOCK_WEATHER"
    assert problem.wrong == f"'{value}' {wrong}"
    assert "separated by commas" in problem.allowed


@pytest.mark.parametrize(
    ("host", "on_loopback"),
    [
        ("127.0.0.1", True),
        ("localhost", True),
        ("::1", True),
        ("0.0.0.0", False),
        ("10.0.0.7", False),
        ("db.example", False),
    ],
)
def test_whether_only_this_machine_can_reach_the_service_is_known(host: str, on_loopback: bool) -> None:
    settings = Settings.load({"HOST": host}, None)

    assert settings.server.on_loopback is on_loopback


SECRETS = {"OPEN_WEATHER_API_KEY": f"{CANARY}-key", "CROSSDOCK_OPERATOR_TOKEN": f"{CANARY}-token"}


def test_secrets_that_are_good_are_shown_nowhere() -> None:
    settings = Settings.load(SECRETS, None)

    shown = [
        repr(settings),
        str(settings),
        settings.weather.model_dump_json(),
        settings.server.model_dump_json(),
        json.dumps([line.shown for line in settings.lines]),
    ]
    assert not [text for text in shown if CANARY in text]
    assert set(settings.secrets) == set(SECRETS.values())


@pytest.mark.parametrize(
    "environ",
    [
        {"DATABASE_URL": f"postgresql://app:{CANARY}@db.example:5432/crossdock"},
        {"DATABASE_URL": f"postgresql://app:{CANARY}%40@db.example/crossdock"},
        {"DATABASE_URL": f"postgresql://db.example/crossdock?password={CANARY}"},
        {"CROSSDOCK_EVENT_BROKER": "rabbitmq", "RABBITMQ_URL": f"amqp://app:{CANARY}@mq.example/"},
        {
            "CROSSDOCK_EVENT_BROKER": "kafka",
            "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
            "KAFKA_SASL_USERNAME": "ann",
            "KAFKA_SASL_PASSWORD": CANARY,
        },
        {"CROSSDOCK_TASK_QUEUE": "celery", "CELERY_BROKER_URL": f"redis://:{CANARY}@redis.example/0"},
        {"CROSSDOCK_TASK_QUEUE": "celery", "CELERY_RESULT_BACKEND": f"redis://:{CANARY}@redis.example/0"},
        {"CROSSDOCK_MAILER": "smtp", "SMTP_URL": f"smtps://app:{CANARY}@mail.example"},
    ],
)
def test_passwords_in_addresses_are_known_as_secrets_and_shown_nowhere(environ: dict[str, str]) -> None:
    settings = Settings.load(environ, None)

    assert any(CANARY in secret and "://" not in secret for secret in settings.secrets)
    shown = [repr(settings), *(line.shown for line in settings.lines)]
    assert not [text for text in shown if CANARY in text]


@pytest.mark.parametrize("url", ["amqp://guest:guest@localhost:5672/", "amqp://crossdock:crossdock@localhost/"])
def test_passwords_that_are_the_name_of_the_user_are_no_secrets(url: str) -> None:
    """They are words such as guest, which must not be struck out of the log."""
    settings = Settings.load({"CROSSDOCK_EVENT_BROKER": "rabbitmq", "RABBITMQ_URL": url}, None)

    assert settings.secrets == ()


@pytest.mark.parametrize(
    "environ",
    [
        {"OPEN_WEATHER_API_KEY": f"{CANARY} with a blank"},
        {"CROSSDOCK_OPERATOR_TOKEN": f"{CANARY}\x07"},
        {"CROSSDOCK_OPERATOR_TOKEN": f"{CANARY}ü"},
        {"CROSSDOCK_OPERATOR_TOKEN": CANARY * 100},
        {"CROSSDOCK_OPERATER_TOKEN": CANARY},
        {"DATABASE_URL": f"postgresql://app:p/{CANARY}@db.example/crossdock"},
        {"DATABASE_URL": f"postgresql://app:{CANARY}"},
        {"DATABASE_URL": f"postgresql://app:{CANARY}@db example/crossdock"},
        {"CROSSDOCK_EVENT_BROKER": "rabbitmq", "RABBITMQ_URL": f"https://app:{CANARY}@mq.example/"},
        {"CROSSDOCK_TASK_QUEUE": "celery", "CELERY_BROKER_URL": f"redis://:{CANARY}@redis.example:x/0"},
        {"CROSSDOCK_MAILER": "smtp", "SMTP_URL": f"smtp:app:{CANARY}@mail.example"},
        {"DATABASE_URL": f"mysql://app:{CANARY}@db.example/crossdock"},
        {"DATABASE_URL": f"app:{CANARY}@db.example/crossdock"},
        {"DATABASE_URL": CANARY},
        {"DATABASE_URL": f"sqlite://app:{CANARY}@/crossdock"},
        {"OPEN_WEATHER_URL": f"https://user:{CANARY}@api.example/v1"},
        {"OPEN_WEATHER_URL": f"https://user:{CANARY}"},
        {"OPEN_WEATHER_URL": f"https://api.example/v1?apikey={CANARY}"},
        {"HOST": f"user:{CANARY}@api.example"},
    ],
)
def test_secrets_that_are_refused_are_shown_nowhere(environ: dict[str, str]) -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.load({**SECRETS, **environ}, None)

    error = caught.value
    assert error.__context__ is None
    shown = [str(error), repr(error), repr(error.problems), "".join(traceback.format_exception(error))]
    assert not [text for text in shown if CANARY in text]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("amqp://guest:guest@localhost:5672/", "amqp://guest:***@localhost:5672/"),
        ("https://abc123@sentry.example/1", "https://***@sentry.example/1"),
        ("redis://localhost:6379/0", "redis://localhost:6379/0"),
        ("http://[::1]:8099/v1", "http://[::1]:8099/v1"),
        ("https://api.example/v1?appid=1", "https://api.example/v1?***"),
        ("localhost:9092", "localhost:9092"),
        ("", ""),
    ],
)
def test_an_address_is_shown_without_its_password(text: str, shown: str) -> None:
    assert masked(text) == shown


def test_a_value_that_was_set_and_is_not_used_is_told_apart() -> None:
    settings = Settings.load({"OPEN_WEATHER_API_KEY": CANARY, "CROSSDOCK_WEATHER": "sample"}, None)

    (line,) = (line for line in settings.lines if line.variable.name == "OPEN_WEATHER_API_KEY")
    assert (line.shown, line.origin, line.used) == ("***", Origin.ENVIRONMENT, False)


def test_settings_cannot_be_changed() -> None:
    settings = Settings.defaults()

    with pytest.raises(ValueError, match="frozen"):
        settings.server.port = 1
    with pytest.raises(AttributeError):
        settings.server = settings.server  # type: ignore[misc]


def test_the_example_file_is_current() -> None:
    assert (ROOT / ".env.example").read_text(encoding="utf-8") == env_example(), "run `make env`"


def test_the_example_file_names_each_setting_and_changes_none(tmp_path: Path) -> None:
    example = (ROOT / ".env.example").read_text(encoding="utf-8")
    taken = tmp_path / ".env"
    taken.write_text(
        "\n".join(
            line.removeprefix("#") if line.startswith("#") and line[1:2].isupper() else line
            for line in example.splitlines()
        )
    )

    settings = Settings.load({}, taken)

    assert all(f"\n#{line.variable.name}=" in example for line in settings.lines)
    assert settings.server == Settings.defaults().server
    assert settings.weather == Settings.defaults().weather


KAFKA = {"CROSSDOCK_EVENT_BROKER": "kafka"}
SASL = KAFKA | {"KAFKA_SECURITY_PROTOCOL": "SASL_SSL"}
RABBITMQ = {"CROSSDOCK_EVENT_BROKER": "rabbitmq"}
SMTP = {"CROSSDOCK_MAILER": "smtp"}


@pytest.mark.parametrize(
    ("environ", "variables"),
    [
        (SASL, ["KAFKA_SASL_USERNAME", "KAFKA_SASL_PASSWORD"]),
        (SASL | {"KAFKA_SASL_USERNAME": "ann"}, ["KAFKA_SASL_PASSWORD"]),
        (KAFKA | {"KAFKA_SASL_PASSWORD": CANARY}, ["KAFKA_SECURITY_PROTOCOL"]),
        (KAFKA | {"KAFKA_SSL_CAFILE": __file__}, ["KAFKA_SSL_CAFILE"]),
        (KAFKA | {"KAFKA_SSL_CERTFILE": __file__}, ["KAFKA_SSL_CERTFILE"]),
        (KAFKA | {"KAFKA_SSL_KEYFILE": __file__}, ["KAFKA_SSL_KEYFILE"]),
        (KAFKA | {"KAFKA_REPLICATION_FACTOR": "0"}, ["KAFKA_REPLICATION_FACTOR"]),
        (KAFKA | {"KAFKA_BOOTSTRAP_SERVERS": "a:٩٠٩٢"}, ["KAFKA_BOOTSTRAP_SERVERS"]),
        (KAFKA | {"KAFKA_BOOTSTRAP_SERVERS": "a"}, ["KAFKA_BOOTSTRAP_SERVERS"]),
        (RABBITMQ | {"RABBITMQ_URL": f"amqp://u:{CANARY}@h/v?heartbeat=abc"}, ["RABBITMQ_URL"]),
        (RABBITMQ | {"RABBITMQ_SSL_CERTFILE": __file__}, ["RABBITMQ_SSL_CERTFILE"]),
        (SMTP | {"MAIL_FROM": "A <a@example.com>, b@example.com"}, ["MAIL_FROM"]),
        (SMTP | {"SMTP_URL": "smtp://mail.example:0"}, ["SMTP_URL"]),
        (SMTP | {"SMTP_URL": "smtp://mail.example/path"}, ["SMTP_URL"]),
        (SMTP | {"SMTP_URL": "smtp://ann@mail.example"}, ["SMTP_URL"]),
    ],
)
def test_what_could_never_work_is_refused_before_anything_starts(environ: dict[str, str], variables: list[str]) -> None:
    problems = refused(**environ)

    assert [problem.variable for problem in problems] == variables
    assert CANARY not in str(problems)


def test_what_can_work_together_is_taken() -> None:
    Settings.load(SASL | {"KAFKA_SASL_USERNAME": "ann", "KAFKA_SASL_PASSWORD": CANARY}, None)
    Settings.load(SMTP | {"SMTP_URL": "smtps://ann:secret@mail.example", "MAIL_FROM": "Ann <ann@example.com>"}, None)
