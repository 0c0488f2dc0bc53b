-- Ends a session and gives back all that it leased, uncharged, as much as the step may; says whether there is more.

even_if_full()
return answer({ leave(ask.session) and 1 or 0 })
