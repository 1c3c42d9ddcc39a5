"""What was fetched, read so that no record stops its partition.

aiokafka stumbles over a header whose name is no UTF-8, which other libraries send, and over what a disk has damaged;
the position stays before it, and whoever comes next stumbles again. So `Fetched` stands in for aiokafka's own reader:
it reads with that, and does itself what that cannot. A name is made printable; of a batch that cannot be read at all
one record is left, which says why and is for a person to see.
"""

import struct
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

import aiokafka.consumer.fetcher  # type: ignore[import-untyped]
from aiokafka import codec
from aiokafka.errors import CorruptRecordException, UnsupportedCodecError  # type: ignore[import-untyped]
from aiokafka.record.memory_records import MemoryRecords  # type: ignore[import-untyped]

# Of a batch, https://kafka.apache.org/documentation/#recordbatch: base offset and length, in all its versions
_BATCH: Final = struct.Struct(">qi")
# and what is needed of the rest of version 2: magic, attributes, last offset delta, number of records.
_VERSION_2: Final = struct.Struct(">4x b 4x h i 8x 8x 8x 2x 4x i")
_CODEC_BITS: Final = 0b111
_DECODE: Final = {
    0: bytes,
    1: codec.gzip_decode,
    2: codec.snappy_decode,
    3: codec.lz4_decode,
    4: codec.zstd_decode,
}

_VARINT_MOST: Final = 64  # bits
_LENGTH_MOST: Final = 1_000_000  # offsets of one batch; a damaged one may claim any number
_seen: Final[deque[int]] = deque(maxlen=1_000)  # damaged batches, by their hash


class Damaged(bytes):
    """The value of the record that stands for a batch which cannot be read: the reason."""

    __slots__ = ()


class Record(NamedTuple):
    """One record, with what aiokafka asks of it."""

    offset: int
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]] = ()
    key: bytes | None = None
    timestamp: int = -1  # not known: nobody here asks
    timestamp_type: int = 0
    checksum: None = None


class Fetched:
    """The batches of one partition, as aiokafka's fetcher asks for them."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._records = MemoryRecords(data)
        self._start = 0
        self._is_over = False

    def size_in_bytes(self) -> int:
        return len(self._data)

    def has_next(self) -> bool:
        return not self._is_over and bool(self._records.has_next())

    def next_batch(self) -> "_Batch":
        start = self._start
        self._start += _BATCH.size + _BATCH.unpack_from(self._data, start)[1]
        return _Batch(self, self._records.next_batch(), start)

    def bytes_of(self, start: int) -> bytes:
        return self._data[start : start + _BATCH.size + _BATCH.unpack_from(self._data, start)[1]]

    def offset_after(self, start: int) -> int | None:
        """Of the batch that comes after one, if it is here."""
        after = start + _BATCH.size + _BATCH.unpack_from(self._data, start)[1]
        return _BATCH.unpack_from(self._data, after)[0] if after + _BATCH.size <= len(self._data) else None

    def end(self) -> None:
        """What comes now is fetched anew: which transactions were taken back may have been in what is damaged."""
        self._is_over = True


class _Batch:
    """One batch; all that fails is found when its records are asked for, and none of them is given out before."""

    def __init__(self, fetched: Fetched, batch: Any, start: int) -> None:
        self._fetched = fetched
        self._batch = batch
        self._start = start
        self._damage: Record | None = None

    # Of one that is damaged, nothing is believed

    @property
    def base_offset(self) -> int:
        return self._batch.base_offset  # type: ignore[no-any-return]

    @property
    def next_offset(self) -> int:
        return self._damage.offset + 1 if self._damage else self._batch.next_offset

    @property
    def producer_id(self) -> int | None:
        return None if self._damage else self._batch.producer_id

    @property
    def is_control_batch(self) -> bool:
        return not self._damage and self._batch.is_control_batch

    @property
    def is_transactional(self) -> bool:
        return not self._damage and self._batch.is_transactional

    def validate_crc(self) -> bool:
        """False, so that it is fetched anew, until the same bytes have come twice: then the disk has them so."""
        if not self._batch.validate_crc():
            data = self._fetched.bytes_of(self._start)
            if hash(data) not in _seen:
                _seen.append(hash(data))
                return False
            self._give_up("its checksum is wrong", _end_claimed(data, self._fetched.offset_after(self._start)))
        return True

    def __next__(self) -> Any:
        return next(self._batch)

    def __iter__(self) -> Iterator[Any]:
        if self._damage is None:
            try:
                return iter(list(self._batch))
            except UnsupportedCodecError:
                raise  # it is not the batch that lacks something
            except Exception as error:
                try:
                    return iter(read_records(self._fetched.bytes_of(self._start)))
                except Exception:
                    self._give_up(f"{type(error).__name__}: {error}", self._batch.next_offset)
        return iter([self._damage])

    def _give_up(self, reason: str, end: int) -> None:
        self._damage = Record(end - 1, Damaged(reason.encode(errors="backslashreplace")))
        self._fetched.end()


def read_records(batch: bytes) -> list[Record]:
    """The records of a batch of version 2, whatever bytes the names of headers are."""
    offset, _ = _BATCH.unpack_from(batch)
    magic, attributes, _, number = _VERSION_2.unpack_from(batch, _BATCH.size)
    if magic != 2:
        raise CorruptRecordException(f"version {magic}")
    data = _DECODE[attributes & _CODEC_BITS](batch[_BATCH.size + _VERSION_2.size :])
    reader = _Reader(bytes(data))
    return [reader.record(offset) for _ in range(number)]


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def record(self, base_offset: int) -> Record:
        length = self._number()
        end = self._at + length
        self._at += 1  # attributes, of which there are none
        self._number()  # timestamp
        offset = base_offset + self._number()
        key, value = self._bytes(), self._bytes()
        headers = [
            ((self._bytes() or b"").decode(errors="backslashreplace"), self._bytes()) for _ in range(self._number())
        ]
        if self._at != end:
            raise CorruptRecordException(f"a record ends at {self._at} and says {end}")
        return Record(offset, value, headers, key)

    def _number(self) -> int:
        """Of variable length, seven bits a byte, the lowest first; zigzag, so that small negative ones are short."""
        number = 0
        for shift in range(0, _VARINT_MOST, 7):
            byte = self._data[self._at]
            self._at += 1
            number |= (byte & 0x7F) << shift
            if byte < 0x80:
                return (number >> 1) ^ -(number & 1)
        raise CorruptRecordException("a number does not end")

    def _bytes(self) -> bytes | None:
        length = self._number()
        if length < 0:
            return None
        start, self._at = self._at, self._at + length
        if self._at > len(self._data):
            raise CorruptRecordException("a text does not end")
        return self._data[start : self._at]


def _end_claimed(batch: bytes, following: int | None) -> int:
    """Where a damaged batch ends, by what it says and by the offset of the batch that comes after it."""
    base, _ = _BATCH.unpack_from(batch)
    length = 1
    if len(batch) >= _BATCH.size + _VERSION_2.size:
        magic, _, delta, number = _VERSION_2.unpack_from(batch, _BATCH.size)
        claims = (delta + 1, number) if magic == 2 else ()
        length = next((claim for claim in claims if 0 < claim <= _LENGTH_MOST), length)
    end: int = base + length
    return end if following is None else max(base + 1, min(end, following))


# No setting of aiokafka's consumers says with what they read.
aiokafka.consumer.fetcher.MemoryRecords = Fetched
