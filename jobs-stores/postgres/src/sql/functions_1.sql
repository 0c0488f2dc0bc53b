-- What has to see more than one snapshot within one round trip. The number in a name is its version: another one gets the
-- next number, and leaves this one to the programs that call it, so that old and new programs run side by side.

-- The next number of the one source: max(last + 1, the store's milliseconds × 2^10). A sequence cannot do that in one
-- step, so the clock is looked at only when the count is more than a second behind it. Whoever brings it up holds a lock;
-- the others wait for the number, and not for the lock.
CREATE FUNCTION number_1(clock bigint) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    most CONSTANT bigint := 9007199254740991;
    floor CONSTANT bigint := least(greatest(clock, 0), most >> 10) << 10;
    second CONSTANT bigint := 1000 << 10;
    lock CONSTANT integer := ('source'::regclass::oid::bigint - 2147483648)::integer;
    drawn bigint;
BEGIN
    FOR attempt IN 1 .. 200 LOOP
        drawn := nextval('source');
        IF drawn >= floor - second THEN
            RETURN drawn;
        END IF;
        IF pg_try_advisory_xact_lock(1785684598, lock) THEN
            drawn := nextval('source');
            IF drawn < floor - second THEN
                PERFORM setval('source', floor);
                drawn := floor;
            END IF;
            RETURN drawn;
        END IF;
        PERFORM pg_sleep(0.001);
    END LOOP;
    RETURN drawn;
END $$;

-- The line with this key, held so that nobody removes it before this transaction has ended; one that is not there is
-- made. It stands no later than the place that is given.
CREATE FUNCTION line_1(of_ns integer, of_job bigint, of_kind smallint, of_run bigint, of_builds text, at_rank bigint,
                       at_number bigint) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    -- Not `line%ROWTYPE`: that may come to mean the geometric type of this name.
    found_line record;
    -- The lines of a job that tie have one turn, so that among them the older run comes first.
    of_turn bigint;
BEGIN
    LOOP
        SELECT * INTO found_line FROM line
            WHERE job = of_job AND kind = of_kind AND run = of_run AND builds = of_builds FOR KEY SHARE;
        IF FOUND AND found_line.rank IS NOT NULL AND (found_line.rank, found_line.number) <= (at_rank, at_number) THEN
            RETURN found_line.id;
        END IF;
        SELECT turn INTO of_turn FROM line WHERE job = of_job AND rank = at_rank LIMIT 1;
        of_turn := coalesce(of_turn, nextval('turn'));
        IF found_line.id IS NOT NULL THEN
            UPDATE line SET rank = at_rank, number = at_number, turn = of_turn WHERE id = found_line.id
                AND (rank IS NULL OR (rank, number) > (at_rank, at_number));
            RETURN found_line.id;
        END IF;
        INSERT INTO line (ns, job, kind, run, builds, rank, number, turn)
            VALUES (of_ns, of_job, of_kind, of_run, of_builds, at_rank, at_number, of_turn)
            ON CONFLICT DO NOTHING RETURNING * INTO found_line;
        IF FOUND THEN
            RETURN found_line.id;
        END IF;
    END LOOP;
END $$;

-- Puts a line where its first chunk stands now; one in which nothing stands is no more, unless somebody holds it.
CREATE FUNCTION restand_1(of_line bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    stands record;
    first_rank bigint;
    first_number bigint;
BEGIN
    SELECT * INTO stands FROM line WHERE id = of_line;
    SELECT rank, number INTO first_rank, first_number FROM ready
        WHERE line = of_line ORDER BY rank, number, start, id LIMIT 1;
    IF FOUND THEN
        IF (stands.rank, stands.number) IS DISTINCT FROM (first_rank, first_number) AND stands.rank IS NOT NULL THEN
            UPDATE line SET rank = first_rank, number = first_number, turn = coalesce(
                    (SELECT turn FROM line WHERE job = stands.job AND rank = first_rank LIMIT 1), nextval('turn'))
                WHERE id = (SELECT id FROM line WHERE id = of_line FOR NO KEY UPDATE SKIP LOCKED);
        END IF;
        RETURN;
    END IF;
    PERFORM FROM line WHERE id = of_line FOR UPDATE SKIP LOCKED;
    -- Another snapshot, now that nobody can add to it.
    IF FOUND AND NOT EXISTS (SELECT FROM ready WHERE line = of_line) THEN
        DELETE FROM line WHERE id = of_line;
    END IF;
END $$;

-- Leases at most so many items from the front of a line, as long as they are of this stage and kind; `alone`: of its first
-- chunk alone. While jobs tie, one chunk is taken, and the job goes behind the others.
CREATE FUNCTION take_1(of_line bigint, of_session bigint, most integer, alone boolean, of_stage smallint,
                       of_tracked boolean, of_suspect boolean, newest smallint, only_run bigint, clock bigint)
    RETURNS TABLE (token bigint, number bigint, start bigint, count integer, body bigint, at integer, own boolean,
                   header text, items bytea) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    stands record;
    head record;
    -- Where the last chunk stood.
    last_rank bigint := -9223372036854775808;
    last_number bigint := last_rank;
    last_start bigint := last_rank;
    last_id bigint := last_rank;
    ties boolean;
    taken integer;
    wanted integer := most;
    exhausted boolean := true;
BEGIN
    SELECT * INTO stands FROM line WHERE id = of_line;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    ties := EXISTS (SELECT FROM line AS other
        WHERE other.ns = stands.ns AND other.rank = stands.rank AND other.job <> stands.job);
    WHILE wanted > 0 LOOP
        SELECT * INTO head FROM ready AS r
            WHERE r.line = of_line AND (r.rank, r.number, r.start, r.id) > (last_rank, last_number, last_start, last_id)
            ORDER BY r.rank, r.number, r.start, r.id LIMIT 1 FOR UPDATE SKIP LOCKED;
        EXIT WHEN NOT FOUND;
        exhausted := head.count <= wanted AND NOT (alone AND head.count > 1);
        IF (head.stage, head.tracked, head.suspect) <> (of_stage, of_tracked, of_suspect) OR head.format > newest
            OR (only_run IS NOT NULL AND head.number <> only_run) THEN
            exhausted := false;
            EXIT;
        END IF;
        taken := least(wanted, head.count);
        last_rank := head.rank;
        last_number := head.number;
        last_start := head.start;
        last_id := head.id;
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
        IF NOT head.tracked THEN
            UPDATE run SET begun = true WHERE run.id = head.number AND NOT run.begun;
        END IF;
        number := head.number;
        start := head.start;
        count := taken;
        body := head.body;
        at := head.at;
        own := head.header IS NULL;
        header := head.header;
        items := NULL;
        IF head.body IS NOT NULL THEN
            SELECT coalesce(head.header, b.header), b.items INTO header, items FROM body AS b WHERE b.id = head.body;
        END IF;
        RETURN NEXT;
        wanted := wanted - taken;
        EXIT WHEN alone OR ties;
    END LOOP;
    IF exhausted THEN
        PERFORM restand_1(of_line);
    END IF;
    IF ties AND wanted < most THEN
        UPDATE line SET turn = nextval('turn') WHERE id IN (SELECT id FROM line AS l
            WHERE l.job = stands.job AND l.rank = stands.rank ORDER BY l.id FOR NO KEY UPDATE SKIP LOCKED);
    END IF;
END $$;

-- So many items of these bodies have ended; with its last, a body goes.
CREATE FUNCTION end_items_1(bodies bigint[], ends integer[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    of_body bigint;
    ended integer;
    left_open integer;
BEGIN
    FOR of_body, ended IN SELECT * FROM unnest(bodies, ends) AS e (body, n) ORDER BY body LOOP
        DELETE FROM body WHERE id = of_body AND count <= ended;
        IF NOT FOUND THEN
            INSERT INTO share AS s (body, open) SELECT id, count - ended FROM body WHERE id = of_body
                ON CONFLICT (body) DO UPDATE SET open = s.open - ended RETURNING open INTO left_open;
            IF left_open <= 0 THEN
                DELETE FROM share WHERE body = of_body;
                DELETE FROM body WHERE id = of_body;
            END IF;
        END IF;
    END LOOP;
END $$;
