-- Make a process the home of a session.
--
-- KEYS: the record, the log, the birth of the data.
-- ARGV: the home and the fence that the process has read, its own name, the run of the store,
--   the ms without a frame after which a session has expired, those that a grace lasts,
--   the lives of a record and of a log in ms, the epoch that it will tell clients.
-- Returns the fields of the record and the messages of the log, or why the claim is refused.
--
-- While the data are younger than a grace, or another run's, homes that live write again what was
-- lost: nobody claims, and nobody is answered that a session is unknown or has expired.

local RUN = ARGV[4]

local record, log = KEYS[1], KEYS[2]
local now = clock()

local function in_grace()
  local born = redis.call('GET', KEYS[3])
  if not born then return true end
  local run, since = string.match(born, '^(%S+) (%d+)$')
  return run ~= RUN or now - tonumber(since) < tonumber(ARGV[6])
end

local found = redis.call('HMGET', record, 'p', 'f', 'x', 't', 'r', 'e', 'l')
local home, fence, ended, seen, run, epoch, last = unpack(found, 1, 7)
if not fence then return in_grace() and 'grace' or 'unknown' end
if ended then return 'ended' end
if home ~= ARGV[1] or tonumber(fence) ~= tonumber(ARGV[2]) then return 'moved' end
if in_grace() then return 'grace' end
local expired = now - tonumber(seen) > tonumber(ARGV[5]) -- its home only ends it

-- An epoch, behind it perhaps the first number that clients of other epochs may have of another
-- message, and one epoch whose clients do not.
local before, first = string.match(epoch, '^(%S+) ?(%d*)')
local told = ARGV[9]
if run ~= RUN then -- the store may have gone back: numbers above the last may have been given
  told = told .. ' ' .. text(math.min(tonumber(last) + 1, tonumber(first) or math.huge))
elseif first ~= '' then
  told = told .. ' ' .. first .. ' ' .. before
end
redis.call('HSET', record, 'p', ARGV[3], 'f', text(tonumber(fence) + 1), 'r', RUN, 'e', told)
redis.call('HSET', record, 't', expired and '0' or text(now))
redis.call('PEXPIRE', record, ARGV[7])
redis.call('PEXPIRE', log, ARGV[8])
local messages = redis.pcall('LRANGE', log, 0, -1)
if messages.err then messages = {} end -- it is of another type: the session is torn
return {redis.call('HGETALL', record), messages}
