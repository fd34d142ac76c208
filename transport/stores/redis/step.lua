-- Store steps of many sessions.
--
-- KEYS: for each session its record and its log.
-- ARGV: the lives of a record and of a log in ms; then for each session
--   home, fence, version,
--   last: the number of the last message of the step,
--   count: how many messages it has,
--   handled, acked, confirmed, holder, partial, trials, closing,
--   idle: ms since the client's last frame, if the session is to last longer; else empty,
--   sets, unsets: how many fields are set and removed besides,
--   then the messages, the fields that are set, each with its value, and those that are removed.
-- Returns for each session 'ok', a refusal, or '!' and an error. If the memory of Redis is full, it
-- fails, and only what clients have acknowledged is removed.

local RECORD_LIFE, LOG_LIFE = ARGV[1], ARGV[2]
local HEAD = 15

local function step(record, log, at)
  local found = redis.call('HMGET', record, 'p', 'f', 'v', 'x', 'l', 'a')
  local answer = decide(found, ARGV[at], ARGV[at + 1], ARGV[at + 2])
  if answer then return answer end
  local last, count = ARGV[at + 3], tonumber(ARGV[at + 4])
  local stored, base = tonumber(found[5]), tonumber(found[6])
  local known = stored - tonumber(last) + count -- of the messages, those that are there
  local torn = redis.call('LLEN', log) ~= stored - base
  if known < 0 or torn then return 'behind' end
  local acked, trim = ARGV[at + 6], tonumber(ARGV[at + 6]) - base
  if trim < 0 then acked = found[6] end
  local messages = at + HEAD
  if known < count then
    push(log, messages + known, messages + count - 1, LOG_LIFE)
  else
    last = found[5]
  end
  local sets = messages + count
  local unsets = sets + 2 * tonumber(ARGV[at + 13])
  local stop = unsets + tonumber(ARGV[at + 14])
  redis.call('HSET', record, 'v', ARGV[at + 2], 'l', last, 'h', ARGV[at + 5], 'a', acked,
    'c', ARGV[at + 7], 'o', ARGV[at + 8], 's', ARGV[at + 9], 'y', ARGV[at + 10],
    'z', ARGV[at + 11])
  each('HSET', record, sets, unsets - 1)
  each('HDEL', record, unsets, stop - 1)
  if trim > 0 then redis.call('LTRIM', log, trim, -1) end
  local idle = ARGV[at + 12]
  if idle ~= '' then
    redis.call('HSET', record, 't', text(clock() - tonumber(idle)))
    redis.call('PEXPIRE', record, RECORD_LIFE)
    redis.call('PEXPIRE', log, LOG_LIFE)
  end
  return 'ok'
end

-- Remove what the client of a session has acknowledged, and nothing else.
local function free(record, log, at)
  local found = redis.call('HMGET', record, 'p', 'f', 'v', 'x', 'l', 'a')
  if decide(found, ARGV[at], ARGV[at + 1], ARGV[at + 2]) then return end
  local length, trim = tonumber(found[5]) - tonumber(found[6]), ARGV[at + 6] - found[6]
  if trim <= 0 or trim > length or redis.call('LLEN', log) ~= length then return end
  redis.call('LTRIM', log, trim, -1)
  redis.call('HSET', record, 'a', ARGV[at + 6]) -- not refused: the script has written already
end

local function all(change)
  local answers, at = {}, 3
  for i = 1, #KEYS, 2 do
    answers[#answers + 1] = guarded(change, KEYS[i], KEYS[i + 1], at)
    at = at + HEAD + tonumber(ARGV[at + 4]) + 2 * tonumber(ARGV[at + 13]) + tonumber(ARGV[at + 14])
  end
  return answers
end

local done, answers = pcall(all, step)
if done then return answers end
-- Redis refuses if its memory is full, before the first write: make room for the repetition.
if string.sub(said(answers), 1, 4) == 'OOM ' then all(free) end
error({err = said(answers)}, 0)
