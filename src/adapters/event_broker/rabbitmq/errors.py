"""From the errors of pika to those of the port, in one table.

Whoever may cure what is wrong at the broker is not a message's business: passwords, permissions and missing queues are
`Unavailable`. `Rejected` is what a message, or a declaration, brings on itself.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from pika import exceptions  # type: ignore[import-untyped]
from pika.adapters.utils import connection_workflow  # type: ignore[import-untyped]

from ports.errors import PortError, Rejected, Unavailable

_INTERNAL_ERROR = 541
_PRECONDITION_FAILED = 406  # other arguments than a queue or exchange has, or a message that the server finds too large

# The nearest class of an error's ancestry decides.
TABLE: dict[type[BaseException], type[PortError]] = {
    exceptions.AMQPError: Unavailable,
    exceptions.AMQPConnectionError: Unavailable,
    exceptions.AMQPChannelError: Unavailable,
    exceptions.ChannelError: Unavailable,
    exceptions.ProtocolSyntaxError: Unavailable,
    exceptions.MethodNotImplemented: Unavailable,  # the server has no publisher confirms, or they are switched off
    exceptions.InvalidChannelNumber: Unavailable,
    exceptions.ReentrancyError: Unavailable,
    exceptions.ShortStringTooLong: Rejected,
    exceptions.UnsupportedAMQPFieldException: Rejected,
    connection_workflow.AMQPConnectorException: Unavailable,
    OSError: Unavailable,  # and with it TLS, names that are not resolved, deadlines
}
ERRORS = tuple(TABLE)


@contextmanager
def translated(doing: str) -> Iterator[None]:
    """Turn what pika and the system raise into the port's word for it."""
    try:
        yield
    except ERRORS as error:
        raise port_error(error, doing) from error


def port_error(error: BaseException, doing: str) -> PortError:
    """The port's word for an error of pika or of the system; chain the cause."""
    kind = next(TABLE[ancestor] for ancestor in type(error).__mro__ if ancestor in TABLE)
    if isinstance(error, exceptions.ChannelClosed) and error.reply_code == _PRECONDITION_FAILED:
        kind = Rejected
    return kind(f"RabbitMQ, {doing}: {_said(error)}")


def may_be_of_one_queue(error: BaseException | None) -> bool:
    """Whether one queue without a leader may be the reason: it does not answer, or the server ends the connection."""
    is_internal = isinstance(error, exceptions.ConnectionClosedByBroker) and error.reply_code == _INTERNAL_ERROR
    return is_internal or isinstance(error, TimeoutError)


def _said(error: BaseException) -> str:
    """In words; none of these errors holds more of the address than host and port."""
    if isinstance(error, exceptions.ConnectionClosed | exceptions.ChannelClosed):
        return str(error.reply_text)
    if isinstance(error, connection_workflow.AMQPConnectionWorkflowFailed):
        return _said(error.exceptions[-1])
    if isinstance(error, connection_workflow.AMQPConnectorPhaseErrorBase):
        return _said(error.exception)
    if isinstance(error, exceptions.AMQPConnectionError) and error.args and isinstance(error.args[0], BaseException):
        return _said(error.args[0])
    if isinstance(error, TimeoutError) and not error.args:
        return "no answer in time"
    return str(error) or type(error).__name__
