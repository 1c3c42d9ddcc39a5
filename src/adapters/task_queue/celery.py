"""Celery, over Redis or RabbitMQ.

What travels are ids with the tokens of their rows, several in one message, as ``[[id, token], …]``. A message may come
twice, late or never: our rows know what is done. Celery's own retries, results, remote control and events are not used.
"""

import asyncio
import queue
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import amqp.exceptions  # type: ignore[import-untyped]
import celery.exceptions  # type: ignore[import-untyped]
import kombu.exceptions
import kombu.transport.redis
import redis.exceptions
from celery import Celery
from celery.app.amqp import AMQP  # type: ignore[import-untyped]
from kombu.connection import Connection
from kombu.entity import Exchange, Queue

from ports.deliveries import Delivery
from ports.errors import PortError, Rejected, Unavailable
from ports.event_broker import Outcome
from ports.task_queue import TaskQueue

# Every exception of the libraries finds its row by its nearest parent: a broker that does not take ids will take them
# another day, whatever it says. What cannot be written as a message never will.
ERRORS: Final[Mapping[type[Exception], type[PortError]]] = {
    kombu.exceptions.KombuError: Unavailable,
    kombu.exceptions.HttpError: Unavailable,
    kombu.exceptions.SerializationError: Rejected,
    kombu.exceptions.LimitExceeded: Unavailable,
    kombu.exceptions.VersionMismatch: Unavailable,
    amqp.exceptions.AMQPError: Unavailable,
    amqp.exceptions.MessageNacked: Unavailable,
    redis.exceptions.RedisError: Unavailable,
    redis.exceptions.ChildDeadlockedError: Unavailable,
    redis.exceptions.CrossSlotTransactionError: Unavailable,
    redis.exceptions.IncorrectPolicyType: Unavailable,
    redis.exceptions.InvalidPipelineStack: Unavailable,
    redis.exceptions.RedisClusterException: Unavailable,
    celery.exceptions.CeleryError: Unavailable,
    celery.exceptions.BackendError: Unavailable,
    celery.exceptions.CeleryCommandException: Unavailable,
    OSError: Unavailable,  # time-outs, too
    UnicodeError: Unavailable,  # a host name that is none
    AttributeError: Unavailable,  # kombu's answer to a connection that dies beneath it
    KeyError: Unavailable,  # the same
}

PERFORM: Final = "crossdock.perform"
IN_ONE_MESSAGE_MOST = 16
_HANDS = 8  # so many workers get some of even a small batch
_WAITING_MOST = 64  # batches
_LOST_MOST = 4  # threads that hang; their time-outs end them
_LAST_WORD_S = 1.0
_WORDS_MOST = 200

# In a worker. A task ends by its own policy after a minute; these are the net below it.
WORK_SECONDS_MOST = 150
_VISIBLE_AGAIN_SECONDS = 2 * WORK_SECONDS_MOST + 30  # one in hand, one waiting behind it
_RECONNECT_SECONDS_MOST = 3.0
_HEALTH_SECONDS = 5
_NOTHING_CAME_SECONDS = WORK_SECONDS_MOST + 30.0  # in which any slot gets free

Ids = Sequence[tuple[str, int]]


class CeleryTaskQueue(TaskQueue):
    """Hands tasks to Celery in a thread of its own, since its calls block, and for ever if one lets them.

    ``deadline`` bounds a call, ``socket_seconds`` one wait for the broker's answer. A thread that hangs all the same is
    left behind and another takes its place; none keeps the process from ending.
    """

    def __init__(
        self,
        broker_url: str,
        *,
        queue: str = "crossdock.tasks",
        result_backend: str | None = None,
        ca_file: Path | None = None,
        deadline: float = 8.0,
        socket_seconds: float = 3.0,
    ) -> None:
        self._broker_url = broker_url
        self._queue = queue
        self._result_backend = result_backend
        self._ca_file = ca_file
        self._deadline = deadline
        self._socket_seconds = socket_seconds
        self._broker = _Broker(broker_url, queue, ca_file, socket_seconds)
        self._is_open = False
        self._sender: _Sender | None = None
        self._lost: list[_Sender] = []

    async def start(self) -> None:
        self._is_open = True

    async def stop(self) -> None:
        self._is_open = False
        sender, self._sender = self._sender, None
        if sender is not None:
            sender.leave()
            await asyncio.to_thread(sender.join, _LAST_WORD_S)

    async def ping(self) -> None:
        """The broker, and where results would be kept, if that is a Redis."""
        urls = dict.fromkeys((self._broker_url, self._result_backend or self._broker_url))
        brokers = [
            _Broker(url, self._queue, self._ca_file, self._socket_seconds)
            for url in urls
            if url.startswith(("redis", "amqp"))
        ]
        await asyncio.gather(*(asyncio.to_thread(broker.ping) for broker in brokers))

    async def enqueue(self, tasks: Sequence[Delivery]) -> Sequence[Outcome]:
        if not tasks:
            return []
        messages = spread(tasks)
        failures = await self._send([[(task.id, task.token) for task in message] for message in messages])
        by_id: dict[str, Outcome] = {
            task.id: failure for message, failure in zip(messages, failures, strict=True) for task in message
        }
        return [by_id[task.id] for task in tasks]

    def worker_app(self, perform: Callable[[Ids], None]) -> Any:
        """The Celery application of a worker, which calls ``perform`` with what each message brings."""
        return worker_app(self._broker_url, self._queue, self._result_backend, self._ca_file, perform)

    async def _send(self, messages: Sequence[Ids]) -> Sequence[Outcome]:
        failure = Unavailable("the Celery task queue is not started")
        if self._is_open:
            sender = self._working_sender()
            failure = Unavailable(f"{self._broker.where} does not answer")
            if sender is not None:
                with suppress(queue.Full):
                    return await self._wait(sender, messages)
        return [failure] * len(messages)

    async def _wait(self, sender: "_Sender", messages: Sequence[Ids]) -> Sequence[Outcome]:
        done = asyncio.wrap_future(sender.submit(messages, until=monotonic() + self._deadline))
        try:
            async with asyncio.timeout(self._deadline + self._socket_seconds):
                return await done
        except TimeoutError:
            if self._sender is sender:
                self._sender = None
                self._lost.append(sender)
                sender.leave()
            return [Unavailable(f"{self._broker.where} did not answer in time")] * len(messages)

    def _working_sender(self) -> "_Sender | None":
        if self._sender is None:
            self._lost = [sender for sender in self._lost if sender.is_alive()]
            if len(self._lost) < _LOST_MOST:
                self._sender = _Sender(self._broker)
                self._sender.start()
        return self._sender


def spread(tasks: Sequence[Delivery]) -> list[list[Delivery]]:
    """Tasks as messages: together what may be performed at once, and alone what has failed before.

    A worker performs a message at once, so that its bookkeeping is committed in groups; but a task that ends its
    process would take along whatever it came with.
    """
    fresh = list({task.id: task for task in tasks if task.attempts == 0}.values())
    size = min(IN_ONE_MESSAGE_MOST, max(1, len(fresh) // _HANDS))
    together = [fresh[at : at + size] for at in range(0, len(fresh), size)]
    return together + [[task] for task in tasks if task.attempts > 0]


# --- the thread that sends --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Job:
    """Messages to send, and who waits for their outcomes."""

    messages: Sequence[Ids]
    until: float  # on the monotonic clock
    outcomes: Future[Sequence[Outcome]]


class _Sender(threading.Thread):
    """Sends one job after the other on one connection, until it is told to leave."""

    def __init__(self, broker: "_Broker") -> None:
        super().__init__(name="celery-sender", daemon=True)  # one that hangs does not keep the process from ending
        self._broker = broker
        self._jobs: queue.Queue[_Job | None] = queue.Queue(_WAITING_MOST)

    def submit(self, messages: Sequence[Ids], *, until: float) -> Future[Sequence[Outcome]]:
        """Raises `queue.Full` when too much waits."""
        job = _Job(messages, until, Future())
        self._jobs.put_nowait(job)
        return job.outcomes

    def leave(self) -> None:
        """End after what is in hand; what waits is not sent any more."""
        with suppress(queue.Empty):
            while (job := self._jobs.get_nowait()) is not None:
                if job.outcomes.set_running_or_notify_cancel():
                    job.outcomes.set_result([Unavailable("the Celery task queue was stopped")] * len(job.messages))
        self._jobs.put_nowait(None)

    def run(self) -> None:
        line = _Line(self._broker)
        while (job := self._jobs.get()) is not None:
            if job.outcomes.set_running_or_notify_cancel():
                try:
                    job.outcomes.set_result(line.send(job.messages, job.until))
                except BaseException as error:  # a fault of ours: for who waits, and the thread goes on
                    job.outcomes.set_exception(error)
        line.close()


class _Line:
    """One connection to the broker, made when it is needed and thrown away when anything goes wrong on it."""

    def __init__(self, broker: "_Broker") -> None:
        self._broker = broker
        self._app: Any = None
        self._connection: Any = None
        self._producer: Any = None

    def send(self, messages: Sequence[Ids], until: float) -> Sequence[Outcome]:
        outcomes: list[Outcome] = []
        was_kept = self._producer is not None
        while len(outcomes) < len(messages):
            try:
                with self._broker.telling():
                    self._put(messages[len(outcomes)], until)
            except (Unavailable, Rejected) as error:
                self._cut()
                if not was_kept:
                    return outcomes + [error] * (len(messages) - len(outcomes))
                was_kept = False  # it may have gone stale since the last job; on a fresh one the error counts
            else:
                outcomes.append(None)
        return outcomes

    def close(self) -> None:
        """Let go of the connection, whatever state it is in."""
        connection, self._connection, self._producer = self._connection, None, None
        if connection is not None:
            # Redis: kombu leaves the poller of a connection to the garbage collector, which comes seldom.
            poller = getattr(getattr(connection._transport, "cycle", None), "poller", None)  # noqa: SLF001
            with suppress(Exception):
                connection.release()
            if poller is not None:
                poller.close()

    def _cut(self) -> None:
        """The same, without a word to a broker that may not listen."""
        if self._connection is not None and self._broker.speaks_amqp:
            with suppress(Exception):
                self._connection.collect()
        self.close()

    def _put(self, ids: Ids, until: float) -> None:
        if monotonic() > until:
            raise Unavailable(f"{self._broker.where} is too slow")
        if self._app is None:
            self._app = self._broker.sending_app()
        if self._producer is None:
            self._connection = self._app.connection_for_write()
            self._producer = self._app.amqp.Producer(self._connection, auto_declare=False)
        self._app.send_task(
            PERFORM,
            args=(ids,),
            producer=self._producer,
            retry=False,
            ignore_result=True,
            mandatory=True,  # a queue that was deleted meanwhile is an error and no silent loss
            timeout=self._broker.socket_seconds,
            confirm_timeout=self._broker.socket_seconds,
            argsrepr="",
        )


class _Broker:
    """Where tasks go, and what to say when they do not arrive."""

    def __init__(self, url: str, queue: str, ca_file: Path | None, socket_seconds: float) -> None:
        parts = urlsplit(url)
        self._url = url
        self._queue = queue
        self._ca_file = ca_file
        self._secret = parts.password or ""
        self.socket_seconds = socket_seconds
        self.speaks_amqp = parts.scheme.startswith("amqp")
        self.where = f"the broker of Celery, {parts.scheme}://{parts.hostname}:{parts.port or _port(parts.scheme)},"

    def sending_app(self) -> Any:
        return _app(
            self._url,
            self._queue,
            self._ca_file,
            amqp_class=_Sending,
            broker_connection_timeout=self.socket_seconds,
            broker_transport_options={
                "socket_timeout": self.socket_seconds,  # Redis
                "socket_connect_timeout": self.socket_seconds,
                "read_timeout": self.socket_seconds,  # RabbitMQ
                "write_timeout": self.socket_seconds,
                "confirm_publish": True,
                "max_retries": 0,
            },
        )

    def ping(self) -> None:
        """Return when it has answered."""
        with self.telling("does not answer"), self.sending_app().connection_for_write() as connection:
            channel = connection.default_channel
            if not self.speaks_amqp:
                channel.client.ping()

    @contextmanager
    def telling(self, what: str = "has not taken it") -> Iterator[None]:
        """Turn what the libraries raise into the port's errors."""
        try:
            yield
        except PortError:
            raise
        except tuple(ERRORS) as error:
            raise port_error(error)(f"{self.where} {what}: {self._words(error)}") from error

    def _words(self, error: Exception) -> str:
        words = " ".join(str(error).split()) or type(error).__name__
        for secret in {self._secret, unquote(self._secret)} - {""}:
            words = words.replace(secret, "***")
        return words[:_WORDS_MOST]


def port_error(error: Exception) -> type[PortError]:
    """The port's word for an exception of Celery, of what it stands on, or of the network."""
    return next(ERRORS[kind] for kind in type(error).__mro__ if kind in ERRORS)


def _port(scheme: str) -> int:
    return {"redis": 6379, "rediss": 6379, "amqps": 5671}.get(scheme, 5672)


# --- the applications -------------------------------------------------------------------------------------------------


class _Once(Connection):
    """Tries to connect once: kombu's own way is for ever."""

    def _ensure_connection(self, *_: object, **__: object) -> Any:
        return super()._ensure_connection(max_retries=0, reraise_as_library_errors=False)  # type: ignore[no-untyped-call]


class _Soon(Connection):
    """Connects again and again, and soon after the broker is back: kombu's own way waits up to half a minute."""

    def get_transport_cls(self) -> Any:
        kind = super().get_transport_cls()  # type: ignore[no-untyped-call]
        return _Redis if kind is kombu.transport.redis.Transport else kind

    def _ensure_connection(self, *arguments: Any, **options: Any) -> Any:
        pauses = {"interval_start": 0.5, "interval_step": 0.5, "interval_max": _RECONNECT_SECONDS_MOST}
        return super()._ensure_connection(*arguments, **options | pauses)  # type: ignore[no-untyped-call]


class _RedisSlots(kombu.transport.redis.QoS):
    """Frees the slot of a message also when Redis does not hear what became of it.

    Kombu goes on after such an error and leaves the slot taken; with none free it never asks Redis for anything again,
    and does not even notice that the connection is gone. The message comes again, and its row knows what is done.
    """

    came = 0

    def append(self, message: Any, delivery_tag: Any) -> None:
        self.came += 1
        super().append(message, delivery_tag)  # type: ignore[no-untyped-call]

    def ack(self, delivery_tag: Any) -> None:
        with self._freeing(delivery_tag):
            super().ack(delivery_tag)  # type: ignore[no-untyped-call]

    def reject(self, delivery_tag: Any, requeue: bool = False) -> None:
        with self._freeing(delivery_tag):
            super().reject(delivery_tag, requeue)  # type: ignore[no-untyped-call]

    @contextmanager
    def _freeing(self, delivery_tag: Any) -> Iterator[None]:
        try:
            yield
        except BaseException:
            self._quick_ack(delivery_tag)
            raise


class _RedisChannel(kombu.transport.redis.Channel):
    QoS = _RedisSlots


class _Redis(kombu.transport.redis.Transport):
    """Connects again when nothing came for long though something waits: the net below, whatever the reason."""

    Channel = _RedisChannel

    def register_with_event_loop(self, connection: Any, loop: Any) -> None:
        super().register_with_event_loop(connection, loop)  # type: ignore[no-untyped-call]
        self._came, self._waited = 0, False
        loop.call_repeatedly(_NOTHING_CAME_SECONDS, self._look)

    def _look(self) -> None:
        channels = [channel for channel in self.channels if channel.active_queues]
        came = sum(channel.qos.came for channel in channels)
        sizes = (channel._size(queue) for channel in channels for queue in channel.active_queues)  # noqa: SLF001
        waits = any(sizes)
        if waits and self._waited and came == self._came:
            raise redis.exceptions.ConnectionError(f"nothing came for {_NOTHING_CAME_SECONDS} s though something waits")
        self._came, self._waited = came, waits


class _Sending(AMQP):  # type: ignore[misc]
    Connection = _Once


class _Working(AMQP):  # type: ignore[misc]
    Connection = _Soon


def worker_app(
    broker_url: str, queue: str, result_backend: str | None, ca_file: Path | None, perform: Callable[[Ids], None]
) -> Any:
    """The Celery application of a worker on this queue."""
    app = _app(
        broker_url,
        queue,
        ca_file,
        amqp_class=_Working,
        result_backend=result_backend,
        redis_backend_use_ssl=_tls(result_backend or "", ca_file),
        # A message is done when it was performed, and goes to another worker when the process that had it was killed.
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        worker_prefetch_multiplier=1,
        task_time_limit=WORK_SECONDS_MOST,
        worker_proc_alive_timeout=30.0,
        # What is in hand is finished, though it comes again: our rows see to it that it is not done again.
        worker_cancel_long_running_tasks_on_connection_loss=False,
        worker_enable_remote_control=False,
        worker_send_task_events=False,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_connection_timeout=5.0,
        broker_heartbeat=20,
        broker_transport_options={
            "visibility_timeout": _VISIBLE_AGAIN_SECONDS,  # Redis
            "socket_timeout": 5.0,
            "socket_connect_timeout": 5.0,
            "socket_keepalive": True,
            "health_check_interval": _HEALTH_SECONDS,
        },
    )

    @app.task(name=PERFORM, shared=False)  # type: ignore[untyped-decorator]
    def perform_all(ids: Any) -> None:
        perform([(str(task_id), int(token)) for task_id, token in ids])

    return app


def _tls(url: str, ca_file: Path | None) -> dict[str, Any] | None:
    """Certificates are verified, which kombu leaves out for Redis; None without TLS."""
    parts = urlsplit(url)
    authorities = None if ca_file is None else str(ca_file)
    if parts.scheme == "rediss":
        return {"ssl_cert_reqs": ssl.CERT_REQUIRED, "ssl_check_hostname": True, "ssl_ca_certs": authorities}
    if parts.scheme == "amqps":
        return {"cert_reqs": ssl.CERT_REQUIRED, "server_hostname": parts.hostname, "ca_certs": authorities}
    return None


def _app(broker_url: str, queue: str, ca_file: Path | None, *, amqp_class: type[AMQP], **options: Any) -> Any:
    app = Celery("crossdock", amqp=amqp_class, set_as_current=False)
    app.conf.update(
        broker_url=broker_url,
        broker_use_ssl=_tls(broker_url, ca_file),
        accept_content=["json"],
        task_serializer="json",
        result_serializer="json",
        enable_utc=True,
        timezone="UTC",
        task_ignore_result=True,
        # Without an exchange of its own: its bindings would be one more thing that a wiped broker has forgotten.
        task_queues=[Queue(queue, Exchange(""), routing_key=queue, durable=True)],  # type: ignore[no-untyped-call]
        task_default_queue=queue,
        task_default_exchange="",
        task_default_routing_key=queue,
        **options,
    )
    return app
