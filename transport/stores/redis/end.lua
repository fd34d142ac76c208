-- End a session: keep its tombstone only.
--
-- KEYS: its record and its log.
-- ARGV: home, fence, version; the life of a tombstone in ms; the fields of the tombstone, each with
--   its value.
-- Returns 'ok', a refusal, or '!' and an error. A record of another type is deleted, and 'gone'.

local KEPT = {'p', 'f', 'u', 'k', 'n', 'b', 't', 'r', 'e', 'o'}

local function finish(record, log)
  local found = redis.pcall('HMGET', record, 'p', 'f', 'v', 'x')
  if found.err then
    if string.sub(found.err, 1, 9) ~= 'WRONGTYPE' then error(found, 0) end
    redis.call('DEL', record, log)
    return 'gone'
  end
  local answer = decide(found, ARGV[1], ARGV[2], ARGV[3])
  if answer then return answer end
  local fields = {'v', ARGV[3]}
  for i, value in ipairs(redis.call('HMGET', record, unpack(KEPT))) do
    if value then
      if KEPT[i] == 'e' then value = string.match(value, '^%S*') end -- without a number
      fields[#fields + 1] = KEPT[i]
      fields[#fields + 1] = value
    end
  end
  for i = 5, #ARGV do fields[#fields + 1] = ARGV[i] end
  redis.call('HSET', record, 'v', ARGV[3]) -- fails if memory is full, before anything is deleted
  redis.call('DEL', record, log) -- the record too, so that Redis packs the new one
  redis.call('HSET', record, unpack(fields))
  redis.call('PEXPIRE', record, ARGV[4])
  return 'ok'
end

return guarded(finish, KEYS[1], KEYS[2])
