import pytest

from entrypoints.roles import Role, check
from entrypoints.settings import Settings, SettingsError

POSTGRESQL = "postgresql://localhost/crossdock"
REAL = {"DATABASE_URL": POSTGRESQL, "CROSSDOCK_EVENT_BROKER": "kafka"}


def refusals(role: Role, environ: dict[str, str]) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        check(role, Settings.load(environ, None))
    return [problem.variable for problem in caught.value.problems]


@pytest.mark.parametrize("role", [Role.API, Role.RELAY, Role.CONSUMER])
@pytest.mark.parametrize("broker", ["kafka", "rabbitmq"])
@pytest.mark.parametrize("queue", ["background", "celery"])
def test_the_single_roles_work_on_postgresql_and_a_real_broker(role: Role, broker: str, queue: str) -> None:
    check(role, Settings.load(REAL | {"CROSSDOCK_EVENT_BROKER": broker, "CROSSDOCK_TASK_QUEUE": queue}, None))


@pytest.mark.parametrize("role", [Role.API, Role.RELAY, Role.CONSUMER])
@pytest.mark.parametrize("url", ["sqlite:///orders.db", "memory://"])
def test_a_single_role_refuses_what_lives_in_one_process(role: Role, url: str) -> None:
    assert refusals(role, {"DATABASE_URL": url}) == ["DATABASE_URL", "CROSSDOCK_EVENT_BROKER"]


@pytest.mark.parametrize("role", [Role.API, Role.RELAY, Role.CONSUMER])
def test_a_single_role_refuses_a_queue_that_performs_nothing(role: Role) -> None:
    assert refusals(role, REAL | {"CROSSDOCK_TASK_QUEUE": "memory"}) == ["CROSSDOCK_TASK_QUEUE"]


@pytest.mark.parametrize("queue", ["background", "memory"])
def test_a_worker_wants_celery(queue: str) -> None:
    assert refusals(Role.WORKER, {"CROSSDOCK_TASK_QUEUE": queue}) == ["CROSSDOCK_TASK_QUEUE"]


@pytest.mark.parametrize("role", [Role.UP, Role.WORKER])
def test_celery_wants_a_database_that_its_workers_can_see(role: Role) -> None:
    celery = {"CROSSDOCK_TASK_QUEUE": "celery"}

    assert refusals(role, celery | {"DATABASE_URL": "memory://"}) == ["DATABASE_URL"]
    check(role, Settings.load(celery, None))


@pytest.mark.parametrize(
    "environ",
    [
        {},
        REAL,
        {"DATABASE_URL": "memory://"},
        {"CROSSDOCK_EVENT_BROKER": "rabbitmq"},
        {"CROSSDOCK_TASK_QUEUE": "memory"},
    ],
)
def test_everything_in_one_process_works_with_nearly_all_choices(environ: dict[str, str]) -> None:
    check(Role.UP, Settings.load(environ, None))


@pytest.mark.parametrize(
    ("role", "queue", "performs", "hands_over"),
    [
        (Role.UP, "background", True, True),
        (Role.API, "background", True, True),
        (Role.CONSUMER, "background", True, True),
        (Role.RELAY, "background", False, False),
        (Role.UP, "celery", False, True),
        (Role.API, "celery", False, False),
        (Role.CONSUMER, "celery", False, False),
        (Role.RELAY, "celery", False, True),
    ],
)
def test_who_records_tasks_performs_them_or_the_relay_hands_them_over(
    role: Role, queue: str, performs: bool, hands_over: bool
) -> None:
    settings = Settings.load({"CROSSDOCK_TASK_QUEUE": queue}, None)

    assert (role.performs(settings), role.hands_over(settings)) == (performs, hands_over)
