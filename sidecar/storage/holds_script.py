"""The step in Redis by which replicas take holds: a script over one org's resource, atomic.

A hash has a field for each replica: the units that it holds, and until when it is believed; and a
field with the latest answer of the platform that any replica has had. Where the clock was set back
(another Redis took over), both are believed from now on as long as if they were new.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from sidecar.domain.holds import HoldRoom, Standing
from sidecar.domain.quota import Quota

EXPIRY_SECONDS: Final = 10.0
"""How long a replica's holds are believed after it last showed them: a killed one is not missed."""

ANSWER_SECONDS: Final = 5.0
"""How long an answer of the platform decides about holds: as long as in a replica alone."""

SCRIPT: Final = """
local key, me = KEYS[1], ARGV[1]
local own, paid = tonumber(ARGV[2]), tonumber(ARGV[3])
local keep, fresh = tonumber(ARGV[4]), tonumber(ARGV[5])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local function read(text)
  local limit, used, remaining, reset, at, period =
    string.match(text, '^(%-?%d+) (%-?%d+) (%-?%d+) (%-?%d+) (%-?%d+) (.*)$')
  if not limit then return nil end
  return {limit = limit, used = tonumber(used), remaining = tonumber(remaining), reset = reset,
          at = tonumber(at), period = period}
end

local others, latest = 0, nil
local fields = redis.call('HGETALL', key)
for n = 1, #fields, 2 do
  local name, value = fields[n], fields[n + 1]
  if name == 'answer' then
    latest = read(value)
    if latest then latest.at = math.min(latest.at, now) end
  elseif name ~= me then
    local units, ends = string.match(value, '^(%d+) (%d+)$')
    ends = tonumber(ends)
    if units and ends > now then
      others = others + tonumber(units)
      if ends > now + keep then
        redis.call('HSET', key, name, string.format('%s %.0f', units, now + keep))
      end
    else
      redis.call('HDEL', key, name)
    end
  end
end

if ARGV[6] ~= '' then
  local mine = read(ARGV[6])
  mine.at = now - mine.at
  local same = latest and latest.limit == mine.limit and latest.reset == mine.reset
  if not latest or latest.at + fresh <= now or (same and mine.used > latest.used)
      or (not (same and mine.used < latest.used) and mine.at >= latest.at) then
    latest = mine
  end
end
local known = latest and latest.at + fresh > now and latest.reset * 1000 > now

local found = {}
local free = 0
for n = 7, #ARGV, 2 do
  local deposit, hold = tonumber(ARGV[n]), tonumber(ARGV[n + 1])
  local room = 2
  if known then
    free = latest.remaining + paid - others - own
    room = 0
    if tonumber(latest.limit) < 0 or deposit + hold <= free
        or (hold == 0 and others + own == 0) then
      room = 1
    end
  end
  if room == 1 then own = own + deposit + hold end
  if room == 2 then own = own + deposit end
  found[#found + 1] = room
end

if own > 0 then
  redis.call('HSET', key, me, string.format('%.0f %.0f', own, now + keep))
else
  redis.call('HDEL', key, me)
end
local answer = ''
if latest then
  answer = string.format('%s %.0f %.0f %s %.0f %s', latest.limit, latest.used, latest.remaining,
                         latest.reset, latest.at, latest.period)
  redis.call('HSET', key, 'answer', answer)
end
redis.call('PEXPIRE', key, 2 * keep)
if known then
  answer = string.format('%s %.0f %.0f %s 0 %s', latest.limit, latest.used,
                         math.max(0, latest.remaining + paid - others - own), latest.reset,
                         latest.period)
end
return {string.format('%.0f', others), answer, found}
"""


@dataclass(frozen=True, slots=True)
class ScriptReply:
    """What one run of the script gives. `quota`: what is left of it for further holds."""

    others: int
    quota: Quota | None
    rooms: tuple[HoldRoom, ...]


def arguments(replica: str, standing: Standing, takes: list[tuple[int, int]]) -> list[str]:
    """Return the arguments of the script; `takes`: deposit and hold of each call, in order."""
    answered = standing.answered
    text = ""
    if answered is not None:
        age = round(standing.age * 1000)
        text = (
            f"{answered.limit} {answered.used} {answered.remaining}"
            f" {int(answered.reset_at)} {age} {answered.period}"
        )
    return [
        replica,
        str(standing.held),
        str(standing.paid),
        str(round(EXPIRY_SECONDS * 1000)),
        str(round(ANSWER_SECONDS * 1000)),
        text,
        *(str(units) for take in takes for units in take),
    ]


def found(resource: str, reply: Any) -> ScriptReply:  # noqa: ANN401 - what a Redis answers
    """Read the script's reply. ValueError for one that is not its own."""
    try:
        others, answer, rooms = reply
        return ScriptReply(
            int(others), _quota_of(resource, answer), tuple(HoldRoom(room) for room in rooms)
        )
    except (TypeError, ValueError) as error:
        raise ValueError(f"Redis gives {str(reply)[:80]} for a hold: is the key used?") from error


def _quota_of(resource: str, answer: bytes) -> Quota | None:
    if not answer:
        return None
    limit, used, remaining, reset_at, _, period = answer.decode().split(" ", 5)
    return Quota(resource, int(limit), int(used), int(remaining), period, float(reset_at))
