"""A quota that all processes share, counted by Redis."""

from typing import Final

from adapters.moving_window import MovingWindow, grain_of
from adapters.redis_client import RedisClient
from ports.clock import Clock
from ports.errors import PortError, Rejected
from ports.quota import Quota

# What counts is kept as "until:number until:number …", in microseconds of the server's clock, the oldest first.
_SCRIPT: Final = """
local count, window, grain = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local latest = now + window + grain
local kept = redis.pcall('GET', KEYS[1])
if type(kept) ~= 'string' then -- there is none, or somebody else has made a list of it
  kept = ''
end
local grants, used, changed = {}, 0, false
for ends, number in string.gmatch(kept, '(%d+):(%d+)') do
  ends, number = tonumber(ends), tonumber(number)
  if ends > latest then -- the clock was set back
    ends, changed = latest, true
  end
  if ends > now then
    used = used + number
    grants[#grants + 1] = {ends, number}
  end
end
local function add(number, ends)
  local last = grants[#grants]
  if last and last[1] >= ends then
    last[2] = last[2] + number
  else
    grants[#grants + 1] = {ends, number}
  end
  used, changed = used + number, true
end
if tonumber(ARGV[4]) > 0 then -- granted elsewhere while we were away
  add(tonumber(ARGV[4]), latest)
end
local over, wait = used - count, 0
for _, grant in ipairs(grants) do
  if over < 0 then break end
  over = over - grant[2]
  if over < 0 then wait = grant[1] - now end
end
if ARGV[5] == '1' and wait == 0 then
  add(1, (grain > 0 and math.ceil(now / grain) * grain or now) + window)
end
if changed then
  local words = {}
  for _, grant in ipairs(grants) do
    words[#words + 1] = string.format('%.0f:%.0f', grant[1], grant[2])
  end
  redis.call('SET', KEYS[1], table.concat(words, ' '), 'PX', math.ceil((grants[#grants][1] - now) / 1000))
end
return {wait, count - used}
"""
_MICROSECONDS: Final = 1_000_000


class RedisQuota(Quota):
    """``count`` in any ``seconds``, of all processes together, by the clock of Redis.

    While Redis is away each process grants by itself, up to half of the quota and at least one: two processes stay
    within it, of more nobody can say. What this process was granted, by Redis or by itself, it has counted all along,
    and never uses more than the quota alone, also when Redis comes back with nothing; what it granted by itself, Redis
    is told. The client is started by whoever else has it.
    """

    def __init__(self, client: RedisClient, key: str, count: int, seconds: float, *, clock: Clock) -> None:
        self._client = client
        self._key = key
        self._count = count
        self._seconds = seconds
        self._clock = clock
        self._alone = max(1, count // 2)
        self._own = MovingWindow(count, seconds)
        self._untold = 0
        self._untold_at = float("-inf")

    async def take(self) -> float:
        wait = self._own.wait(self._clock.monotonic())
        if wait:
            return wait
        try:
            wait, _ = await self._ask(take=True)
        except PortError:
            return self._take_alone()
        if not wait:
            self._own.add(self._clock.monotonic())
        return wait

    async def left(self) -> int:
        own = self._own.used(self._clock.monotonic())
        try:
            _, left = await self._ask(take=False)
        except PortError:
            return max(0, self._alone - own)
        return max(0, min(left, self._count - own))

    def _take_alone(self) -> float:
        now = self._clock.monotonic()
        wait = self._own.wait(now, self._alone)
        if not wait:
            self._own.add(now)
            self._untold = self._still_untold(now) + 1
            self._untold_at = now
        return wait

    async def _ask(self, *, take: bool) -> tuple[float, int]:
        """The seconds to wait and how many are left, by Redis."""
        untold, self._untold = self._still_untold(self._clock.monotonic()), 0
        window, grain = (round(part * _MICROSECONDS) for part in (self._seconds, grain_of(self._count, self._seconds)))
        arguments = (self._count, window, grain, untold, int(take))
        try:
            answer = await self._client.say("EVAL", _SCRIPT, 1, self._key, *arguments, kind=list, what="count")
            wait, left = _pair(answer)
        except BaseException:
            self._untold += untold  # perhaps it was told; then it counts twice, which is on the safe side
            raise
        return wait / _MICROSECONDS, left

    def _still_untold(self, now: float) -> int:
        return self._untold if now - self._untold_at < self._seconds else 0


def _pair(answer: object) -> tuple[int, int]:
    match answer:
        case [int(wait), int(left)]:
            return wait, left
    raise Rejected("Redis does not count as it was told")
