-- Append a publication to a topic, unless it was appended before; see `topic_log.publish`.
--
-- KEYS: the topic; its log; perhaps the string with the time of the last dismissal of a subject.
-- ARGV: the channel,
--   writer, serial, follows, known,
--   how many entries are kept, and how many bytes,
--   the life of the topic in ms,
--   the entry without its numbers,
--   the life of the dismissal in ms.
-- Returns the number of the last entry, and the time in microseconds. The number is 0 if the
-- publication that this one follows is missing.
--
-- Fields of a topic: n the last number, b the bytes of the log, w:<writer> its highest serial and
-- when that was published.

local MAX_WRITERS, WRITER_LIFE = 64, 60000000
local MARKS = 2 -- fields that are not of writers

local topic, log = KEYS[1], KEYS[2]
local serial, known = tonumber(ARGV[3]), tonumber(ARGV[5])
local writer = 'w:' .. ARGV[2]
local _, now = clock()
local found = redis.call('HMGET', topic, 'n', 'b', writer)
local last, size = tonumber(found[1] or 0), tonumber(found[2] or 0)
local highest = found[3] and tonumber(string.match(found[3], '^%d+')) or 0
if serial <= highest then return {last, now} end
if highest < tonumber(ARGV[4]) then return {0, now} end

if not found[1] then redis.call('DEL', log) end
local number = math.max(last + 1, known + 1, now)
local entry = text(last) .. ' ' .. text(number) .. ' ' .. ARGV[9]
local length = redis.call('RPUSH', log, entry)
size = (length > 1 and size or 0) + #entry
while length > 1 and (length > tonumber(ARGV[6]) or size > tonumber(ARGV[7])) do
  size = size - #redis.call('LPOP', log)
  length = length - 1
end
if not found[3] and (redis.call('HLEN', topic) - MARKS) % MAX_WRITERS == 0 then
  local fields = redis.call('HGETALL', topic)
  for i = 1, #fields, 2 do
    local time = string.sub(fields[i], 1, 2) == 'w:' and string.match(fields[i + 1], ' (%d+)$')
    if time and now - tonumber(time) > WRITER_LIFE then redis.call('HDEL', topic, fields[i]) end
  end
end
redis.call('HSET', topic, 'n', text(number), 'b', text(size), writer, ARGV[3] .. ' ' .. text(now))
redis.call('PEXPIRE', topic, ARGV[8])
redis.call('PEXPIRE', log, ARGV[8])
if KEYS[3] then
  local latest = math.max(now, tonumber(redis.call('GET', KEYS[3]) or 0))
  redis.call('SET', KEYS[3], text(latest), 'PX', ARGV[10])
end
redis.call('PUBLISH', ARGV[1], entry)
return {number, now}
