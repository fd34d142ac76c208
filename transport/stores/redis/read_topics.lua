-- Read entries of many topics; see `topic_log.read`.
--
-- KEYS: for each topic itself and its log.
-- ARGV: how many bytes are read of all topics together; then for each topic the cursor.
-- Returns the time in microseconds; then for each topic
--   the number of its last entry, whether there are more entries than these, and the entries,
--   or '!' and an error.

local CHUNK = 64

local room = tonumber(ARGV[1])

local function number_of(entry)
  return tonumber(string.match(entry, '^%d+ (%d+) '))
end

-- Return the index of the first entry above a cursor. Most reads are of a few entries at the end.
local function first_above(log, cursor, length)
  local low, high, step = 0, length, 1
  while high - step >= 0 and number_of(redis.call('LINDEX', log, high - step)) > cursor do
    high = high - step
    step = step * 2
  end
  low = math.max(0, high - step)
  while low < high do
    local middle = math.floor((low + high) / 2)
    if number_of(redis.call('LINDEX', log, middle)) > cursor then
      high = middle
    else
      low = middle + 1
    end
  end
  return low
end

local function read(topic, log, cursor)
  local last = tonumber(redis.call('HGET', topic, 'n') or 0)
  if last <= cursor then return {last, 0, {}} end
  local length = redis.call('LLEN', log)
  local entries = {}
  local at = first_above(log, cursor, length)
  while at < length do
    for _, entry in ipairs(redis.call('LRANGE', log, at, at + CHUNK - 1)) do
      if #entry > room and (#entries > 0 or room <= 0) then return {last, 1, entries} end
      room = room - #entry
      entries[#entries + 1] = entry
    end
    at = at + CHUNK
  end
  return {last, 0, entries}
end

local _, now = clock()
local answers = {now}
for i = 1, #KEYS, 2 do
  answers[#answers + 1] = guarded(read, KEYS[i], KEYS[i + 1], tonumber(ARGV[(i + 3) / 2]))
end
return answers
