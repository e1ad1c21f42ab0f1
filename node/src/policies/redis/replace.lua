-- Puts a record in the place of the one with a generation. Runs as a whole or not at all.
--
-- KEYS: the records by name; the mark of the last change; the texts of this name by version.
-- ARGV: the name; the generation that there must be ('' for none); the record, "<generation> <JSON>"; a mark that no change has had; the
--       most names; the version that is new ('' for none); its text; versions that are no longer kept.
-- Returns: 1 where it was done, 0 where the record is another one, -1 where there are too many names.
local name, from, record, mark = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local there = redis.call('HGET', KEYS[1], name)
-- The same call again, since nothing was heard of the first.
if there == record then return 1 end
-- What is no record is not written over.
local generation = there and (string.match(there, '^(%d+) ') or '?') or ''
if generation ~= from then return 0 end
if not there and redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[5]) then return -1 end
if ARGV[6] ~= '' then redis.call('HSET', KEYS[3], ARGV[6], ARGV[7]) end
for i = 8, #ARGV do redis.call('HDEL', KEYS[3], ARGV[i]) end
redis.call('HSET', KEYS[1], name, record)
redis.call('SET', KEYS[2], mark)
return 1
