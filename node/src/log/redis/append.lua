-- Appends to the log after making sure that it still is the one that the caller knows. Runs as a whole or not at all.
--
-- KEYS: the stream; what the log says of itself: "<identity> <head>".
-- ARGV: a fresh identity; what the caller has seen: identity, head, the head's mark ('' where it does not know);
--       records to keep; the mark of this append; the purges.
-- Returns: identity, head, the head's mark, and 1 where something was lost, 2 where the log begins here: nothing of it is stored, and
-- the caller has never known of one.
--
-- Something was lost where the log says nothing of itself, where the stream does not end where it says (one of the two was
-- evicted), where it ends before what the caller has seen, or where the caller's last record is another one by now.
local stream, about = KEYS[1], KEYS[2]
local fresh, known, seen, mark, keep, own = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4], ARGV[5], ARGV[6]

local function number(n)
  return string.format('%.0f', n)
end

local function field(entry, name)
  for i = 1, #entry[2], 2 do
    if entry[2][i] == name then return entry[2][i + 1] end
  end
  return ''
end

local id, head
local says = redis.call('GET', about)
if says then
  id, head = string.match(says, '^(%x+) (%d+)$')
  head = tonumber(head)
end

local lost = not head
local last = {}
if not lost then
  last = redis.call('XREVRANGE', stream, '+', '-', 'COUNT', 1)
  lost = (last[1] and last[1][1] or '0-0') ~= '0-' .. number(head)
end
if not lost and id == known then
  lost = head < seen
  if not lost and seen > 0 and mark ~= '' then
    local at = '0-' .. number(seen)
    local entry = redis.call('XRANGE', stream, at, at)[1]
    -- Not there any more: it was trimmed, which is no loss.
    lost = entry and field(entry, 'm') ~= mark
  end
end

local news = lost and 1 or 0
if not says and known == '' and redis.call('EXISTS', stream) == 0 then
  news = 2
end
if lost then
  redis.call('DEL', stream)
  id, head, last = fresh, 0, {}
end
local ends = last[1] and field(last[1], 'm') or ''
for i = 7, #ARGV do
  head = head + 1
  redis.call('XADD', stream, 'MAXLEN', '~', keep, '0-' .. number(head), 'l', id, 'm', own, 'p', ARGV[i])
  ends = own
end
if lost or #ARGV > 6 then
  redis.call('SET', about, id .. ' ' .. number(head))
end
return { id, number(head), ends, news }
