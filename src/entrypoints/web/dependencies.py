"""What routes need, from the container of the app that they run in.

Everything here is ``async`` although nothing waits: FastAPI runs plain functions in a thread, which costs more than all
of the rest of a request.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Protocol, cast, runtime_checkable

from fastapi import BackgroundTasks, Depends, Request

from domain.delivery.dead_letters import DeadLetters as DeadLettersDesk
from domain.delivery.pace import Pace
from domain.delivery.whereabouts import Whereabouts as WhereaboutsService
from domain.services.create_order import CreateOrder as CreateOrderService
from domain.services.get_order import GetOrder as GetOrderService
from domain.services.get_user import GetUser as GetUserService
from domain.services.get_weather import GetWeather as GetWeatherService
from domain.services.list_orders import ListOrders as ListOrdersService
from domain.services.register_user import RegisterUser as RegisterUserService
from entrypoints.flow_watch import FlowWatch
from entrypoints.metrics.registry import Metrics
from entrypoints.settings import Settings
from ports.clock import Clock as ClockPort
from ports.identity import Identity
from ports.outside import OutsideCounts
from ports.persistence import Persistence as PersistencePort
from ports.task_queue import TaskQueue


class Health(Protocol):
    """How the process and what it depends on are; status is ``ready``, ``degraded`` or ``unavailable``."""

    @property
    def status(self) -> str: ...

    @property
    def checks(self) -> Mapping[str, Mapping[str, str]]:
        """For each dependency its ``status`` and a ``detail``."""


class HealthCheck(Protocol):
    """Looks at everything that the process depends on, within a bound."""

    async def check(self) -> Health: ...


class Container(Protocol):
    """What the web entrypoint asks of the composition root."""

    def register_user(self) -> RegisterUserService: ...
    def get_user(self) -> GetUserService: ...
    def create_order(self) -> CreateOrderService: ...
    def get_order(self) -> GetOrderService: ...
    def list_orders(self) -> ListOrdersService: ...
    def get_weather(self) -> GetWeatherService: ...
    def persistence(self) -> PersistencePort: ...
    def task_queue(self) -> TaskQueue: ...
    def dead_letters(self) -> DeadLettersDesk: ...
    def whereabouts(self) -> WhereaboutsService: ...
    def flow_watch(self) -> FlowWatch: ...
    def settings(self) -> Settings: ...
    def process(self) -> str: ...
    def outside_counts(self) -> OutsideCounts: ...
    def clock(self) -> ClockPort: ...
    def pace(self) -> Pace: ...
    def health(self) -> HealthCheck: ...
    def metrics(self) -> Metrics: ...
    def identity(self) -> Identity: ...


def container_of(request: Request) -> Container:
    """The container of the app that serves this request."""
    return cast("Container", request.app.state.container)


async def _container(request: Request) -> Container:
    return container_of(request)


async def _register_user(request: Request) -> RegisterUserService:
    return container_of(request).register_user()


async def _get_user(request: Request) -> GetUserService:
    return container_of(request).get_user()


async def _create_order(request: Request) -> CreateOrderService:
    return container_of(request).create_order()


async def _get_order(request: Request) -> GetOrderService:
    return container_of(request).get_order()


async def _list_orders(request: Request) -> ListOrdersService:
    return container_of(request).list_orders()


async def _get_weather(request: Request) -> GetWeatherService:
    return container_of(request).get_weather()


async def _persistence(request: Request) -> PersistencePort:
    return container_of(request).persistence()


async def _dead_letters(request: Request) -> DeadLettersDesk:
    return container_of(request).dead_letters()


async def _whereabouts(request: Request) -> WhereaboutsService:
    return container_of(request).whereabouts()


async def _clock(request: Request) -> ClockPort:
    return container_of(request).clock()


async def _health(request: Request) -> HealthCheck:
    return container_of(request).health()


async def _metrics(request: Request) -> Metrics:
    return container_of(request).metrics()


RegisterUser = Annotated[RegisterUserService, Depends(_register_user)]
GetUser = Annotated[GetUserService, Depends(_get_user)]
CreateOrder = Annotated[CreateOrderService, Depends(_create_order)]
GetOrder = Annotated[GetOrderService, Depends(_get_order)]
ListOrders = Annotated[ListOrdersService, Depends(_list_orders)]
GetWeather = Annotated[GetWeatherService, Depends(_get_weather)]
Persistence = Annotated[PersistencePort, Depends(_persistence)]
DeadLetters = Annotated[DeadLettersDesk, Depends(_dead_letters)]
Whereabouts = Annotated[WhereaboutsService, Depends(_whereabouts)]
Parts = Annotated[Container, Depends(_container)]
Clock = Annotated[ClockPort, Depends(_clock)]
HealthOf = Annotated[HealthCheck, Depends(_health)]
MetricsOf = Annotated[Metrics, Depends(_metrics)]


@runtime_checkable
class HoldsBack(Protocol):
    """A task queue that performs tasks in this very process, and would rather do so once the answer is out."""

    def hold(self) -> Any:
        """From here on keep what this context enqueues."""

    async def release(self, held: Any) -> None:
        """Perform what was kept."""


def after_answer(request: Request) -> BackgroundTasks:
    """Let tasks that the request asks for wait for its answer, where the task queue can do so; goes with the answer."""
    background = BackgroundTasks()
    queue = container_of(request).task_queue()
    if isinstance(queue, HoldsBack):
        background.add_task(queue.release, queue.hold())
    return background
