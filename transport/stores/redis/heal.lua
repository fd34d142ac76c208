-- Store a whole session, or what is kept of one that has ended: the store has lost all or a part.
--
-- KEYS: its record and its log.
-- ARGV: home, fence, version; the lives of a record and of a log in ms; how many fields it has;
--   ms since the client's last frame; the fields, each with its value; the messages.
-- Returns 'ok', a refusal, or '!' and an error.

local function heal(record, log)
  local found = redis.call('HMGET', record, 'p', 'f', 'v', 'x')
  local answer = decide(found, ARGV[1], ARGV[2], ARGV[3], true)
  if answer then return answer end
  local messages = 8 + 2 * tonumber(ARGV[6])
  redis.call('HSET', record, 'v', ARGV[3]) -- fails if memory is full, before anything is deleted
  redis.call('DEL', record, log)
  each('HSET', record, 8, messages - 1)
  redis.call('HSET', record, 't', text(clock() - tonumber(ARGV[7])))
  redis.call('PEXPIRE', record, ARGV[4])
  push(log, messages, #ARGV, ARGV[5])
  return 'ok'
end

return guarded(heal, KEYS[1], KEYS[2])
