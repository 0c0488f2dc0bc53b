-- Ends a session and gives back all that it leased, uncharged.

local session = session_of(ask.session)
if not session then
    drop_owned(ask.session)
    return answer({})
end
even_if_full()
for _, token in ipairs(tokens_of(session.id)) do
    give_back(held(session.id, token))
end
forget_session(session)
return answer({})
