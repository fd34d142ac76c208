-- What several scripts share; it is put in front of each. No script has more than some of it.

-- At most this many arguments are passed on at once: Lua cannot pass many more. An even number, so
-- that no field is parted from its value.
local MOST = 4000

-- Call a command of a key with the arguments `from` to `to`, and return the last answer.
local function each(command, key, from, to)
  local answer
  while from <= to do
    local last = math.min(from + MOST - 1, to)
    answer = redis.call(command, key, unpack(ARGV, from, last))
    from = last + 1
  end
  return answer
end

-- Return why a write of this home is refused, or 'ok' if it was applied before; nil if it is to be
-- applied. `heals`: it replaces what is there, so that it does not matter whether that is behind.
-- `found`: the record's fields p, f, v, x.
local function decide(found, home, fence, version, heals)
  if not found[2] then return not heals and 'gone' or nil end
  fence, version = tonumber(fence), tonumber(version)
  local f, v = tonumber(found[2]), tonumber(found[3])
  if f == fence and found[1] == home and v >= version then return 'ok' end
  if found[4] then return 'ended' end
  if f > fence or (f == fence and found[1] ~= home) then return 'fenced' end
  if not heals and (f < fence or v < version - 1) then return 'behind' end
end

-- Append the arguments `from` to `to` to a list. One that it makes gets a life of so many ms.
local function push(log, from, to, life)
  local length = each('RPUSH', log, from, to)
  if length == to - from + 1 then redis.call('PEXPIRE', log, life) end
end

-- Return the time as ms and as microseconds since 1970.
local function clock()
  local time = redis.call('TIME')
  local seconds, rest = tonumber(time[1]), tonumber(time[2])
  return seconds * 1000 + math.floor(rest / 1000), seconds * 1000000 + rest
end

-- Return a whole number below 2^53 as text. `tostring` would round it.
local function text(number)
  return string.format('%.0f', number)
end

-- Return the text of an error that `pcall` has caught.
local function said(err)
  return type(err) == 'table' and err.err or tostring(err)
end

-- Call a function for one session and return its answer. An error that lies in what is stored of
-- the session is its answer, behind '!', and does not concern others. An error of the server ends
-- the script: its memory is full, it is a replica, too few replicas follow it, it cannot write.
local function guarded(change, ...)
  local done, answer = pcall(change, ...)
  if done then return answer end
  local message = said(answer)
  local code = string.match(message, '^(%u+) ') -- an error of Lua has none
  if code and code ~= 'WRONGTYPE' and code ~= 'ERR' then error({err = message}, 0) end
  return '!' .. message
end
