"""What has to happen in Redis in one step. Times are in milliseconds on Redis' own clock, so that the clocks of the
replicas' machines do not matter. Numbers are written with `%.0f`: Lua's own way keeps fourteen digits only."""

from __future__ import annotations

_NOW = """
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
"""

#: KEYS: owner's key. ARGV: owner, milliseconds.
CLAIM = """
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
"""

#: KEYS: owner's key. ARGV: owner.
RELEASE = """
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
return 0
"""

#: The generic cell rate algorithm. KEYS: the time at which the bucket will be empty, in microseconds. ARGV: of one
#: call, and of a full bucket, in microseconds. Returns the microseconds to wait, 0 where the call was taken.
TAKE = """
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local interval, full = tonumber(ARGV[1]), tonumber(ARGV[2])
local empty = tonumber(redis.call('GET', KEYS[1])) or now
-- Later than a full bucket's is somebody else's number, or another machine's clock.
if empty < now or empty > now + full + interval then empty = now end
local wait = empty + interval - full - now
if wait > 0 then return math.ceil(wait) end
empty = empty + interval
redis.call('SET', KEYS[1], string.format('%.0f', empty), 'PX', math.ceil((empty - now) / 1000) + 1000)
return 0
"""

#: KEYS: pause. ARGV: milliseconds.
PAUSE = """
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[1]) then redis.call('SET', KEYS[1], '1', 'PX', ARGV[1]) end
return 0
"""

#: KEYS: circuit, probe. ARGV: version, closed, milliseconds to wait, duration, failures, owner, milliseconds to keep.
PUBLISH = (
    _NOW
    + """
if redis.call('GET', KEYS[2]) == ARGV[6] then redis.call('DEL', KEYS[2]) end
local version = tonumber(redis.call('HGET', KEYS[1], 'version') or '')
if not version or version < tonumber(ARGV[1]) then
  redis.call('HSET', KEYS[1], 'version', ARGV[1], 'closed', ARGV[2],
    'until', string.format('%.0f', now + tonumber(ARGV[3])), 'duration', ARGV[4], 'failures', ARGV[5])
  redis.call('PEXPIRE', KEYS[1], ARGV[7])
end
local held = redis.call('HMGET', KEYS[1], 'version', 'closed', 'until', 'duration', 'failures')
held[6] = string.format('%.0f', now)
return held
"""
)

#: KEYS: circuit, probe. ARGV: version, owner, milliseconds.
CLAIM_PROBE = (
    _NOW
    + """
local held = redis.call('HMGET', KEYS[1], 'version', 'closed', 'until')
if held[1] ~= ARGV[1] or held[2] ~= '0' or (tonumber(held[3] or '') or now) > now then return 0 end
if redis.call('SET', KEYS[2], ARGV[2], 'NX', 'PX', ARGV[3]) then return 1 end
return 0
"""
)
