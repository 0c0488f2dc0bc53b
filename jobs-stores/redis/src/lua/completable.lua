-- Runs whose items have all ended and that nobody completed.

return answer(call('ZRANGE', PREFIX .. 'ended', 0, ask.limit - 1))
