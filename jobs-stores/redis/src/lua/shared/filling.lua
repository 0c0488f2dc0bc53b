-- What a query found: staged or published page by page, until the fill item is settled.

-- Drops what was staged; what was published page by page stays, with the cursor.
local function unstage(run)
    if not run.filling then
        return
    end
    if run.staged_in then
        local line = line_of(run.staged_in)
        line.job = line.job or run.job
        drop_line(line)
    end
    for _, field in ipairs({ 'staged_in', 'staged', 'seq', 'fill_lease' }) do
        unset(run, field)
    end
end

-- A lease begins to append: what another one staged is dropped, so nothing is doubled.
local function fill_under(run, token)
    if run and run.filling and run.fill_lease ~= token then
        unstage(run)
        set(run, 'fill_lease', token)
    end
end

-- What the end of an attempt of the fill item means for its run.
local function attempt_of_query_ended(run, kind)
    if not run then
        return
    end
    unstage(run)
    if kind == 'retry' or kind == 'snooze' or kind == 'back' or kind == 'undecodable' then
        return
    end
    if kind == 'dead' then
        set(run, 'query_failed', '1')
    end
    unset(run, 'filling')
end
