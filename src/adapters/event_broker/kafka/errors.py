"""From the errors of aiokafka to those of the port, in one table.

`Rejected` is only what a message or a request is itself to blame for. What an operator can cure without it being sent
anew, a permission or a password, is `Unavailable`: nothing may die of it.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Final

from aiokafka import errors as kafka  # type: ignore[import-untyped]

from ports.errors import PortError, Rejected, Unavailable

_REJECTED: Final[tuple[type[Exception], ...]] = (
    kafka.MessageSizeTooLargeError,
    kafka.RecordListTooLargeError,
    kafka.InvalidTopicError,
    kafka.InvalidTimestampError,
    kafka.InvalidPartitionsError,
    kafka.InvalidReplicationAssignmentError,
    kafka.InvalidConfigurationError,
    kafka.InvalidGroupIdError,
    kafka.PolicyViolationError,
    kafka.IllegalArgumentError,
    kafka.IllegalOperation,
    kafka.UnsupportedCodecError,
    kafka.KafkaConfigurationError,
    kafka.InvalidRequiredAcksError,
    kafka.OffsetMetadataTooLargeError,
    kafka.InvalidCommitOffsetSizeError,
)

_UNAVAILABLE: Final[tuple[type[Exception], ...]] = (
    kafka.KafkaError,
    # Of the client
    kafka.IllegalStateError,
    kafka.NoBrokersAvailable,
    kafka.NodeNotReadyError,
    kafka.KafkaProtocolError,
    kafka.CorrelationIdError,
    kafka.Cancelled,
    kafka.TooManyInFlightRequests,
    kafka.StaleMetadata,
    kafka.MetadataEmptyBrokerList,
    kafka.UnrecognizedBrokerVersion,
    kafka.IncompatibleBrokerVersion,
    kafka.CommitFailedError,
    kafka.KafkaUnavailableError,
    kafka.KafkaTimeoutError,
    kafka.KafkaConnectionError,
    kafka.QuotaViolationError,
    kafka.ConsumerStoppedError,
    kafka.NoOffsetForPartitionError,
    kafka.RecordTooLargeError,
    kafka.ProducerClosed,
    kafka.ProducerFenced,
    # Of the broker
    kafka.BrokerResponseError,
    kafka.NoError,
    kafka.UnknownError,
    kafka.OffsetOutOfRangeError,
    kafka.CorruptRecordException,
    kafka.UnknownTopicOrPartitionError,
    kafka.InvalidFetchRequestError,
    kafka.LeaderNotAvailableError,
    kafka.NotLeaderForPartitionError,
    kafka.RequestTimedOutError,
    kafka.BrokerNotAvailableError,
    kafka.ReplicaNotAvailableError,
    kafka.StaleControllerEpochError,
    kafka.StaleLeaderEpochCodeError,
    kafka.NotEnoughReplicasError,
    kafka.NotEnoughReplicasAfterAppendError,
    kafka.InvalidReplicationFactorError,  # too few brokers now
    kafka.UnsupportedVersionError,
    kafka.UnsupportedForMessageFormatError,
    kafka.InvalidRequestError,
    kafka.TopicAlreadyExistsError,
    kafka.NotControllerError,
    kafka.KafkaStorageError,
    kafka.LogDirNotFound,
    kafka.ReassignmentInProgress,
    kafka.FetchSessionIdNotFound,
    kafka.InvalidFetchSessionEpoch,
    kafka.ListenerNotFound,
    # Of groups
    kafka.GroupLoadInProgressError,
    kafka.GroupCoordinatorNotAvailableError,
    kafka.NotCoordinatorForGroupError,
    kafka.IllegalGenerationError,
    kafka.InconsistentGroupProtocolError,
    kafka.UnknownMemberIdError,
    kafka.InvalidSessionTimeoutError,
    kafka.RebalanceInProgressError,
    kafka.MemberIdRequired,
    kafka.NonEmptyGroup,
    kafka.GroupIdNotFound,
    # Who may: permissions are given while we run
    kafka.AuthenticationMethodNotSupported,
    kafka.AuthenticationFailedError,
    kafka.TopicAuthorizationFailedError,
    kafka.GroupAuthorizationFailedError,
    kafka.ClusterAuthorizationFailedError,
    kafka.TransactionalIdAuthorizationFailed,
    kafka.SecurityDisabled,
    kafka.UnsupportedSaslMechanismError,
    kafka.IllegalSaslStateError,
    kafka.SaslAuthenticationFailed,
    kafka.DelegationTokenAuthDisabled,
    kafka.DelegationTokenNotFound,
    kafka.DelegationTokenOwnerMismatch,
    kafka.DelegationTokenRequestNotAllowed,
    kafka.DelegationTokenAuthorizationFailed,
    kafka.DelegationTokenExpired,
    kafka.InvalidPrincipalType,
    # Of a producer: it is thrown away, and the message may go with the next
    kafka.OutOfOrderSequenceNumber,
    kafka.DuplicateSequenceNumber,
    kafka.InvalidProducerEpoch,
    kafka.UnknownProducerId,
    kafka.InvalidTxnState,
    kafka.InvalidProducerIdMapping,
    kafka.InvalidTransactionTimeout,
    kafka.ConcurrentTransactions,
    kafka.TransactionCoordinatorFenced,
    kafka.OperationNotAttempted,
    # Not aiokafka's
    OSError,  # TLS and time-outs, too
    # What aiokafka itself stumbles over when a connection or its metadata go away beneath it.
    AssertionError,
    AttributeError,
    LookupError,
    NotImplementedError,
)

# Every exception of aiokafka has its row.
ERRORS: Final[Mapping[type[Exception], type[Unavailable] | type[Rejected]]] = {
    **dict.fromkeys(_UNAVAILABLE, Unavailable),
    **dict.fromkeys(_REJECTED, Rejected),
}

_CURES: Final[Mapping[type[Exception], str]] = {
    kafka.TopicAuthorizationFailedError: "this user may not use the topic; it needs Describe, Read, Write and, to make"
    " topics, Create",
    kafka.GroupAuthorizationFailedError: "this user may not use the consumer group; it needs Read",
    kafka.ClusterAuthorizationFailedError: "this user may not do this to the cluster; to make topics it needs Create,"
    " to publish IdempotentWrite on brokers before 2.8",
    kafka.SaslAuthenticationFailed: "user or password are refused",
    kafka.AuthenticationFailedError: "user or password are refused",
    kafka.UnsupportedSaslMechanismError: "the SASL mechanism is not one that this listener has",
    kafka.InvalidReplicationFactorError: "there are fewer brokers than the replication factor asks for",
    kafka.PolicyViolationError: "a policy of the broker forbids it",
    kafka.MessageSizeTooLargeError: "larger than the topic takes (max.message.bytes)",
    kafka.NotEnoughReplicasError: "fewer replicas are in sync than the topic asks for (min.insync.replicas)",
    ssl.SSLCertVerificationError: "the certificate of the broker is not trusted",
}


def port_error(error: BaseException, doing: str) -> Unavailable | Rejected:
    """The port's word for an error of aiokafka while doing something; chain the cause."""
    for kind in type(error).__mro__:
        if kind in ERRORS:
            return ERRORS[kind](f"Kafka, {doing}: {_said(error)}")
    raise TypeError(f"not an error of aiokafka: {type(error).__name__}") from error


def _said(error: BaseException) -> str:
    cure = next((_CURES[kind] for kind in type(error).__mro__ if kind in _CURES), None)
    words = str(error).strip()
    said = f"{type(error).__name__}: {words}" if words else type(error).__name__
    return f"{cure} ({said})" if cure else said


@asynccontextmanager
async def kafka_errors(doing: str, *, seconds: float | None = None) -> AsyncIterator[None]:
    """What aiokafka raises inside leaves as an error of the port, and so does an overrun of ``seconds``."""
    try:
        async with asyncio.timeout(seconds) as limit:
            yield
    except PortError:
        raise
    except tuple(ERRORS) as error:
        if limit.expired():
            raise Unavailable(f"Kafka, {doing}: no answer within {seconds:g} s") from error
        raise port_error(error, doing) from error
