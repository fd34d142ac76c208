-- Let the data begin now, unless another process was faster.
--
-- KEYS: the birth of the data.
-- ARGV: the birth that this process has seen, or empty; the run of the store.
-- Returns the birth, and the time in ms.

local born = redis.call('GET', KEYS[1])
local now = text((clock()))
if not born or born == ARGV[1] or string.match(born, '^(%S+) ') ~= ARGV[2] then
  born = ARGV[2] .. ' ' .. now
  redis.call('SET', KEYS[1], born)
end
return {born, now}
