-- Leases what a session wants: highest priority first, then earliest due, in turns between jobs that tie. Lines of jobs that are
-- not linked here, paused or full are passed over; when many are, the lines of each linked job are looked at instead.
-- `held`: limited jobs whose rows are held. `wants`: `slots` of the process, of the jobs named in `jobs` their `job_slots` and
-- `per_slot`, and the `leases` that one step may grant. Reports `contended` if other transactions had locked what it could
-- have leased: they may leave some of it, and nobody is told of that. What is decided here must agree with `Room` and `share`
-- of `jobs_core::ledger`; the differential test compares them.
CREATE FUNCTION grant_2(of_ns integer, of_session bigint, wants jsonb, build text, patterns text[], newest smallint,
                         held bigint[], clock bigint) RETURNS SETOF fact_2 LANGUAGE plpgsql AS $$
DECLARE
    slots integer := (wants ->> 'slots')::integer;
    left_leases integer := (wants ->> 'leases')::integer;
    wanted_jobs CONSTANT text[] := ARRAY(SELECT jsonb_array_elements_text(wants -> 'jobs'));
    wanted_slots CONSTANT bigint[] := longs_2(wants -> 'job_slots');
    wanted_per CONSTANT bigint[] := longs_2(wants -> 'per_slot');
    -- Of each job that was met: its number, what it may have, what one slot takes, and what it got.
    met bigint[] := '{}';
    of_slots bigint[] := '{}';
    of_per bigint[] := '{}';
    taken bigint[] := '{}';
    -- Items that slots which were begun can still take.
    begun bigint := 0;
    least CONSTANT bigint := -9223372036854775808;
    at_rank bigint := least;
    at_turn bigint := least;
    at_job bigint := least;
    at_number bigint := least;
    at_id bigint := least;
    in_vain integer := 0;
    by_job boolean := false;
    granted boolean;
    again boolean;
    wi integer;
    ji integer;
    most bigint;
    all_in_flight bigint;
    of_runs bigint;
    -- The line that was looked at last; null if it is to be looked at again.
    passed record;
    one record;
    page integer := 16;
    head record;
    found_head boolean;
    alone boolean;
    before bigint;
    before_begun bigint;
    got integer;
    leased record;
    contended boolean := false;
BEGIN
    IF slots <= 0 THEN
        RETURN;
    END IF;
    SELECT NULL::bigint AS id INTO passed;
    <<looks>>
    LOOP
        granted := false;
        again := false;
        FOR one IN SELECT * FROM lines_in_order_2(of_ns, of_session, by_job, at_rank, at_turn, at_job, at_number, at_id, page)
        LOOP
            again := true;
            EXIT looks WHEN (slots <= 0 AND begun <= 0) OR left_leases <= 0;
            IF NOT by_job THEN
                in_vain := in_vain + 1;
                IF in_vain > 256 THEN
                    by_job := true;
                    CONTINUE looks;
                END IF;
                IF passed.id IS NOT NULL THEN
                    at_rank := passed.rank;
                    at_turn := passed.turn;
                    at_job := passed.job;
                    at_number := passed.number;
                    at_id := passed.id;
                END IF;
                passed := one;
            END IF;
            CONTINUE WHEN one.concurrency IS NULL OR one.kind >= 4 OR paused_2(one.name, patterns)
                -- Builds that cannot be read may be any.
                OR (one.kind = 3 AND (one.builds NOT LIKE '[%]' OR strpos(one.builds, to_json(build)::text) > 0));
            wi := array_position(wanted_jobs, one.name);
            CONTINUE WHEN wanted_per[wi] = 0;
            ji := array_position(met, one.job);
            IF ji IS NULL THEN
                met := met || one.job;
                ji := cardinality(met);
                of_slots := of_slots || coalesce(wanted_slots[wi], one.concurrency::bigint);
                of_per := of_per || CASE WHEN wi IS NULL OR one.exclusive OR one.most_at_once IS NOT NULL THEN 1
                                         ELSE least(greatest(wanted_per[wi], 1), 1000000) END;
                taken := taken || 0::bigint;
            END IF;
            SELECT r.rank, r.number, r.format, r.stage, r.tracked, r.suspect INTO head FROM ready AS r WHERE r.line = one.id
                AND (r.rank, r.number, r.start) >= (one.rank, one.number, coalesce(one.start, 0))
                ORDER BY r.rank, r.number, r.start, r.id LIMIT 1;
            found_head := FOUND;
            IF NOT found_head AND one.start IS NOT NULL THEN
                SELECT r.rank, r.number, r.format, r.stage, r.tracked, r.suspect INTO head FROM ready AS r WHERE r.line = one.id
                    ORDER BY r.rank, r.number, r.start, r.id LIMIT 1;
                found_head := FOUND;
            END IF;
            IF NOT found_head THEN
                PERFORM restand_2(one.id);
                CONTINUE;
            END IF;
            -- What stood first was taken out: the line stands further back, unless somebody holds it.
            IF (head.rank, head.number) IS DISTINCT FROM (one.rank, one.number) AND restand_2(one.id) THEN
                SELECT NULL::bigint AS id INTO passed;
                CONTINUE looks;
            END IF;
            -- A newer version stored it, and leases it.
            CONTINUE WHEN head.format > newest;
            alone := head.stage <> 1 OR head.suspect;
            IF head.stage <> 1 THEN
                most := least(slots, 1);
            ELSE
                before_begun := (taken[ji] + of_per[ji] - 1) / of_per[ji] * of_per[ji] - taken[ji];
                most := least(of_slots[ji] * of_per[ji] - taken[ji], slots * of_per[ji] + before_begun, 2147483647);
                IF head.suspect THEN
                    most := least(most, 1);
                END IF;
            END IF;
            IF most > 0 AND head.suspect THEN
                -- The session is held, so that two of its calls do not both take one.
                PERFORM FROM session WHERE id = of_session FOR NO KEY UPDATE;
                CONTINUE WHEN EXISTS (SELECT FROM lease WHERE session = of_session AND suspect);
            END IF;
            IF most > 0 AND head.stage = 1 AND (one.exclusive OR one.most_at_once IS NOT NULL) THEN
                IF one.job <> ALL (held) THEN
                    PERFORM FROM job WHERE id = one.job FOR NO KEY UPDATE SKIP LOCKED;
                    IF NOT FOUND THEN
                        contended := true;
                        CONTINUE;
                    END IF;
                    held := held || one.job;
                END IF;
                SELECT coalesce(sum(open), 0), coalesce(sum(open) FILTER (WHERE NOT tracked), 0) INTO all_in_flight, of_runs
                    FROM lease JOIN session ON session.id = lease.session
                    WHERE lease.job = one.job AND lease.stage = 1 AND session.until >= clock;
                IF one.most_at_once IS NOT NULL THEN
                    most := least(most, one.most_at_once - all_in_flight);
                END IF;
                IF one.exclusive AND NOT head.tracked THEN
                    most := least(most, 1 - of_runs);
                END IF;
            END IF;
            CONTINUE WHEN most <= 0;
            got := 0;
            FOR leased IN SELECT * FROM take_2(one.id, of_session, most::integer, left_leases, alone, head.stage, head.tracked,
                                               head.suspect, newest, clock) LOOP
                RETURN QUERY SELECT * FROM granted_lease_2(leased.token, one.name);
                left_leases := left_leases - 1;
                got := got + leased.items;
            END LOOP;
            IF got = 0 AND NOT contended THEN
                contended := NOT EXISTS (
                    SELECT FROM run WHERE run.id = head.number AND is_cancelled AND finished IS NULL);
            ELSIF got > 0 THEN
                granted := true;
                in_vain := 0;
                IF head.stage <> 1 THEN
                    slots := slots - 1;
                ELSE
                    before := (taken[ji] + of_per[ji] - 1) / of_per[ji];
                    taken[ji] := taken[ji] + got;
                    slots := slots - ((taken[ji] + of_per[ji] - 1) / of_per[ji] - before)::integer;
                    begun := begun + ((taken[ji] + of_per[ji] - 1) / of_per[ji] * of_per[ji] - taken[ji]) - before_begun;
                END IF;
                IF NOT by_job AND (alone OR got < most) THEN
                    -- What is first may be another now: this line is looked at again. Job by job all are, in the next round.
                    SELECT NULL::bigint AS id INTO passed;
                    CONTINUE looks;
                END IF;
            END IF;
        END LOOP;
        EXIT WHEN NOT again OR (by_job AND NOT granted);
        IF NOT by_job AND passed.id IS NOT NULL THEN
            at_rank := passed.rank;
            at_turn := passed.turn;
            at_job := passed.job;
            at_number := passed.number;
            at_id := passed.id;
            page := 300;
        END IF;
    END LOOP;
    IF contended THEN
        RETURN NEXT ROW('contended', 'true', NULL, NULL)::fact_2;
    END IF;
END $$;

-- Lines in the order in which they are leased from, with what a session says of their jobs: those after that one, or of each
-- job that it links the first eight.
CREATE FUNCTION lines_in_order_2(of_ns integer, of_session bigint, by_job boolean, at_rank bigint, at_turn bigint, at_job bigint,
                                 at_number bigint, at_id bigint, at_most integer)
    RETURNS TABLE (id bigint, job bigint, kind smallint, builds text, rank bigint, turn bigint, number bigint, start bigint,
                   name text, concurrency integer, most_at_once integer, exclusive boolean) LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    IF by_job THEN
        RETURN QUERY
            SELECT l.id, l.job, l.kind, l.builds, l.rank, l.turn, l.number, l.start, j.name, k.concurrency, k.most, k.exclusive
            -- From each link to its job, whatever the planner thinks of how many there are.
            FROM (SELECT * FROM link WHERE link.session = of_session OFFSET 0) AS k
                CROSS JOIN LATERAL (SELECT * FROM job WHERE job.ns = of_ns AND job.name = k.job OFFSET 0) AS j
                CROSS JOIN LATERAL (
                    SELECT * FROM line WHERE line.job = j.id AND line.rank IS NOT NULL AND line.kind < 4
                    ORDER BY line.rank, line.number LIMIT 8) AS l
            ORDER BY l.rank, l.turn, l.job, l.number, l.id;
    ELSE
        RETURN QUERY
            SELECT l.id, l.job, l.kind, l.builds, l.rank, l.turn, l.number, l.start, j.name, k.concurrency, k.most, k.exclusive
            FROM line AS l LEFT JOIN job AS j ON j.id = l.job LEFT JOIN link AS k ON k.session = of_session AND k.job = j.name
            WHERE l.ns = of_ns AND l.rank IS NOT NULL
                AND (l.rank, l.turn, l.job, l.number, l.id) > (at_rank, at_turn, at_job, at_number, at_id)
            ORDER BY l.rank, l.turn, l.job, l.number, l.id LIMIT at_most;
    END IF;
END $$;

-- Leases at most so many items, in so many leases, from the front of a line, as long as they are of this stage and kind;
-- `alone`: of its first chunk alone. While jobs tie, one chunk is taken, and the job goes behind the others.
CREATE FUNCTION take_2(of_line bigint, of_session bigint, most integer, left_leases integer, alone boolean, of_stage smallint, of_tracked boolean,
                       of_suspect boolean, newest smallint, clock bigint)
    RETURNS TABLE (token bigint, items integer) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    stands record;
    head record;
    last record;
    ties boolean;
    exhausted boolean := true;
    taken integer;
    wanted integer := most;
    of_runs bigint[] := '{}';
    -- The run that was asked last whether it was cancelled, and which were.
    looked_at bigint;
    is_left_over boolean := false;
    left_over bigint[] := '{}';
    in_vain integer := 0;
BEGIN
    SELECT * INTO stands FROM line WHERE id = of_line;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    ties := EXISTS (SELECT FROM line AS other
        WHERE other.ns = stands.ns AND other.rank = stands.rank AND other.job <> stands.job);
    -- From where its first chunk stands, and if nothing is there, from the beginning.
    SELECT stands.rank AS rank, stands.number AS number, coalesce(stands.start, 0) AS start, -1::bigint AS id INTO last;
    WHILE wanted > 0 LOOP
        SELECT * INTO head FROM ready AS r
            WHERE r.line = of_line AND (r.rank, r.number, r.start, r.id) > (last.rank, last.number, last.start, last.id)
            ORDER BY r.rank, r.number, r.start, r.id LIMIT 1 FOR UPDATE SKIP LOCKED;
        IF NOT FOUND AND last.id = -1 AND stands.start IS NOT NULL THEN
            SELECT * INTO head FROM ready AS r WHERE r.line = of_line
                ORDER BY r.rank, r.number, r.start, r.id LIMIT 1 FOR UPDATE SKIP LOCKED;
        END IF;
        EXIT WHEN NOT FOUND;
        exhausted := head.count <= wanted AND NOT (alone AND head.count > 1);
        IF (head.stage, head.tracked, head.suspect) <> (of_stage, of_tracked, of_suspect) OR head.format > newest THEN
            exhausted := false;
            EXIT;
        END IF;
        -- What comes later may come after what stands elsewhere.
        IF wanted < most AND head.rank <> last.rank THEN
            EXIT WHEN EXISTS (SELECT FROM line AS other WHERE other.ns = stands.ns AND other.id <> of_line
                AND other.rank >= last.rank AND other.rank <= head.rank);
        END IF;
        last := head;
        -- What is left of a cancelled run is nobody's: it is ended little by little.
        IF head.number IS DISTINCT FROM looked_at THEN
            looked_at := head.number;
            is_left_over := NOT head.tracked
                AND EXISTS (SELECT FROM run WHERE run.id = head.number AND is_cancelled AND finished IS NULL);
        END IF;
        IF is_left_over THEN
            IF head.number <> ALL (left_over) THEN
                left_over := left_over || head.number;
            END IF;
            in_vain := in_vain + 1;
            EXIT WHEN stands.run = head.number OR in_vain >= 100;
            CONTINUE;
        END IF;
        taken := least(wanted, head.count);
        DELETE FROM ready AS r WHERE r.line = of_line
            AND (r.rank, r.number, r.start, r.id) = (head.rank, head.number, head.start, head.id);
        IF taken < head.count THEN
            INSERT INTO ready (line, rank, number, start, count, format, stage, tracked, suspect, body, at, header)
                VALUES (of_line, head.rank, head.number, head.start + taken, head.count - taken, head.format, head.stage,
                        head.tracked, head.suspect, head.body, head.at + taken, head.header);
        END IF;
        token := number_1(clock);
        INSERT INTO lease (session, token, job, number, stage, tracked, suspect, start, count, body, at, header,
                           granted_at, open)
            VALUES (of_session, token, stands.job, head.number, head.stage, head.tracked, head.suspect, head.start,
                    taken, head.body, head.at, head.header, clock, taken);
        IF NOT head.tracked AND head.number <> ALL (of_runs) THEN
            of_runs := of_runs || head.number;
        END IF;
        items := taken;
        RETURN NEXT;
        wanted := wanted - taken;
        left_leases := left_leases - 1;
        EXIT WHEN alone OR ties OR left_leases <= 0;
    END LOOP;
    IF cardinality(of_runs) > 0 THEN
        UPDATE run SET begun = true WHERE id = ANY (ARRAY(
            SELECT id FROM run WHERE id = ANY (of_runs) AND NOT begun ORDER BY id FOR NO KEY UPDATE SKIP LOCKED));
    END IF;
    IF cardinality(left_over) > 0 THEN
        -- It may have been stored when the cancel had looked already.
        exhausted := false;
        UPDATE run SET sweep = true WHERE id = ANY (ARRAY(
            SELECT id FROM run WHERE id = ANY (left_over) AND NOT sweep ORDER BY id FOR NO KEY UPDATE SKIP LOCKED));
    END IF;
    -- Where the first chunk stands is noted now and then, so that nobody has to walk over those that are gone.
    IF exhausted OR (wanted < most AND token % 16 = 0) THEN
        PERFORM restand_2(of_line);
    END IF;
    IF ties AND wanted < most THEN
        UPDATE line SET turn = nextval('turn') WHERE id IN (SELECT id FROM line AS l
            WHERE l.job = stands.job AND l.rank = stands.rank ORDER BY l.id FOR NO KEY UPDATE SKIP LOCKED);
    END IF;
END $$;

-- A lease as it is answered.
CREATE FUNCTION granted_lease_2(of_token bigint, name text) RETURNS SETOF fact_2 LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY SELECT 'granted', row_to_json(g)::text, (SELECT items FROM body WHERE id = g.body),
            CASE WHEN g.stage = 0 THEN (SELECT cursor FROM run WHERE id = g.number) END
        FROM (SELECT l.token, l.job, name AS job_name, l.number, l.start, l.count, l.body, l.at, l.stage, l.tracked, l.header,
                     b.header AS of_body
              FROM lease AS l LEFT JOIN body AS b ON b.id = l.body WHERE l.token = of_token) AS g;
END $$;

-- When the first chunk is due that waits for its time, of the jobs that a session links; null if none does. Where many wait of
-- jobs that it does not link, each job that it links is looked at instead.
CREATE FUNCTION next_due_2(of_ns integer, of_session bigint) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    first_due bigint;
    looked bigint;
BEGIN
    SELECT min(d.due) FILTER (WHERE k.session IS NOT NULL), count(*) INTO first_due, looked
        FROM (SELECT due, job FROM delayed WHERE ns = of_ns ORDER BY due LIMIT 64) AS d
             LEFT JOIN job ON job.id = d.job LEFT JOIN link AS k ON k.session = of_session AND k.job = job.name;
    IF first_due IS NULL AND looked >= 64 THEN
        SELECT min(d.due) INTO first_due FROM (SELECT * FROM link WHERE session = of_session OFFSET 0) AS k
            CROSS JOIN LATERAL (SELECT * FROM job WHERE ns = of_ns AND name = k.job OFFSET 0) AS j
            CROSS JOIN LATERAL (SELECT due FROM delayed WHERE delayed.job = j.id ORDER BY due LIMIT 1) AS d;
    END IF;
    RETURN first_due;
END $$;

-- Holds the limited jobs whose lines stand among the first, and those of which something is stored, in the one order in
-- which all hold them, before anything of them is counted or written.
CREATE FUNCTION limited_2(of_ns integer, of_session bigint, stored bigint[]) RETURNS bigint[] LANGUAGE plpgsql AS $$
DECLARE
    ids bigint[];
BEGIN
    ids := ARRAY(SELECT first.job FROM (
            SELECT l.job FROM line AS l WHERE l.ns = of_ns AND l.rank IS NOT NULL
            ORDER BY l.rank, l.turn, l.job, l.number, l.id LIMIT 64) AS first
            JOIN job AS j ON j.id = first.job JOIN link AS k ON k.session = of_session AND k.job = j.name
        WHERE k.exclusive OR k.most IS NOT NULL
        UNION SELECT j.id FROM unnest(stored) AS s (id) JOIN job AS j ON j.id = s.id
            JOIN link AS k ON k.session = of_session AND k.job = j.name WHERE k.exclusive OR k.most IS NOT NULL);
    IF cardinality(ids) > 0 THEN
        PERFORM FROM job WHERE id = ANY (ids) ORDER BY id FOR NO KEY UPDATE;
    END IF;
    RETURN ids;
END $$;

-- Writes what was settled, then leases more, and keeps the answer for a repeat of the call.
CREATE FUNCTION settle_2(of_ns integer, clock bigint, doc jsonb, blobs bytea[], of_session bigint, wants jsonb, build text,
                         patterns text[], newest smallint, of_lane bigint, of_n bigint, lost json)
    RETURNS SETOF fact_2 LANGUAGE plpgsql AS $$
DECLARE
    fact fact_2;
    over bigint[] := longs_2(coalesce(doc -> 'over', '[]'));
    tokens bigint[] := '{}';
    held bigint[] := '{}';
    contended boolean := false;
    due bigint;
BEGIN
    IF wants IS NOT NULL THEN
        held := limited_2(of_ns, of_session, ARRAY(
            SELECT DISTINCT l.job FROM jsonb_to_recordset(doc -> 'lines') AS l (job bigint)));
    END IF;
    FOR fact IN SELECT * FROM write_2(of_ns, clock, doc, blobs) LOOP
        RETURN NEXT fact;
        IF fact.kind = 'over' THEN
            over := over || fact.doc::bigint;
        END IF;
    END LOOP;
    IF wants IS NOT NULL THEN
        FOR fact IN SELECT * FROM grant_2(of_ns, of_session, wants, build, patterns, newest, held, clock) LOOP
            IF fact.kind = 'contended' THEN
                contended := true;
            ELSE
                RETURN NEXT fact;
                tokens := tokens || (fact.doc::json ->> 'token')::bigint;
            END IF;
        END LOOP;
    END IF;
    due := CASE WHEN cardinality(tokens) >= (wants ->> 'leases')::integer THEN clock ELSE next_due_2(of_ns, of_session) END;
    IF contended THEN
        due := least(due, clock + 10);
    END IF;
    RETURN NEXT ROW('next_due', due::text, NULL, NULL)::fact_2;
    INSERT INTO lane (session, lane, n, answer) VALUES (of_session, of_lane, of_n, json_build_object(
            'leases', to_json(tokens), 'lost', lost, 'ended', to_json(over), 'next_due', due))
        ON CONFLICT (session, lane) DO UPDATE SET n = excluded.n, answer = excluded.answer;
END $$;

-- Sets leases aside whose header cannot be read: they stand where nobody looks, for a program that can read them. What has
-- lost its body is dropped.
CREATE FUNCTION shelve_2(of_ns integer, tokens bigint[]) RETURNS SETOF fact_2 LANGUAGE plpgsql AS $$
DECLARE
    one record;
    of_body record;
    of_line bigint;
BEGIN
    FOR one IN DELETE FROM lease WHERE token = ANY (tokens) RETURNING * LOOP
        SELECT header INTO of_body FROM body WHERE id = one.body;
        CONTINUE WHEN one.body IS NOT NULL AND NOT FOUND;
        of_line := line_1(of_ns, one.job, 4::smallint, 0::bigint, '', 0::bigint, one.number);
        INSERT INTO ready (line, rank, number, start, count, format, stage, tracked, suspect, body, at, header)
            VALUES (of_line, 0, one.number, one.start, one.count, 32767, one.stage, one.tracked, one.suspect, one.body, one.at,
                    coalesce(one.header, of_body.header));
    END LOOP;
    RETURN;
END $$;
