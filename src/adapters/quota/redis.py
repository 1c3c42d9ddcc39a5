"""A quota that all processes share, counted by Redis."""

from contextlib import suppress
from typing import Final

from adapters.moving_window import MovingWindow, grain_of
from adapters.reach import Crowded
from adapters.redis_client import RedisClient
from adapters.redis_window import BEGIN, COUNT, MICROSECONDS, TAKE
from ports.clock import Clock
from ports.errors import PortError, Rejected
from ports.quota import Quota

# Kept is "created/changes/shut until:number until:number …": when the count was begun, how often it was changed since,
# until when nothing is granted, and what counts, the oldest first. Moments are in microseconds of the server's clock.
# It never expires, so a Redis that wants memory back does not take it for what may go (but with `allkeys-*`).
_SCRIPT: Final = (
    BEGIN
    + """
local created, changes, shut = string.match(kept, '^(%d+)/(%d+)/(%d+)')
if created then
  created, changes, shut = tonumber(created), tonumber(changes), tonumber(shut)
else
  created, changes, shut, kept, changed = now, 0, 0, '', true
end
local seen_created, seen_changes = tonumber(ARGV[6]), tonumber(ARGV[7])
if seen_created == created and seen_changes > changes then -- an older state has come back
  created, shut, changed = now, latest, true
elseif seen_created > 0 and seen_created ~= created then -- what the caller knew is lost, since then at the latest
  local past = created + window + grain
  if past > shut and past > now then
    shut, changed = past, true
  end
end
if shut > latest then -- the clock was set back
  shut, changed = latest, true
end
"""
    + COUNT
    + """
if shut > now then
  wait, used = math.max(wait, shut - now), math.max(used, count)
end
"""
    + TAKE
    + """
changes = changes + added
if changed then
  redis.call('SET', KEYS[1], string.format('%.0f/%.0f/%.0f ', created, changes, shut) .. counted())
end
return {wait, count - used, created, changes}
"""
)
_CROWDED_SECONDS: Final = 0.1  # until somebody comes again who was not even asked for
_AGAIN_SECONDS: Final = 1.0  # until it is worth looking again how Redis is


class RedisQuota(Quota):
    """``count`` in any ``seconds``, of all processes together, by the clock of Redis.

    While Redis is away each process grants by itself. Others may have used all that Redis had left, so for one window
    that is a tenth of the quota, at least one: so little that hardly anything is passed, and enough for requests to be
    answered. Then whatever Redis granted is past, and it is half of the quota: two processes stay within it, of more
    nobody can say. What a process granted by itself Redis is told; for one window longer the process takes half at
    most, since others may not have told theirs.

    A count that Redis has lost, wholly or back to an older one, is noticed by whoever has seen what was lost: then
    nothing is granted to anybody until all of that is past. What this process was granted, by Redis or by itself, it
    has counted as well. A window of another length is another count. The client is started by whoever else has it.
    """

    def __init__(self, client: RedisClient, key: str, count: int, seconds: float, *, clock: Clock) -> None:
        self._client = client
        self._key = f"{key}:{seconds:.15g}"  # a shorter window would cut short what counts in a longer one
        self._count = count
        self._seconds = seconds
        self._clock = clock
        self._half = max(1, count // 2)
        self._tenth = max(1, count // 10)
        self._own = MovingWindow(count, seconds)
        self._alone = MovingWindow(count, seconds)  # of these, what Redis did not grant
        self._untold = 0
        self._untold_at = float("-inf")
        self._away_since: float | None = None
        self._half_until = float("-inf")
        self._look_at = float("-inf")
        self._seen = (0, 0)  # when the count was begun, and how often it was changed since

    @property
    def trouble(self) -> str | None:
        if self._away_since is None:
            return None
        why, now = self._client.trouble or "Redis does not count", self._clock.monotonic()
        share = self._half if self._was_long_away(now) else self._tenth
        return f"{why}, and by itself each process uses no more than {share} of {self._count}"

    async def take(self) -> float:
        now = self._clock.monotonic()
        wait = self._own.wait(now)
        if wait:
            await self._look(now)
            return wait
        try:
            wait, _ = await self._ask(take=True)
        except Crowded:
            return _CROWDED_SECONDS
        except PortError:
            return self._take_alone()
        if not wait:
            self._own.add(self._clock.monotonic())
        return wait

    async def left(self) -> int:
        try:
            _, left = await self._ask(take=False)
        except Crowded:
            return 0
        except PortError:
            now = self._clock.monotonic()
            if self._was_long_away(now):
                return max(0, self._half - self._own.used(now))
            return max(0, min(self._tenth - self._alone.used(now), self._count - self._own.used(now)))
        return max(0, min(left, self._count - self._own.used(self._clock.monotonic())))

    async def _look(self, now: float) -> None:
        """See now and then whether Redis still counts what we have: else we alone would know, and others pass it."""
        if now >= self._look_at:
            self._look_at = now + _AGAIN_SECONDS
            with suppress(PortError):
                await self._ask(take=False)

    def _take_alone(self) -> float:
        now = self._clock.monotonic()
        if self._was_long_away(now):
            wait = self._own.wait(now, self._half)
        else:
            wait = min(self._alone.wait(now, self._tenth), _AGAIN_SECONDS) or self._own.wait(now)
        if not wait:
            self._own.add(now)
            self._alone.add(now)
            self._untold = self._still_untold(now) + 1
            self._untold_at = now
        return wait

    async def _ask(self, *, take: bool) -> tuple[float, int]:
        """The seconds to wait and how many are left, by Redis."""
        now = self._clock.monotonic()
        untold, self._untold = self._still_untold(now), 0
        count = self._half if self._was_long_away(now) or now < self._half_until else self._count
        window, grain = (round(part * MICROSECONDS) for part in (self._seconds, grain_of(self._count, self._seconds)))
        arguments = (count, window, grain, untold, int(take), *self._seen)
        try:
            answer = await self._client.say("EVAL", _SCRIPT, 1, self._key, *arguments, kind=list, what="count")
            wait, left, *seen = _numbers(answer)
        except BaseException as error:
            self._untold += untold  # perhaps it was told; then it counts twice, which is on the safe side
            if isinstance(error, PortError) and not isinstance(error, Crowded) and self._away_since is None:
                self._away_since = self._clock.monotonic()
            raise
        self._answered()
        self._seen = max(self._seen, (seen[0], seen[1]))  # not by an answer that was late
        return wait / MICROSECONDS, left

    def _answered(self) -> None:
        now = self._clock.monotonic()
        if self._was_long_away(now):
            self._half_until = now + self._seconds
        self._away_since = None

    def _was_long_away(self, now: float) -> bool:
        """Whether somebody may have granted by himself what Redis has not been told."""
        return self._away_since is not None and now - self._away_since >= self._seconds

    def _still_untold(self, now: float) -> int:
        return self._untold if now - self._untold_at < self._seconds else 0


def _numbers(answer: object) -> tuple[int, int, int, int]:
    match answer:
        case [int(wait), int(left), int(created), int(changes)]:
            return wait, left, created, changes
    raise Rejected("Redis does not count as it was told")
