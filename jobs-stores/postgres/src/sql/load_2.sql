-- What an operation needs to know, each in one call, so that a statement asks for all of it together. Each row is a fact: its
-- kind, what it says as JSON, and bytes. Locks are taken in one order as far as the data allow: sessions, leases, jobs, runs,
-- lines, each by id. Where two still wait for one another, the server ends one of them, and it is tried again.
CREATE TYPE fact_2 AS (kind text, doc text, items bytea, cursor bytea);

-- A session, held: so that it does not go meanwhile and leave behind what is given to it, or alone.
CREATE FUNCTION session_2(of_ns integer, of_session bigint, alone boolean) RETURNS SETOF fact_2 LANGUAGE plpgsql AS $$
BEGIN
    IF alone THEN
        PERFORM FROM session WHERE ns = of_ns AND session = of_session FOR UPDATE;
    ELSE
        PERFORM FROM session WHERE ns = of_ns AND session = of_session FOR KEY SHARE;
    END IF;
    RETURN QUERY SELECT 'session', row_to_json(s)::text, NULL::bytea, NULL::bytea
        FROM session AS s WHERE ns = of_ns AND session = of_session;
END $$;

-- Payloads, each once.
CREATE FUNCTION bodies_2(ids bigint[]) RETURNS SETOF fact_2 LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY SELECT 'body', body.id::text, body.items, NULL::bytea FROM body WHERE id = ANY (ids);
END $$;

-- Leases, locked, with what decides about their items. `payloads`: of these tokens, or of all that might be poison.
CREATE FUNCTION leases_2(of_tokens bigint[], payloads bigint[], poison boolean) RETURNS SETOF fact_2 LANGUAGE plpgsql AS $$
DECLARE
    effects boolean;
BEGIN
    IF cardinality(of_tokens) = 0 THEN
        RETURN;
    END IF;
    PERFORM FROM lease WHERE token = ANY (of_tokens) ORDER BY token FOR UPDATE;
    effects := EXISTS (SELECT FROM effect LIMIT 1);
    RETURN QUERY SELECT 'lease', row_to_json(l)::text, NULL::bytea, NULL::bytea
        FROM (
            SELECT lease.session, lease.token, lease.job, job.name AS job_name, lease.number, lease.start, lease.count,
                   lease.body, lease.at, lease.suspect, lease.header, b.header AS of_body, lease.granted_at, lease.settled,
                   coalesce(run.is_cancelled AND run.finished IS NULL, false) AS cancelled,
                   CASE WHEN effects THEN ARRAY(SELECT item FROM effect WHERE effect.number = lease.number
                        AND item >= lease.start AND item < lease.start + lease.count ORDER BY item) END AS recorded
            FROM lease LEFT JOIN body AS b ON b.id = lease.body LEFT JOIN job ON job.id = lease.job
                 LEFT JOIN run ON run.id = lease.number AND NOT lease.tracked
            WHERE lease.token = ANY (of_tokens) ORDER BY lease.token) AS l;
    IF poison OR cardinality(payloads) > 0 THEN
        RETURN QUERY SELECT 'failure', row_to_json(f)::text, NULL::bytea, NULL::bytea
            FROM (SELECT failure.number, failure.item, failure.failure FROM lease JOIN failure ON failure.number = lease.number
                  AND failure.item >= lease.start AND failure.item < lease.start + lease.count
              WHERE lease.token = ANY (of_tokens) AND lease.stage = 1
                  AND (lease.token = ANY (payloads) OR (poison AND lease.suspect))
              ORDER BY failure.number, failure.item, failure.n) AS f;
        RETURN QUERY SELECT * FROM bodies_2(ARRAY(SELECT body FROM lease WHERE token = ANY (of_tokens) AND stage = 1
        AND (token = ANY (payloads) OR (poison AND suspect))));
    END IF;
    -- What the end of a query means for its run is decided with the run.
    RETURN QUERY SELECT * FROM runs_2((SELECT array_agg(DISTINCT number) FROM lease
        WHERE token = ANY (of_tokens) AND stage = 0 AND NOT tracked));
END $$;

-- Leases of a session.
CREATE FUNCTION held_2(of_ns integer, of_session bigint, of_tokens bigint[], payloads bigint[])
    RETURNS SETOF fact_2 LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY SELECT * FROM leases_2(ARRAY(
        SELECT token FROM lease JOIN session ON session.id = lease.session
        WHERE token = ANY (of_tokens) AND session.ns = of_ns AND session.session = of_session), payloads, false);
END $$;

-- What a session holds, the oldest first; but for those tokens, if they are named: of these it is said which there are.
CREATE FUNCTION all_held_2(of_ns integer, of_session bigint, named bigint[], most bigint)
    RETURNS SETOF fact_2 LANGUAGE plpgsql AS $$
DECLARE
    id_of bigint;
BEGIN
    SELECT id INTO id_of FROM session WHERE ns = of_ns AND session = of_session;
    IF named IS NOT NULL THEN
        RETURN QUERY SELECT 'token', token::text, NULL::bytea, NULL::bytea
            FROM lease WHERE token = ANY (named) AND session = id_of;
    END IF;
    RETURN QUERY SELECT * FROM leases_2(ARRAY(SELECT token FROM lease
        WHERE session = id_of AND token <> ALL (coalesce(named, '{}')) ORDER BY token LIMIT most), '{}', false);
END $$;

-- Sessions that have expired, and what they hold, the oldest first; then what sessions hold whose rows were deleted by hand.
-- `named`: of these sessions alone, whose processes are gone.
CREATE FUNCTION expired_2(of_ns integer, clock bigint, named bigint[], most bigint) RETURNS SETOF fact_2 LANGUAGE plpgsql AS $$
DECLARE
    ids bigint[];
    deleted bigint[] := '{}';
BEGIN
    IF named IS NOT NULL THEN
        UPDATE session SET until = 0 WHERE until > 0 AND id = ANY (ARRAY(
            SELECT id FROM session WHERE ns = of_ns AND session = ANY (named) ORDER BY id FOR UPDATE));
    ELSE
        -- A session that was renewed while the clock was in the future ends a lease from now.
        UPDATE session SET until = clock + lease WHERE id = ANY (ARRAY(
            SELECT id FROM session WHERE ns = of_ns AND CASE WHEN until > clock THEN until - lease > clock END
            ORDER BY id FOR UPDATE SKIP LOCKED));
        -- The sessions that hold something, each found from the one before.
        deleted := ARRAY(
            WITH RECURSIVE holder AS (
                SELECT (SELECT session FROM lease ORDER BY session LIMIT 1) AS id
                UNION ALL
                SELECT (SELECT session FROM lease WHERE session > holder.id ORDER BY session LIMIT 1)
                FROM holder WHERE holder.id IS NOT NULL)
            SELECT id FROM holder WHERE id IS NOT NULL AND NOT EXISTS (SELECT FROM session WHERE session.id = holder.id));
    END IF;
    ids := ARRAY(SELECT id FROM session WHERE ns = of_ns AND until < clock AND (named IS NULL OR session = ANY (named))
        ORDER BY until, id LIMIT 100 FOR UPDATE SKIP LOCKED);
    RETURN QUERY SELECT 'expired', row_to_json(s)::text, NULL::bytea, NULL::bytea
        FROM (SELECT session.*, (SELECT count(*) FROM lease WHERE lease.session = session.id) AS leases
              FROM session WHERE id = ANY (ids) ORDER BY until, id) AS s;
    RETURN QUERY SELECT * FROM leases_2(ARRAY(
        SELECT l.token FROM unnest(ids || deleted) WITH ORDINALITY AS e (id, n) JOIN lease AS l ON l.session = e.id
        WHERE l.session = ANY (ids) OR EXISTS (SELECT FROM job WHERE job.id = l.job AND job.ns = of_ns)
        ORDER BY n, l.token LIMIT most), '{}', true);
END $$;

-- Runs, locked, with what was counted of them.
CREATE FUNCTION runs_2(ids bigint[]) RETURNS SETOF fact_2 LANGUAGE plpgsql AS $$
BEGIN
    IF ids IS NULL OR cardinality(ids) = 0 THEN
        RETURN;
    END IF;
    PERFORM FROM run WHERE id = ANY (ids) ORDER BY id FOR NO KEY UPDATE;
    RETURN QUERY SELECT 'run', row_to_json(r)::text, NULL::bytea, (SELECT cursor FROM run WHERE run.id = r.id) FROM (
        SELECT run.id, run.ns, run.job, job.name AS job_name, job.link, run.total, run.ok, run.retries, run.dead, run.discarded,
               run.expired, run.cancelled, run.fresh, run.filled, run.finished, run.begun, run.is_cancelled, run.busy,
               run.ended, run.sweep, run.record
        FROM run LEFT JOIN job ON job.id = run.job WHERE run.id = ANY (ids) ORDER BY run.id) AS r;
    -- In another snapshot, which sees what others have counted who held the lock before.
    RETURN QUERY WITH gone AS (
            DELETE FROM tally USING run WHERE run.id = ANY (ids) AND tally.ns = run.ns AND tally.run = run.id RETURNING tally.*)
        SELECT 'tally', row_to_json(gone)::text, NULL::bytea, NULL::bytea FROM gone ORDER BY id;
END $$;

-- Runs of a namespace.
CREATE FUNCTION named_runs_2(of_ns integer, ids bigint[]) RETURNS SETOF fact_2 LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY SELECT * FROM runs_2(ARRAY(SELECT id FROM run WHERE id = ANY (ids) AND ns = of_ns));
END $$;

-- Runs that are to end, and their jobs first, which count them.
CREATE FUNCTION ending_2(of_ns integer, ids bigint[]) RETURNS SETOF fact_2 LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM job WHERE id IN (SELECT run.job FROM run WHERE run.id = ANY (ids) AND run.ns = of_ns AND run.finished IS NULL)
        ORDER BY id FOR NO KEY UPDATE;
    RETURN QUERY SELECT * FROM named_runs_2(of_ns, ids);
END $$;

-- Runs of which something was counted that is not added up, and the runs that have ended.
CREATE FUNCTION uncounted_2(of_ns integer, most bigint) RETURNS SETOF fact_2 LANGUAGE plpgsql AS $$
BEGIN
    -- Of runs that were deleted.
    DELETE FROM tally WHERE ns = of_ns AND run = ANY (ARRAY(
        SELECT t.run FROM (SELECT DISTINCT run FROM tally WHERE ns = of_ns ORDER BY run LIMIT 200) AS t
        WHERE NOT EXISTS (SELECT FROM run WHERE run.id = t.run)));
    RETURN QUERY SELECT * FROM runs_2(ARRAY(
        SELECT id FROM run WHERE id = ANY (ARRAY(SELECT DISTINCT run FROM tally WHERE ns = of_ns ORDER BY run LIMIT 200))
        ORDER BY id FOR NO KEY UPDATE SKIP LOCKED));
    RETURN QUERY SELECT 'ended', id::text, NULL::bytea, NULL::bytea FROM run WHERE ns = of_ns AND ended ORDER BY id LIMIT most;
END $$;

-- Takes out what waits of a cancelled run, at most so many chunks. What another transaction has in hand is left: there is more
-- then. Neither a count nor a queue as a whole would do: what is leased at this moment would be ended twice.
CREATE FUNCTION waiting_2(of_ns integer, of_run bigint, most bigint) RETURNS SETOF fact_2 LANGUAGE plpgsql AS $$
DECLARE
    of_job bigint;
    own bigint;
    found_rows bigint;
    left_rows bigint := most;
    seen record;
BEGIN
    SELECT job INTO of_job FROM run WHERE id = of_run AND ns = of_ns AND finished IS NULL;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    SELECT id INTO own FROM line WHERE job = of_job AND kind = 1 AND run = of_run AND builds = '';
    RETURN QUERY WITH gone AS (
            DELETE FROM delayed WHERE id = ANY (ARRAY(
                SELECT id FROM delayed WHERE job = of_job AND number = of_run ORDER BY due, id LIMIT most FOR UPDATE SKIP LOCKED))
            RETURNING *)
        SELECT 'waiting', row_to_json(p)::text, NULL::bytea, NULL::bytea FROM (
            SELECT gone.id, gone.job, NULL::bigint AS line, gone.number, gone.start, gone.count, body, at, gone.header, b.header AS of_body
            FROM gone LEFT JOIN body AS b ON b.id = gone.body ORDER BY gone.due, gone.id) AS p;
    GET DIAGNOSTICS found_rows = ROW_COUNT;
    left_rows := left_rows - found_rows;
    RETURN QUERY WITH own_first AS MATERIALIZED (
            SELECT line, rank, number, start, id FROM ready WHERE line = own
            ORDER BY rank, number, start, id LIMIT left_rows FOR UPDATE SKIP LOCKED),
        elsewhere AS MATERIALIZED (
            SELECT ready.line, ready.rank, ready.number, ready.start, ready.id FROM ready JOIN line ON line.id = ready.line
            WHERE ready.number = of_run AND ready.header IS NOT NULL AND line.job = of_job AND line.kind < 4
                AND line.id IS DISTINCT FROM own
            LIMIT left_rows - (SELECT count(*) FROM own_first) FOR UPDATE OF ready SKIP LOCKED),
        gone AS (
            DELETE FROM ready USING (SELECT * FROM own_first UNION ALL SELECT * FROM elsewhere) AS r
            WHERE ready.line = r.line AND ready.rank = r.rank
                AND ready.number = r.number AND ready.start = r.start AND ready.id = r.id
            RETURNING ready.*)
        SELECT 'waiting', row_to_json(p)::text, NULL::bytea, NULL::bytea FROM (
            SELECT gone.id, of_job AS job, gone.line, gone.number, gone.start, gone.count, body, at, gone.header, b.header AS of_body
            FROM gone LEFT JOIN body AS b ON b.id = gone.body ORDER BY gone.id) AS p;
    -- One look at both: what goes back or is leased meanwhile is in one of them.
    SELECT waits_2(of_run, of_job) AS waits, EXISTS (SELECT FROM lease WHERE job = of_job AND number = of_run) AS held INTO seen;
    IF seen.waits THEN
        RETURN NEXT ROW('more', 'true', NULL, NULL)::fact_2;
    ELSIF seen.held THEN
        RETURN NEXT ROW('held', 'true', NULL, NULL)::fact_2;
    END IF;
END $$;

-- Jobs by their names, with what decides about their ticks; of a name that no job has, the number that it would get.
-- `of_session`: what that session says of them, and with it what is in flight of those that are limited.
CREATE FUNCTION jobs_2(of_ns integer, names text[], locked text[], of_session bigint, firing boolean, clock bigint)
    RETURNS SETOF fact_2 LANGUAGE plpgsql AS $$
DECLARE
    id_of bigint;
    found bigint[];
BEGIN
    -- Asked once: a job that another session makes after this counts as one that is not there. It is made then, which
    -- conflicts, and the operation is tried again.
    found := ARRAY(SELECT id FROM job WHERE ns = of_ns AND name = ANY (names));
    SELECT id INTO id_of FROM session WHERE ns = of_ns AND session = of_session;
    -- What is in flight of a limited job is counted when nobody else leases of it.
    PERFORM FROM job WHERE id = ANY (found) AND (name = ANY (locked) OR firing AND EXISTS (
            SELECT FROM link WHERE session = id_of AND link.job = job.name AND (exclusive OR most IS NOT NULL)))
        ORDER BY id FOR NO KEY UPDATE;
    RETURN QUERY SELECT 'job', row_to_json(j)::text, NULL::bytea, NULL::bytea FROM (
        SELECT job.id, job.name, job.link, job.schedule, job.ticks, k.link AS linked,
               CASE WHEN firing AND job.name = ANY (locked) THEN (
                   SELECT run.id FROM run WHERE run.job = job.id AND busy AND (filling OR fresh > (
                       SELECT coalesce(sum(tally.fresh), 0) FROM tally WHERE tally.ns = of_ns AND tally.run = run.id))
                   ORDER BY run.id LIMIT 1) END AS busy,
               CASE WHEN job.name = ANY (locked) THEN (
                   SELECT json_build_object('n', n, 'info', info) FROM tick WHERE tick.job = job.id ORDER BY n DESC LIMIT 1)
                   END AS last_tick,
               CASE WHEN firing THEN (SELECT json_build_array(rank, number) FROM line
                WHERE line.job = job.id AND line.kind = 0 AND rank IS NOT NULL ORDER BY rank, number LIMIT 1) END AS first_control,
               CASE WHEN firing THEN (SELECT json_build_array(rank, number) FROM line
                WHERE line.job = job.id AND line.kind = 1 AND rank IS NOT NULL ORDER BY rank, number LIMIT 1) END AS first_work,
               CASE WHEN firing AND (k.exclusive OR k.most IS NOT NULL) THEN (
                   SELECT json_build_array(coalesce(sum(open), 0), coalesce(sum(open) FILTER (WHERE NOT tracked), 0))
                   FROM lease JOIN session ON session.id = lease.session
                   WHERE lease.job = job.id AND stage = 1 AND until >= clock) END AS in_flight
        FROM job LEFT JOIN link AS k ON k.session = id_of AND k.job = job.name WHERE job.id = ANY (found)) AS j;
    RETURN QUERY SELECT 'new', json_build_array(asked.name, nextval('job_id_seq'), k.link)::text, NULL::bytea, NULL::bytea
        FROM (SELECT unnest(names) EXCEPT SELECT name FROM job WHERE id = ANY (found)) AS asked (name)
             LEFT JOIN link AS k ON k.session = id_of AND k.job = asked.name;
END $$;

-- New numbers.
CREATE FUNCTION numbers_2(clock bigint, most integer) RETURNS SETOF fact_2 LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY SELECT 'number', number_1(clock)::text, NULL::bytea, NULL::bytea FROM generate_series(1, most);
END $$;

-- Runs that were made by these requests.
CREATE FUNCTION requested_2(of_ns integer, requests bigint[]) RETURNS SETOF fact_2 LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY SELECT 'requested', json_build_array(request, id, total)::text, NULL::bytea, NULL::bytea
        FROM run WHERE ns = of_ns AND request = ANY (requests);
END $$;

-- The pauses, whether they have expired or not.
CREATE FUNCTION pauses_2(of_ns integer) RETURNS SETOF fact_2 LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY SELECT 'cell', row_to_json(c)::text, NULL::bytea, NULL::bytea
        FROM cell AS c WHERE ns = of_ns AND name >= 'pause/' AND name < 'pause0';
END $$;

-- Cancelled runs of which a session holds items, with the leases of these.
CREATE FUNCTION cancelled_2(of_ns integer, of_session bigint) RETURNS SETOF fact_2 LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY SELECT 'cancelled', json_build_array(number, token)::text, NULL::bytea, NULL::bytea
        FROM session JOIN lease ON lease.session = session.id JOIN run ON run.id = lease.number AND NOT tracked
        WHERE session.ns = of_ns AND session.session = of_session AND is_cancelled AND finished IS NULL;
END $$;

-- What is due, at most so many chunks, taken out; nothing if there is no such session, or this call of a lane was answered
-- before.
CREATE FUNCTION due_2(of_ns integer, of_session bigint, of_lane bigint, of_n bigint, clock bigint, most bigint)
    RETURNS SETOF fact_2 LANGUAGE plpgsql AS $$
DECLARE
    ids bigint[];
    cancelled_runs bigint[];
BEGIN
    IF NOT EXISTS (SELECT FROM session LEFT JOIN lane ON lane.session = session.id AND lane = of_lane
                   WHERE session.ns = of_ns AND session.session = of_session AND coalesce(n < of_n, true)) THEN
        RETURN;
    END IF;
    ids := ARRAY(SELECT id FROM delayed WHERE ns = of_ns AND due <= clock ORDER BY due, id LIMIT most FOR UPDATE SKIP LOCKED);
    IF cardinality(ids) = 0 THEN
        RETURN;
    END IF;
    -- Asked once: what is cancelled after this is made ready, and ended by whoever looks after the cancel.
    cancelled_runs := ARRAY(SELECT DISTINCT run.id FROM delayed JOIN run ON run.id = delayed.number
        WHERE delayed.id = ANY (ids) AND run.is_cancelled AND run.finished IS NULL);
    -- A query that ends by this ends the filling of its run.
    RETURN QUERY SELECT * FROM runs_2(ARRAY(SELECT id FROM run WHERE id = ANY (cancelled_runs) AND filling));
    RETURN QUERY WITH gone AS (DELETE FROM delayed WHERE id = ANY (ids) RETURNING *)
        SELECT 'due', row_to_json(d)::text, NULL::bytea, NULL::bytea FROM (
            SELECT gone.id, gone.job, job.name AS job_name, gone.number, gone.start, gone.count, body, at, gone.header, b.header AS of_body,
                   gone.due, gone.number = ANY (cancelled_runs) AS cancelled
            FROM gone LEFT JOIN body AS b ON b.id = gone.body LEFT JOIN job ON job.id = gone.job
            ORDER BY gone.due, gone.id) AS d;
END $$;

-- The last call of a lane.
CREATE FUNCTION lane_2(of_ns integer, of_session bigint, of_lane bigint) RETURNS SETOF fact_2 LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY SELECT 'lane', json_build_array(n, answer)::text, NULL::bytea, NULL::bytea
        FROM session JOIN lane ON lane.session = session.id AND lane = of_lane
        WHERE session.ns = of_ns AND session.session = of_session;
END $$;

-- Leases that are held still, as they were granted: by their tokens, or as the first ones of runs.
CREATE FUNCTION granted_2(of_ns integer, of_session bigint, tokens bigint[], of_runs bigint[])
    RETURNS SETOF fact_2 LANGUAGE plpgsql AS $$
BEGIN
    IF of_runs IS NOT NULL THEN
        tokens := ARRAY(SELECT (record::json -> 'first' ->> 1)::bigint FROM run WHERE id = ANY (of_runs) AND ns = of_ns);
    END IF;
    RETURN QUERY SELECT 'granted', row_to_json(g)::text, b.items, CASE WHEN g.stage = 0 THEN r.cursor END
        FROM (SELECT l.token, l.job, job.name AS job_name, l.number, l.start, l.count, l.body, l.at, l.stage, l.tracked,
                     l.header, body.header AS of_body
              FROM lease AS l JOIN session ON session.id = l.session LEFT JOIN job ON job.id = l.job
                   LEFT JOIN body ON body.id = l.body
              WHERE l.token = ANY (tokens) AND session.ns = of_ns AND session.session = of_session) AS g
        LEFT JOIN body AS b ON b.id = g.body LEFT JOIN run AS r ON r.id = g.number AND NOT g.tracked;
END $$;

-- The lease of a fill item and its run, or the run whose query went through under it; how many items of its job are ready
-- (beyond ten thousand chunks nobody asks how many more); and a number for a line.
CREATE FUNCTION fill_2(of_ns integer, of_token bigint) RETURNS SETOF fact_2 LANGUAGE plpgsql AS $$
DECLARE
    of_job bigint;
BEGIN
    RETURN QUERY SELECT * FROM leases_2(ARRAY(SELECT token FROM lease JOIN session ON session.id = lease.session
        WHERE token = of_token AND stage = 0 AND session.ns = of_ns), '{}', false);
    SELECT job INTO of_job FROM lease WHERE token = of_token;
    IF NOT FOUND THEN
        RETURN QUERY SELECT * FROM runs_2(ARRAY(SELECT id FROM run WHERE filled = of_token AND ns = of_ns));
        SELECT job INTO of_job FROM run WHERE filled = of_token AND ns = of_ns;
    END IF;
    RETURN QUERY SELECT 'ready', coalesce(sum(count), 0)::text, NULL::bytea, NULL::bytea FROM (
        SELECT ready.count FROM line JOIN ready ON ready.line = line.id
        WHERE line.job = of_job AND line.rank IS NOT NULL LIMIT 10000) AS r;
    RETURN QUERY SELECT 'line', nextval('line_id_seq')::text, NULL::bytea, NULL::bytea;
END $$;

-- Dead items, locked, in the order of their deaths; none if a run was made by this request before.
CREATE FUNCTION exhumed_2(of_ns integer, numbers bigint[], places bigint[], of_job text, unless bigint)
    RETURNS SETOF fact_2 LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM run WHERE ns = of_ns AND request = unless) THEN
        RETURN;
    END IF;
    RETURN QUERY SELECT 'dead', json_build_object('id', dead.id, 'header', dead.header)::text, dead.payload, NULL::bytea
        FROM (SELECT DISTINCT number, item FROM unnest(numbers, places) AS n (number, item)) AS named
             JOIN dead ON dead.number = named.number AND dead.item = named.item
        WHERE dead.ns = of_ns AND dead.job = (SELECT id FROM job WHERE ns = of_ns AND name = of_job)
        ORDER BY dead.id FOR UPDATE OF dead;
END $$;

-- What an attach has to know besides: how live sessions link these jobs and those that they were renamed to, what was
-- renamed, what the session itself links, and the other sessions.
CREATE FUNCTION attaching_2(of_ns integer, of_session bigint, names text[], clock bigint)
    RETURNS SETOF fact_2 LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY SELECT 'own', link, NULL::bytea, NULL::bytea
        FROM link JOIN session ON session.id = link.session WHERE session.ns = of_ns AND session.session = of_session
        ORDER BY link.job;
    RETURN QUERY SELECT 'renamed', json_build_array(was, name)::text, NULL::bytea, NULL::bytea FROM renamed WHERE ns = of_ns;
    RETURN QUERY SELECT DISTINCT 'live', link.link, NULL::bytea, NULL::bytea
        FROM unnest(names || ARRAY(SELECT name FROM renamed WHERE ns = of_ns)) AS asked (name)
             JOIN link ON link.job = asked.name JOIN session ON session.id = link.session
        WHERE session.ns = of_ns AND until >= clock AND session.session <> of_session;
    RETURN QUERY SELECT 'other', row_to_json(s)::text, NULL::bytea, NULL::bytea
        FROM (SELECT session.*, (SELECT coalesce(sum(open), 0) FROM lease WHERE lease.session = session.id) AS held
              FROM session WHERE ns = of_ns ORDER BY session) AS s;
END $$;

-- What waits aside because builds could not decode it, of queues whose items no build that lives can decode: the first
-- chunks, at most so many in all, locked; their payloads; and the builds that live.
CREATE FUNCTION aside_2(of_ns integer, clock bigint, most bigint) RETURNS SETOF fact_2 LANGUAGE plpgsql AS $$
DECLARE
    one record;
    lines bigint[] := '{}';
BEGIN
    FOR one IN SELECT l.id, l.builds, ARRAY(
            SELECT DISTINCT build FROM link JOIN session ON session.id = link.session
            WHERE link.job = job.name AND session.ns = of_ns AND until >= clock) AS live
        FROM line AS l JOIN job ON job.id = l.job WHERE l.ns = of_ns AND l.kind = 3 ORDER BY l.id LIMIT 1000
    LOOP
        CONTINUE WHEN cardinality(one.live) = 0
            OR EXISTS (SELECT FROM unnest(one.live) AS b (build) WHERE strpos(one.builds, to_json(b.build)::text) = 0);
        lines := lines || one.id;
        RETURN NEXT ROW('aside', json_build_object('line', one.id, 'live', one.live)::text, NULL, NULL)::fact_2;
    END LOOP;
    -- A query that dies by this ends the filling of its run.
    RETURN QUERY SELECT * FROM runs_2(ARRAY(SELECT DISTINCT number FROM (
        SELECT number, stage FROM ready WHERE line = ANY (lines) ORDER BY rank, number, start, id LIMIT most) AS r WHERE stage = 0));
    RETURN QUERY SELECT * FROM chunks_2(lines, most);
END $$;

-- The first chunks of some queues, at most so many in all, locked; and their payloads.
CREATE FUNCTION chunks_2(lines bigint[], most bigint) RETURNS SETOF fact_2 LANGUAGE plpgsql AS $$
DECLARE
    bodies bigint[] := '{}';
    chunk record;
BEGIN
    FOR chunk IN
        SELECT r.line, r.rank, r.number, r.id, r.start, r.count, r.body, r.at, r.header, line.job, job.name AS job_name,
               b.header AS of_body
        FROM (SELECT ready.* FROM unnest(lines) AS of (line) CROSS JOIN LATERAL (
                  SELECT * FROM ready WHERE ready.line = of.line ORDER BY rank, number, start, id LIMIT most
                  FOR UPDATE SKIP LOCKED) AS ready
              ORDER BY ready.rank, ready.number, ready.start, ready.id LIMIT most) AS r
             JOIN line ON line.id = r.line JOIN job ON job.id = line.job LEFT JOIN body AS b ON b.id = r.body
        ORDER BY r.rank, r.number, r.start, r.id
    LOOP
        IF chunk.body IS NOT NULL AND chunk.body <> ALL (bodies) THEN
            bodies := bodies || chunk.body;
        END IF;
        RETURN NEXT ROW('chunk', row_to_json(chunk)::text, NULL, NULL)::fact_2;
    END LOOP;
    RETURN QUERY SELECT * FROM bodies_2(bodies);
END $$;

-- Removes dead items and says how many there were, unless the answer is kept of a call before.
CREATE FUNCTION discard_2(of_ns integer, cell_name text, clock bigint, numbers bigint[], places bigint[])
    RETURNS SETOF fact_2 LANGUAGE plpgsql AS $$
DECLARE
    found_rows bigint;
BEGIN
    RETURN QUERY SELECT 'cell', row_to_json(c)::text, NULL::bytea, NULL::bytea
        FROM cell AS c WHERE ns = of_ns AND name = cell_name AND (expires_at IS NULL OR expires_at > clock);
    IF FOUND THEN
        RETURN;
    END IF;
    DELETE FROM dead USING unnest(numbers, places) AS named (number, item)
        WHERE dead.number = named.number AND dead.item = named.item AND dead.ns = of_ns;
    GET DIAGNOSTICS found_rows = ROW_COUNT;
    RETURN QUERY SELECT 'discarded', found_rows::text, NULL::bytea, NULL::bytea;
END $$;

-- Whether anything of a run waits: for its time or for a slot. Stable, so that it sees what the statement sees that asks.
CREATE FUNCTION waits_2(of_run bigint, of_job bigint) RETURNS boolean STABLE LANGUAGE plpgsql AS $$
BEGIN
    RETURN EXISTS (SELECT FROM delayed WHERE job = of_job AND number = of_run)
        OR EXISTS (SELECT FROM line JOIN ready ON ready.line = line.id
                   WHERE line.job = of_job AND line.kind = 1 AND line.run = of_run AND line.builds = '')
        OR EXISTS (SELECT FROM ready JOIN line ON line.id = ready.line
                   WHERE ready.number = of_run AND ready.header IS NOT NULL AND line.job = of_job AND line.kind < 4);
END $$;

-- Any of the numbers between these, in one look: called in a condition it would be another one for each row.
CREATE FUNCTION anywhere_2(oldest bigint, newest bigint) RETURNS bigint LANGUAGE sql AS
    $$ SELECT oldest + floor(random() * (newest - oldest + 1))::bigint $$;

-- A cancelled run of which something waits, and at most so many chunks of it; and whether there are others: of the hundred
-- oldest that were cancelled and of a hundred from anywhere on. A run is
-- looked after as long as anything of it waits or is held: who holds it may have read it before the cancel, and put it back.
CREATE FUNCTION swept_2(of_ns integer, most bigint) RETURNS SETOF fact_2 LANGUAGE plpgsql AS $$
DECLARE
    anywhere bigint;
    looked_at bigint[];
    ids bigint[];
BEGIN
    SELECT anywhere_2(min(id), max(id)) INTO anywhere FROM run WHERE ns = of_ns AND sweep;
    looked_at := ARRAY((SELECT id FROM run WHERE ns = of_ns AND sweep ORDER BY id LIMIT 100)
        UNION (SELECT id FROM run WHERE ns = of_ns AND sweep AND id >= anywhere ORDER BY id LIMIT 100));
    UPDATE run SET sweep = false WHERE id = ANY (ARRAY(
        SELECT id FROM run WHERE id = ANY (looked_at) AND sweep AND (finished IS NOT NULL OR NOT (waits_2(run.id, run.job)
            OR EXISTS (SELECT FROM lease WHERE lease.job = run.job AND lease.number = run.id)))
        ORDER BY id FOR NO KEY UPDATE SKIP LOCKED));
    ids := ARRAY(SELECT id FROM run WHERE id = ANY (looked_at) AND sweep AND waits_2(run.id, run.job) ORDER BY id LIMIT 2);
    IF cardinality(ids) > 0 THEN
        RETURN NEXT ROW('swept', ids[1]::text, NULL, NULL)::fact_2;
        RETURN QUERY SELECT * FROM runs_2(ids[1:1]);
        RETURN QUERY SELECT * FROM waiting_2(of_ns, ids[1], most);
    END IF;
    IF cardinality(ids) > 1 THEN
        RETURN NEXT ROW('others', 'true', NULL, NULL)::fact_2;
    END IF;
END $$;

-- What a clock of the future has put to wait waits as long as it was meant to, from now.
CREATE FUNCTION future_2(of_ns integer, clock bigint, most bigint) RETURNS SETOF fact_2 LANGUAGE plpgsql AS $$
DECLARE
    found_rows bigint;
BEGIN
    UPDATE delayed SET due = clock + greatest(due - since, 0), since = clock WHERE id = ANY (ARRAY(
        SELECT id FROM delayed WHERE ns = of_ns AND since > clock ORDER BY since LIMIT most FOR UPDATE SKIP LOCKED));
    GET DIAGNOSTICS found_rows = ROW_COUNT;
    RETURN NEXT ROW('future', found_rows::text, NULL, NULL)::fact_2;
END $$;

-- Runs that are not over and of which nothing is left anywhere: somebody has deleted their items by hand. Of the fifty oldest
-- and of fifty from anywhere on, if they are older than a minute: each is met in the end. An item is in one place in each snapshot, so one
-- statement sees it.
CREATE FUNCTION lost_2(of_ns integer, clock bigint) RETURNS SETOF fact_2 LANGUAGE plpgsql AS $$
DECLARE
    anywhere bigint;
    ids bigint[];
BEGIN
    SELECT anywhere_2(min(id), max(id)) INTO anywhere FROM run WHERE ns = of_ns AND finished IS NULL;
    ids := ARRAY(SELECT o.id FROM (
            (SELECT run.id, run.job FROM run WHERE ns = of_ns AND finished IS NULL AND NOT sweep AND NOT ended ORDER BY run.id LIMIT 50)
            UNION
            (SELECT run.id, run.job FROM run WHERE ns = of_ns AND finished IS NULL AND NOT sweep AND NOT ended
                AND run.id >= anywhere ORDER BY run.id LIMIT 50)) AS o
        -- A number of the future says nothing of the age.
        WHERE ((o.id >> 10) < clock - 60000 OR (o.id >> 10) > clock)
            AND NOT EXISTS (SELECT FROM lease WHERE lease.job = o.job AND lease.number = o.id)
            AND NOT waits_2(o.id, o.job)
            -- What a newer version stored stands aside.
            AND NOT EXISTS (SELECT FROM ready WHERE ready.number = o.id AND ready.header IS NOT NULL));
    RETURN QUERY SELECT 'lost', id::text, NULL::bytea, NULL::bytea FROM run WHERE id = ANY (ids) AND NOT ended;
    RETURN QUERY SELECT * FROM runs_2(ids);
END $$;
