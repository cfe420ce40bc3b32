-- Wake those who sleep. `channels` begins the names of the channels; '' wakes nobody.
local function ring(channels, kind)
    if channels ~= '' then
        return redis.call('PUBLISH', channels .. kind, '')
    end
    return 0
end
