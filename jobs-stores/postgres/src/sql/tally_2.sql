-- Adds to the counts of runs what was settled of them, one row per call and run. What may be the end of a run is added up, by
-- whoever holds the run: of those of which nothing waits for a slot and whose query is through. Says which have ended, and
-- which hold no tick any more.
CREATE FUNCTION tally_2(of_ns integer, tallies jsonb) RETURNS SETOF fact_2 LANGUAGE plpgsql AS $$
DECLARE
    ids bigint[];
BEGIN
    INSERT INTO tally (ns, run, ok, retries, dead, discarded, expired, cancelled, fresh, errors)
        SELECT of_ns, t.run, t.ok, t.retries, t.dead, t.discarded, t.expired, t.cancelled, t.fresh, t.errors
        FROM jsonb_to_recordset(tallies) AS t (run bigint, ok bigint, retries bigint, dead bigint, discarded bigint,
            expired bigint, cancelled bigint, fresh bigint, errors text) JOIN run ON run.id = t.run;
    ids := ARRAY(SELECT run.id FROM jsonb_to_recordset(tallies) AS t (run bigint) JOIN run ON run.id = t.run
        WHERE NOT filling AND finished IS NULL AND NOT EXISTS (
            SELECT FROM line JOIN ready ON ready.line = line.id
                AND (ready.rank, ready.number, ready.start) >= (line.rank, line.number, coalesce(line.start, 0))
            WHERE line.job = run.job AND line.kind = 1 AND line.run = run.id AND line.builds = ''));
    IF cardinality(ids) = 0 THEN
        RETURN;
    END IF;
    PERFORM FROM run WHERE id = ANY (ids) ORDER BY id FOR NO KEY UPDATE;
    -- In another snapshot, which sees what others have counted who held the lock before.
    RETURN QUERY WITH counted AS MATERIALIZED (
            SELECT run.id, run.fresh > c.fresh AS busy,
                   run.ok + run.dead + run.discarded + run.expired + run.cancelled + c.ends >= run.total AS ended
            FROM run CROSS JOIN LATERAL (
                SELECT coalesce(sum(t.fresh), 0) AS fresh,
                       coalesce(sum(t.ok + t.dead + t.discarded + t.expired + t.cancelled), 0) AS ends
                FROM tally AS t WHERE t.ns = of_ns AND t.run = run.id) AS c
            WHERE run.id = ANY (ids) AND NOT run.filling AND run.finished IS NULL),
        changed AS (
            UPDATE run SET busy = counted.busy, ended = counted.ended FROM counted
            WHERE run.id = counted.id AND (run.busy, run.ended) IS DISTINCT FROM (counted.busy, counted.ended) RETURNING run.id, run.ended)
        SELECT CASE WHEN ended THEN 'over' ELSE 'trailing' END, id::text, NULL::bytea, NULL::bytea FROM changed ORDER BY id;
END $$;
