-- Store a new session, once for each opening.
--
-- KEYS: the opening; the record and the log.
-- ARGV: the id of the session; the lives of an opening and of a record in ms; what is before and
--   behind the id in the key of a record; the fields, each with its value, without b and t.
-- Returns 'made' with b and t, or 'found' with the id of the session that the same opening has made
-- before, and the fields of its record.
--
-- The record of that session is not among KEYS, because only the opening names it.

local known = redis.call('GET', KEYS[1])
if known then
  local fields = redis.call('HGETALL', ARGV[4] .. known .. ARGV[5])
  if #fields > 0 then return {'found', known, fields} end
end
-- The opening was forgotten, or this is another one for the same id.
local fields = redis.call('HGETALL', KEYS[2])
if #fields > 0 then return {'found', ARGV[1], fields} end

local ms, microseconds = clock()
local seen, born = text(ms), text(microseconds)
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
redis.call('HSET', KEYS[2], 'b', born, 't', seen, unpack(ARGV, 6))
redis.call('PEXPIRE', KEYS[2], ARGV[3])
redis.call('DEL', KEYS[3])
return {'made', born, seen}
