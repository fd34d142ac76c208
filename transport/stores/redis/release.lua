-- Give a session up, so that any process may claim it at once.
--
-- KEYS: its record.
-- ARGV: home, fence, version.
-- Returns 'ok', a refusal, or '!' and an error.

local function release(record)
  local found = redis.call('HMGET', record, 'p', 'f', 'v', 'x')
  local answer = decide(found, ARGV[1], ARGV[2], ARGV[3])
  if answer then return answer end
  redis.call('HSET', record, 'p', '', 'v', ARGV[3])
  return 'ok'
end

return guarded(release, KEYS[1])
