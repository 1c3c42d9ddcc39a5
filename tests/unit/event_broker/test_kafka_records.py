"""What aiokafka's fetcher is given to read, where no server would let it be sent or keep it."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from aiokafka import codec  # type: ignore[import-untyped]
from aiokafka.consumer import fetcher  # type: ignore[import-untyped]
from aiokafka.errors import CorruptRecordException, UnsupportedCodecError  # type: ignore[import-untyped]
from aiokafka.record.default_records import DefaultRecordBatchBuilder  # type: ignore[import-untyped]
from aiokafka.record.legacy_records import LegacyRecordBatchBuilder  # type: ignore[import-untyped]
from aiokafka.record.util import calc_crc32c  # type: ignore[import-untyped]
from aiokafka.structs import TopicPartition  # type: ignore[import-untyped]

from adapters.event_broker.kafka import records
from adapters.event_broker.kafka.records import Damaged, Fetched

HEADER = 61  # bytes of a batch before its records
BAD = b"\xff\xfe"


@pytest.fixture(autouse=True)
def _nothing_seen() -> Iterator[None]:
    records._seen.clear()
    yield
    records._seen.clear()


def test_aiokafka_reads_with_ours() -> None:
    assert fetcher.MemoryRecords is Fetched


@pytest.mark.parametrize(
    ("number", "encode"),
    [(0, bytes), (1, codec.gzip_encode), (2, codec.snappy_encode), (3, codec.lz4_encode), (4, codec.zstd_encode)],
    ids=["plain", "gzip", "snappy", "lz4", "zstd"],
)
def test_a_name_that_is_no_utf_8_is_made_printable_and_its_neighbours_are_whole(
    number: int, encode: Callable[[bytes], bytes]
) -> None:
    values = [b"first", None, b"x" * 300]
    plain = a_batch(values, offset=7, headers=[("nn", b"v"), ("Zoë", None)], key=b"k")
    plain = plain.replace(b"\x04nn", b"\x04" + BAD)
    batch = plain[:21] + number.to_bytes(2, "big") + plain[23:HEADER] + encode(plain[HEADER:])
    batch = batch[:8] + (len(batch) - 12).to_bytes(4, "big") + batch[12:]

    read = list(reading(with_checksum(batch) + a_batch([b"next"], offset=10), at=7))

    assert [(record.offset, record.value) for record in read] == [*enumerate(values, 7), (10, b"next")]
    assert {record.key for record in read[:3]} == {b"k"}
    assert {record.headers for record in read[:3]} == {((r"\xff\xfe", b"v"), ("Zoë", None))}


def test_records_before_the_place_of_the_group_are_not_given_out_again() -> None:
    batch = with_checksum(a_batch([b"0", b"1", b"2"], headers=[("nn", b"v")]).replace(b"\x04nn", b"\x04" + BAD))

    assert [record.value for record in reading(batch, at=2)] == [b"2"]


def test_a_damaged_batch_is_fetched_anew_once_and_then_passed_over() -> None:
    """What was damaged on its way is whole the next time."""
    whole = a_batch([b"0"]) + a_batch([b"1", b"2"], offset=1) + a_batch([b"3"], offset=3)
    damaged = whole.replace(b"2", b"?")

    first = reading(damaged)
    assert next(first).value == b"0"
    with pytest.raises(CorruptRecordException):
        next(first)
    assert [record.value for record in reading(whole, at=1)] == [b"1", b"2", b"3"]
    second = reading(damaged, at=1)
    (told,) = second

    assert isinstance(told.value, Damaged)
    assert told.value == b"its checksum is wrong"
    assert (told.offset, second.next_fetch_offset) == (2, 3)
    assert [record.value for record in reading(whole[-len(a_batch([b"3"])) :], at=3)] == [b"3"]


@pytest.mark.parametrize("claimed", [-5, 0x7FFFFFFF], ids=["too-little", "too-much"])
def test_a_damaged_batch_is_passed_over_whatever_it_claims(claimed: int) -> None:
    batch = a_batch([b"0", b"1", b"2"], offset=5)
    damaged = batch[:23] + claimed.to_bytes(4, "big", signed=True) + batch[27:]
    with pytest.raises(CorruptRecordException):
        list(reading(damaged, at=6))

    passing = reading(damaged, at=6)

    assert [record.offset for record in passing] == [7]
    assert passing.next_fetch_offset == 8


def test_a_batch_that_claims_more_than_there_is_takes_nothing_of_the_next() -> None:
    batch = a_batch([b"0"], offset=5)
    damaged = batch[:23] + (999).to_bytes(4, "big") + batch[27:] + a_batch([b"1"], offset=6)
    with pytest.raises(CorruptRecordException):
        list(reading(damaged, at=5))

    passing = reading(damaged, at=5)

    assert [record.offset for record in passing] == [5]
    assert passing.next_fetch_offset == 6


def test_a_batch_whose_inside_cannot_be_read_is_passed_over_at_once() -> None:
    """Its checksum is right: it was sent like that, and stays so."""
    batch = bytearray(a_batch([b"0", b"1"]))
    batch[HEADER] = 0x7F

    passing = reading(with_checksum(bytes(batch)))

    assert [(record.offset, type(record.value)) for record in passing] == [(1, Damaged)]
    assert passing.next_fetch_offset == 2


def test_a_codec_that_is_not_installed_passes_nothing_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """What lacks is ours to install; nothing is wrong with the batch."""
    batch = a_batch([b"0"])
    batch = with_checksum(batch[:21] + (4).to_bytes(2, "big") + batch[23:])
    monkeypatch.setattr(codec, "cramjam", None)

    with pytest.raises(UnsupportedCodecError, match="zstd"):
        list(reading(batch))


def test_a_damaged_record_of_the_old_format_is_passed_over_too() -> None:
    builder = LegacyRecordBatchBuilder(1, 0, 10_000)
    builder.append(0, 1, None, b"old")
    batch = bytes(builder.build())
    assert [record.value for record in reading(batch)] == [b"old"]
    damaged = batch.replace(b"old", b"odd")
    with pytest.raises(CorruptRecordException):
        list(reading(damaged))

    passing = reading(damaged)

    assert [type(record.value) for record in passing] == [Damaged]
    assert passing.next_fetch_offset == 1


# What the cases are written with


def a_batch(
    values: Sequence[bytes | None],
    *,
    offset: int = 0,
    headers: Sequence[tuple[str, bytes | None]] = (),
    key: bytes | None = None,
) -> bytes:
    builder = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, -1, 100_000)
    for number, value in enumerate(values):
        builder.append(number, 1, key, value, list(headers))
    return offset.to_bytes(8, "big") + bytes(builder.build())[8:]


def with_checksum(batch: bytes) -> bytes:
    checksum: int = calc_crc32c(batch[21:])
    return batch[:17] + checksum.to_bytes(4, "big") + batch[21:]


def reading(data: bytes, *, at: int = 0) -> Any:
    """As aiokafka's fetcher does."""
    place, isolation = TopicPartition("t", 0), fetcher.READ_COMMITTED
    return fetcher.PartitionRecords(place, Fetched(data), [], at, None, None, True, isolation)
