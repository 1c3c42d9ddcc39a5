"""The count of what was granted within the last so many seconds, kept by Redis for all processes."""

from typing import Final, NamedTuple

from adapters.moving_window import EXACT_MOST, grain_of
from adapters.redis_client import RedisClient
from ports.errors import Rejected

# Parts of a script, in their order. What counts is kept as "until:number until:number …", in microseconds of the
# server's clock, the oldest first; what is written of each script stands between them.
BEGIN: Final = """
local count, window, grain = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local latest = now + window + grain
local changed = false
local kept = redis.pcall('GET', KEYS[1])
if type(kept) ~= 'string' then -- there is none, or somebody else has made a list of it
  kept = ''
end
"""
COUNT: Final = """
local grants, used, added = {}, 0, 0
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
  used, added, changed = used + number, added + 1, true
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
"""
TAKE: Final = """
if ARGV[5] == '1' and wait == 0 then
  add(1, (grain > 0 and math.ceil(now / grain) * grain or now) + window)
end
local function counted()
  local words = {}
  for _, grant in ipairs(grants) do
    words[#words + 1] = string.format('%.0f:%.0f', grant[1], grant[2])
  end
  return table.concat(words, ' ')
end
"""
_SCRIPT: Final = (
    BEGIN
    + COUNT
    + TAKE
    + """
if changed then
  redis.call('SET', KEYS[1], counted(), 'PX', math.ceil((grants[#grants][1] - now) / 1000))
end
return {wait, count - used, grants[1] and grants[1][1] - now or 0}
"""
)
MICROSECONDS: Final = 1_000_000


class Found(NamedTuple):
    """What Redis says: seconds to wait, 0 when there is room; how many are left; seconds until the oldest ends."""

    wait: float
    left: int
    more: float


class RedisWindow:
    """Up to ``count`` in any ``seconds`` under each key, by the clock of Redis; the client is somebody else's."""

    def __init__(self, client: RedisClient, count: int, seconds: float, *, exact_most: int = EXACT_MOST) -> None:
        self._client = client
        self._count = count
        grain = grain_of(count, seconds, exact_most)
        self._window, self._grain = (round(part * MICROSECONDS) for part in (seconds, grain))

    async def ask(self, key: str, *, take: bool, untold: int = 0) -> Found:
        """What there is under this key; ``take`` counts one if there is room, ``untold`` were granted elsewhere."""
        arguments = (self._count, self._window, self._grain, untold, int(take))
        answer = await self._client.say("EVAL", _SCRIPT, 1, key, *arguments, kind=list, what="count")
        match answer:
            case [int(wait), int(left), int(more)]:
                return Found(wait / MICROSECONDS, left, more / MICROSECONDS)
        raise Rejected("Redis does not count as it was told")
