-- Which jobs have too many verdict records or finished runs, and when the oldest dead item of each job died.
CREATE FUNCTION overfull_2(of_ns integer) RETURNS SETOF fact_2 LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY SELECT 'overfull', json_build_object('id', id, 'ticks', ticks - keep_ticks, 'runs', finished - keep_runs)::text,
            NULL::bytea, NULL::bytea
        FROM job WHERE ns = of_ns AND (ticks > keep_ticks OR finished > keep_runs) ORDER BY id LIMIT 1000;
    RETURN QUERY WITH RECURSIVE oldest AS (
            (SELECT job, died FROM dead ORDER BY job, died LIMIT 1)
            UNION ALL
            SELECT next.job, next.died FROM oldest CROSS JOIN LATERAL (
                SELECT job, died FROM dead WHERE job > oldest.job ORDER BY job, died LIMIT 1) AS next)
        SELECT 'dead', json_build_object('id', job.id, 'link', job.link, 'died', oldest.died)::text, NULL::bytea, NULL::bytea
        FROM oldest JOIN job ON job.id = oldest.job WHERE job.ns = of_ns;
END $$;

-- Removes of each kind at most `most` records; of each job as many as is said. Says how many of which kind.
CREATE FUNCTION prune_2(of_ns integer, clock bigint, most bigint, jobs jsonb, dead_jobs jsonb, effects_before bigint)
    RETURNS SETOF fact_2 LANGUAGE plpgsql AS $$
DECLARE
    one record;
    cells bigint;
    owned bigint;
    ticks_gone bigint;
    ticks_all bigint := 0;
    runs_gone bigint[];
    runs_all bigint := 0;
    dead_gone bigint;
    dead_all bigint := 0;
    effects bigint;
BEGIN
    DELETE FROM cell WHERE ns = of_ns AND name = ANY (ARRAY(
        SELECT name FROM cell WHERE ns = of_ns AND expires_at <= clock ORDER BY expires_at LIMIT most FOR UPDATE SKIP LOCKED));
    GET DIAGNOSTICS cells = ROW_COUNT;
    -- A session that somebody deleted by hand.
    DELETE FROM cell WHERE ns = of_ns AND name = ANY (ARRAY(
        SELECT name FROM cell WHERE ns = of_ns AND owner IS NOT NULL
            AND NOT EXISTS (SELECT FROM session WHERE session.ns = of_ns AND session.session = cell.owner) LIMIT most));
    GET DIAGNOSTICS owned = ROW_COUNT;
    FOR one IN SELECT * FROM jsonb_to_recordset(jobs) AS j (id bigint, ticks bigint, runs bigint) ORDER BY id LOOP
        PERFORM FROM job WHERE id = one.id FOR NO KEY UPDATE SKIP LOCKED;
        CONTINUE WHEN NOT FOUND;
        DELETE FROM tick WHERE job = one.id AND n = ANY (ARRAY(SELECT n FROM tick WHERE job = one.id ORDER BY n LIMIT one.ticks));
        GET DIAGNOSTICS ticks_gone = ROW_COUNT;
        runs_gone := ARRAY(SELECT id FROM run WHERE job = one.id AND finished IS NOT NULL ORDER BY finished LIMIT one.runs);
        DELETE FROM tally WHERE ns = of_ns AND run = ANY (runs_gone);
        DELETE FROM run WHERE id = ANY (runs_gone);
        -- Where records were deleted by hand, the counts are made right.
        UPDATE job SET
            ticks = CASE WHEN ticks_gone < one.ticks THEN (SELECT count(*) FROM tick WHERE job = one.id) ELSE ticks - ticks_gone END,
            finished = CASE WHEN cardinality(runs_gone) < one.runs THEN (
                SELECT count(*) FROM run WHERE job = one.id AND run.finished IS NOT NULL) ELSE finished - cardinality(runs_gone) END
            WHERE id = one.id;
        ticks_all := ticks_all + ticks_gone;
        runs_all := runs_all + cardinality(runs_gone);
    END LOOP;
    FOR one IN SELECT * FROM jsonb_to_recordset(dead_jobs) AS d (id bigint, before bigint, most bigint) ORDER BY id LOOP
        DELETE FROM dead WHERE id = ANY (ARRAY(
            SELECT id FROM dead WHERE job = one.id AND died < one.before ORDER BY died, id LIMIT one.most FOR UPDATE SKIP LOCKED));
        GET DIAGNOSTICS dead_gone = ROW_COUNT;
        dead_all := dead_all + dead_gone;
    END LOOP;
    DELETE FROM effect WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM effect WHERE at < effects_before AND NOT EXISTS (SELECT FROM lease WHERE lease.token = effect.token)
        ORDER BY at LIMIT most FOR UPDATE SKIP LOCKED));
    GET DIAGNOSTICS effects = ROW_COUNT;
    RETURN QUERY SELECT 'pruned', n::text, NULL::bytea, NULL::bytea
        FROM unnest(ARRAY[cells + owned, ticks_all, runs_all, dead_all, effects]) AS p (n);
    RETURN QUERY SELECT * FROM sweep_2(of_ns, 1000);
END $$;

-- Deletes at most so many chunks of what was dropped in one piece: what a query staged that failed, and what waited of a run
-- that was cancelled. Says so if any may be left.
CREATE FUNCTION sweep_2(of_ns integer, most bigint) RETURNS SETOF fact_2 LANGUAGE plpgsql AS $$
DECLARE
    of_line bigint;
    bodies bigint[];
    ends integer[];
BEGIN
    SELECT id INTO of_line FROM line WHERE ns = of_ns AND kind = 6 ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    WITH first AS MATERIALIZED (
            SELECT rank, number, start, id FROM ready WHERE line = of_line ORDER BY rank, number, start, id LIMIT most),
        gone AS (
            DELETE FROM ready USING first WHERE ready.line = of_line AND ready.rank = first.rank
                AND ready.number = first.number AND ready.start = first.start AND ready.id = first.id
            RETURNING ready.body, ready.count)
        SELECT array_agg(g.body), array_agg(g.items) INTO bodies, ends
        FROM (SELECT body, sum(count)::integer AS items FROM gone GROUP BY body) AS g;
    IF bodies IS NULL THEN
        DELETE FROM line WHERE id = of_line;
    ELSE
        PERFORM end_items_1(bodies, ends);
    END IF;
    RETURN NEXT ROW('swept', 'true', NULL, NULL)::fact_2;
END $$;
