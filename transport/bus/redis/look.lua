-- Finds the processes of a hub, and keeps the asking process among them.
--
-- KEYS: the registry of the hub.
-- ARGV: what begins the key of a lease, the asking process, the milliseconds that a process stays in
--   the registry, and other processes that are asked about.
-- Returns for each process: its name, its lease or nil, how many subscribe to its channel.
local registry, lease, own, life = KEYS[1], ARGV[1], ARGV[2], tonumber(ARGV[3])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZADD', registry, now, own)
redis.call('PEXPIRE', registry, life)
redis.call('ZREMRANGEBYSCORE', registry, '-inf', string.format('%.0f', now - life))
local names, known = {}, {}
local function add(name)
  if not known[name] then
    known[name] = true
    names[#names + 1] = name
  end
end
for _, name in ipairs(redis.call('ZRANGE', registry, 0, -1)) do
  add(name)
end
for i = 4, #ARGV do
  add(ARGV[i])
end
local found = {}
for i, name in ipairs(names) do
  local subscribers = redis.call('PUBSUB', 'NUMSUB', lease .. name)[2]
  found[i] = {name, redis.call('GET', lease .. name), subscribers}
end
return found
