"""Leases by the clock of the PostgreSQL server, which all processes share."""

from collections.abc import Mapping, Sequence

from adapters.persistence.sql import postgresql_statements as statements
from adapters.persistence.sql.postgresql_reads import PostgresqlReads
from adapters.persistence.sql.readers import Read
from ports.persistence import Leases


class PostgresqlLeases(Leases):
    """One statement each; names are locked in one order, so that takers never wait for one another in a circle."""

    def __init__(self, reads: PostgresqlReads) -> None:
        self._reads = reads

    async def take(self, names: Sequence[str], *, holder: str, seconds: float) -> Mapping[str, int]:
        query = statements.TAKE_LEASES
        parameters = query.bind({"names": sorted(set(names)), "holder": holder, "micros": round(seconds * 1_000_000)})
        rows = await self._reads.run(lambda connection: connection.fetch(query.text, *parameters))
        return dict(rows)

    async def release(self, names: Sequence[str], *, holder: str) -> None:
        query = statements.RELEASE_LEASES
        parameters = query.bind({"names": sorted(set(names)), "holder": holder})
        await self._reads.run(lambda connection: connection.execute(query.text, *parameters))

    async def holders(self, prefix: str) -> Sequence[str]:
        rows = await self._reads.rows(Read.LEASE_HOLDERS, low=prefix, high=prefix + "\U0010ffff")
        return [holder for (holder,) in rows]
