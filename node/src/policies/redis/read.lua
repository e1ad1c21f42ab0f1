-- Reads all records, where they are other ones than the caller has seen. Runs as a whole.
--
-- KEYS: the records by name; the mark of the last change.
-- ARGV: the mark that the caller has seen.
-- Returns: the mark, then names and records; the mark alone where it is the one that was seen.
--
-- Records that are gone (evicted, flushed) while the mark is still there are a change, too.
local mark = (redis.call('GET', KEYS[2]) or '') .. '/' .. redis.call('HLEN', KEYS[1])
if mark == ARGV[1] then return { mark } end
local all = redis.call('HGETALL', KEYS[1])
table.insert(all, 1, mark)
return all
