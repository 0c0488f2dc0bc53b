-- Writes all that an operation has decided, in one call. `doc` has a list of records for each kind of what is written; `blobs`
-- are the payloads that they refer to by their place, from 1. Answers with the runs that have ended by it, and with those
-- that hold no tick any more.
CREATE FUNCTION write_2(of_ns integer, clock bigint, doc jsonb, blobs bytea[])
    RETURNS SETOF fact_2 LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    bodies bigint[];
    lines bigint[] := '{}';
    one record;
    found_rows bigint;
BEGIN
    IF doc ? 'sessions_gone' THEN
        -- The leases are gone already.
        DELETE FROM cell USING session AS s WHERE s.id = ANY (longs_2(doc -> 'sessions_gone')) AND cell.ns = s.ns AND cell.owner = s.session;
        DELETE FROM link WHERE session = ANY (longs_2(doc -> 'sessions_gone'));
        DELETE FROM lane WHERE session = ANY (longs_2(doc -> 'sessions_gone'));
        DELETE FROM session WHERE id = ANY (longs_2(doc -> 'sessions_gone'));
    END IF;
    IF doc ? 'owners_gone' THEN
        DELETE FROM cell WHERE ns = of_ns AND owner = ANY (longs_2(doc -> 'owners_gone'));
    END IF;
    IF doc ? 'session' THEN
        SELECT * INTO one FROM jsonb_to_record(doc -> 'session') AS s (
            session bigint, lease bigint, until bigint, connected_at bigint, node text, node_name text, build text, past text);
        INSERT INTO session AS s (ns, session, lease, until, connected_at, node, node_name, build, past)
            VALUES (of_ns, one.session, one.lease, one.until, one.connected_at, one.node, one.node_name, one.build, one.past)
            ON CONFLICT (ns, session) DO UPDATE SET lease = excluded.lease, until = excluded.until,
                connected_at = excluded.connected_at, node = excluded.node, node_name = excluded.node_name,
                build = excluded.build, past = excluded.past RETURNING s.id INTO one;
        IF doc ? 'links' THEN
            DELETE FROM link WHERE session = one.id;
            INSERT INTO link (session, job, fingerprint, link)
                SELECT one.id, l.job, l.fingerprint, l.link
                FROM jsonb_to_recordset(doc -> 'links') AS l (job text, fingerprint text, link text);
        END IF;
    END IF;
    IF doc ? 'sessions' THEN
        UPDATE session SET until = u.until, connected_at = coalesce(u.connected_at, session.connected_at)
            FROM jsonb_to_recordset(doc -> 'sessions') AS u (id bigint, until bigint, connected_at bigint) WHERE session.id = u.id;
    END IF;
    IF doc ? 'leases_gone' THEN
        DELETE FROM lease WHERE token = ANY (longs_2(doc -> 'leases_gone'));
    END IF;
    IF doc ? 'leases' THEN
        UPDATE lease SET open = u.open, settled = decode(u.settled, 'hex'), header = coalesce(u.header, lease.header), suspect = u.suspect
            FROM jsonb_to_recordset(doc -> 'leases') AS u (token bigint, open integer, settled text, header text, suspect boolean)
            WHERE lease.token = u.token;
    END IF;
    IF doc ? 'runs' THEN
        UPDATE run SET total = u.total, ok = u.ok, retries = u.retries, dead = u.dead, discarded = u.discarded,
                expired = u.expired, cancelled = u.cancelled, fresh = u.fresh, filling = u.filling, busy = u.busy, ended = u.ended,
                filled = u.filled, cursor = CASE WHEN u.page IS NULL THEN NULL ELSE blobs[u.page] END,
                is_cancelled = u.is_cancelled, sweep = u.sweep, record = u.record, begun = run.begun OR u.begun,
                finished = CASE WHEN u.over AND run.finished IS NULL THEN nextval('finished') ELSE run.finished END
            FROM jsonb_to_recordset(doc -> 'runs') AS u (id bigint, total bigint, ok bigint, retries bigint, dead bigint,
                discarded bigint, expired bigint, cancelled bigint, fresh bigint, filling boolean, busy boolean, ended boolean,
                filled bigint, page integer, is_cancelled boolean, sweep boolean, record text, begun boolean, over boolean)
            WHERE run.id = u.id;
    END IF;
    IF doc ? 'tallies' THEN
        RETURN QUERY SELECT * FROM tally_2(of_ns, doc -> 'tallies');
    END IF;
    IF doc ? 'jobs_new' THEN
        INSERT INTO job (id, ns, name, link, keep_runs, keep_ticks) OVERRIDING SYSTEM VALUE
            SELECT j.id, of_ns, j.name, j.link, j.keep_runs, j.keep_ticks FROM jsonb_to_recordset(doc -> 'jobs_new')
                AS j (id bigint, name text, link text, keep_runs bigint, keep_ticks bigint) ON CONFLICT DO NOTHING;
        GET DIAGNOSTICS found_rows = ROW_COUNT;
        IF found_rows < jsonb_array_length(doc -> 'jobs_new') THEN
            RAISE serialization_failure USING MESSAGE = 'another one has made the same job';
        END IF;
    END IF;
    IF doc ? 'moves' THEN
        FOR one IN SELECT * FROM jsonb_to_recordset(doc -> 'moves') AS m (was text, name text, "from" bigint, "to" bigint, ticks boolean) LOOP
            PERFORM move_2(of_ns, one."from", one."to", one.ticks);
        END LOOP;
    END IF;
    IF doc ? 'renamed_gone' THEN
        DELETE FROM renamed WHERE ns = of_ns AND was = ANY (ARRAY(SELECT jsonb_array_elements_text(doc -> 'renamed_gone')));
    END IF;
    IF doc ? 'renamed' THEN
        INSERT INTO renamed (ns, was, name) SELECT of_ns, r.was, r.name FROM jsonb_to_recordset(doc -> 'renamed') AS r (was text, name text)
            ON CONFLICT (ns, was) DO UPDATE SET name = excluded.name;
    END IF;
    IF doc ? 'jobs' THEN
        UPDATE job SET link = coalesce(u.link, job.link), keep_runs = coalesce(u.keep_runs, job.keep_runs),
                keep_ticks = coalesce(u.keep_ticks, job.keep_ticks), schedule = coalesce(u.schedule, job.schedule),
                ticks = job.ticks + u.ticks, finished = job.finished + u.finished
            FROM jsonb_to_recordset(doc -> 'jobs') AS u (id bigint, link text, keep_runs bigint, keep_ticks bigint, schedule text,
                ticks bigint, finished bigint)
            WHERE job.id = u.id;
    END IF;
    IF doc ? 'ticks_changed' THEN
        UPDATE tick SET info = u.info FROM jsonb_to_recordset(doc -> 'ticks_changed') AS u (job bigint, n bigint, info text)
            WHERE tick.job = u.job AND tick.n = u.n;
    END IF;
    IF doc ? 'ticks' THEN
        INSERT INTO tick (job, info) SELECT t.job, t.info
            FROM ROWS FROM (jsonb_to_recordset(doc -> 'ticks') AS (job bigint, info text)) WITH ORDINALITY AS t (job, info, n) ORDER BY t.n;
    END IF;
    IF doc ? 'runs_new' THEN
        INSERT INTO run (id, ns, job, request, total, fresh, filling, busy, begun, record)
            SELECT r.id, of_ns, r.job, r.request, r.total, r.fresh, r.filling, r.busy, r.begun, r.record
            FROM jsonb_to_recordset(doc -> 'runs_new') AS r (id bigint, job bigint, request bigint, total bigint, fresh bigint,
                filling boolean, busy boolean, begun boolean, record text);
    END IF;
    IF doc ? 'leases_new' THEN
        INSERT INTO lease (session, token, job, number, stage, tracked, suspect, start, count, at, header, granted_at, open)
            SELECT l.session, l.token, l.job, l.number, l.stage, false, false, 0, 1, 0, l.header, clock, 1
            FROM jsonb_to_recordset(doc -> 'leases_new') AS l (session bigint, token bigint, job bigint, number bigint, stage smallint, header text);
    END IF;
    IF doc ? 'failures' THEN
        INSERT INTO failure (number, item, failure) SELECT f.number, f.item, f.failure
            FROM ROWS FROM (jsonb_to_recordset(doc -> 'failures') AS (number bigint, item bigint, failure text))
                 WITH ORDINALITY AS f (number, item, failure, n) ORDER BY f.n;
    END IF;
    IF doc ? 'failures_cut' THEN
        -- Only the last ones are kept.
        DELETE FROM failure USING (
            SELECT c.number, c.item, (SELECT n FROM failure AS f WHERE f.number = c.number AND f.item = c.item
                                      ORDER BY n DESC OFFSET c.keep LIMIT 1) AS n
            FROM jsonb_to_recordset(doc -> 'failures_cut') AS c (number bigint, item bigint, keep bigint)) AS cut
            WHERE failure.number = cut.number AND failure.item = cut.item AND failure.n <= cut.n;
    END IF;
    IF doc ? 'failures_gone' THEN
        DELETE FROM failure USING jsonb_to_recordset(doc -> 'failures_gone') AS g (number bigint, "from" bigint, "to" bigint)
            WHERE failure.number = g.number AND failure.item >= g."from" AND failure.item < g."to";
    END IF;
    IF doc ? 'dead_gone' THEN
        DELETE FROM dead WHERE id = ANY (longs_2(doc -> 'dead_gone'));
    END IF;
    IF doc ? 'dead' THEN
        INSERT INTO dead (ns, job, number, item, died, header, payload, attempts)
            SELECT of_ns, d.job, d.number, d.item, clock, d.header, blobs[d.payload], d.attempts
            FROM ROWS FROM (jsonb_to_recordset(doc -> 'dead') AS (job bigint, number bigint, item bigint, header text, payload integer,
                attempts text)) WITH ORDINALITY AS d (job, number, item, header, payload, attempts, n) ORDER BY d.n
            ON CONFLICT (number, item) DO NOTHING;
    END IF;
    IF doc ? 'cells_gone' THEN
        DELETE FROM cell WHERE ns = of_ns AND name = ANY (ARRAY(SELECT jsonb_array_elements_text(doc -> 'cells_gone')));
    END IF;
    IF doc ? 'cells' THEN
        INSERT INTO cell AS c (ns, name, version, value, expires_at, owner)
            SELECT of_ns, p.name, number_1(clock), p.value, p.expires_at, p.owner
            FROM jsonb_to_recordset(doc -> 'cells') AS p (name text, value text, expires_at bigint, owner bigint)
            WHERE p.owner IS NULL OR EXISTS (SELECT FROM session WHERE ns = of_ns AND session = p.owner FOR KEY SHARE)
            ON CONFLICT (ns, name) DO UPDATE SET version = excluded.version, value = excluded.value,
                expires_at = excluded.expires_at, owner = excluded.owner;
    END IF;
    IF doc ? 'cells_renamed' THEN
        FOR one IN SELECT * FROM jsonb_to_recordset(doc -> 'cells_renamed') AS r (was text, name text) LOOP
            UPDATE cell SET name = one.name WHERE ns = of_ns AND name = one.was
                AND NOT EXISTS (SELECT FROM cell AS there WHERE there.ns = of_ns AND there.name = one.name);
            DELETE FROM cell WHERE ns = of_ns AND name = one.was;
        END LOOP;
    END IF;
    IF doc ? 'staged' THEN
        INSERT INTO line (id, ns, job, kind, run, builds, turn) OVERRIDING SYSTEM VALUE
            SELECT s.id, of_ns, s.job, 5, s.run, '', 0 FROM jsonb_to_recordset(doc -> 'staged') AS s (id bigint, job bigint, run bigint);
    END IF;
    IF doc ? 'lines' THEN
        -- In the one order in which all take them.
        FOR one IN SELECT * FROM ROWS FROM (jsonb_to_recordset(doc -> 'lines') AS (job bigint, kind smallint, run bigint, builds text,
                rank bigint, number bigint, start bigint)) WITH ORDINALITY AS l (job, kind, run, builds, rank, number, start, n) ORDER BY l.n LOOP
            lines := lines || line_2(of_ns, one.job, one.kind, one.run, one.builds, one.rank, one.number, one.start);
        END LOOP;
    END IF;
    IF doc ? 'bodies' THEN
        bodies := ARRAY(SELECT nextval('body_id_seq') FROM jsonb_array_elements(doc -> 'bodies'));
        INSERT INTO body (id, start, count, header, items) OVERRIDING SYSTEM VALUE
            SELECT bodies[b.n], b.start, b.count, b.header, blobs[b.items]
            FROM ROWS FROM (jsonb_to_recordset(doc -> 'bodies') AS (start bigint, count integer, header text, items integer))
                 WITH ORDINALITY AS b (start, count, header, items, n);
    END IF;
    IF doc ? 'ready' THEN
        INSERT INTO ready (line, rank, number, start, count, format, stage, tracked, suspect, body, at, header)
            SELECT coalesce(r.line, lines[r.line_of]), r.rank, r.number, r.start, r.count, r.format, r.stage, r.tracked, r.suspect,
                   coalesce(r.body, bodies[r.body_of]), r.at, r.header
            FROM jsonb_to_recordset(doc -> 'ready') AS r (line bigint, line_of integer, rank bigint, number bigint, start bigint, count integer,
                format smallint, stage smallint, tracked boolean, suspect boolean, body bigint, body_of integer, at integer, header text);
    END IF;
    IF doc ? 'delayed' THEN
        INSERT INTO delayed (ns, job, due, number, start, count, body, at, header, since)
            SELECT of_ns, d.job, d.due, d.number, d.start, d.count, coalesce(d.body, bodies[d.body_of]), d.at, d.header, d.since
            FROM jsonb_to_recordset(doc -> 'delayed') AS d (job bigint, due bigint, number bigint, start bigint, count integer,
                body bigint, body_of integer, at integer, header text, since bigint);
    END IF;
    IF doc ? 'chunks_gone' THEN
        DELETE FROM ready USING jsonb_to_recordset(doc -> 'chunks_gone') AS g (line bigint, rank bigint, number bigint, start bigint, id bigint)
            WHERE ready.line = g.line AND ready.rank = g.rank AND ready.number = g.number AND ready.start = g.start AND ready.id = g.id;
    END IF;
    IF doc ? 'published' THEN
        FOR one IN SELECT * FROM jsonb_to_recordset(doc -> 'published') AS p (line bigint, job bigint, run bigint) LOOP
            PERFORM publish_2(one.line, one.job, one.run);
        END LOOP;
    END IF;
    IF doc ? 'dropped' THEN
        UPDATE line SET kind = 6, run = id, builds = '', rank = NULL, number = NULL, start = NULL
            WHERE id = ANY (longs_2(doc -> 'dropped'));
    END IF;
    IF doc ? 'restood' THEN
        PERFORM restand_2(id) FROM unnest(longs_2(doc -> 'restood')) AS r (id) ORDER BY id;
    END IF;
    IF doc ? 'ended' THEN
        PERFORM end_items_1(longs_2(doc -> 'ended' -> 'bodies'), ARRAY(SELECT n::integer FROM unnest(longs_2(doc -> 'ended' -> 'items')) AS e (n)));
    END IF;
END $$;
