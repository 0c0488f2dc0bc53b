-- The numbers of a list. Not in SQL: that would be planned at every call.
CREATE FUNCTION longs_2(list jsonb) RETURNS bigint[] IMMUTABLE LANGUAGE plpgsql AS $$
BEGIN
    RETURN ARRAY(SELECT n::bigint FROM jsonb_array_elements_text(list) WITH ORDINALITY AS l (n, i) ORDER BY i);
END $$;

-- As `line_1`, and its hint is no later than the chunk that is added.
CREATE FUNCTION line_2(of_ns integer, of_job bigint, of_kind smallint, of_run bigint, of_builds text, at_rank bigint,
                       at_number bigint, at_start bigint) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    id_of bigint := line_1(of_ns, of_job, of_kind, of_run, of_builds, at_rank, at_number);
BEGIN
    -- Nobody raises the hint of a line that is held.
    UPDATE line SET start = at_start WHERE id = id_of AND (rank, number) = (at_rank, at_number) AND start > at_start;
    RETURN id_of;
END $$;

-- Puts a line where its first chunk stands now; one in which nothing stands is no more, unless somebody holds it. Says whether
-- it stood elsewhere.
CREATE FUNCTION restand_2(of_line bigint) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    stands record;
    head record;
BEGIN
    SELECT * INTO stands FROM line WHERE id = of_line FOR UPDATE SKIP LOCKED;
    IF NOT FOUND OR stands.rank IS NULL THEN
        RETURN false;
    END IF;
    -- In another snapshot, now that nobody can add to it.
    SELECT rank, number, start INTO head FROM ready WHERE line = of_line ORDER BY rank, number, start, id LIMIT 1;
    IF NOT FOUND THEN
        DELETE FROM line WHERE id = of_line;
        RETURN true;
    ELSIF (stands.rank, stands.number) IS DISTINCT FROM (head.rank, head.number) THEN
        UPDATE line SET rank = head.rank, number = head.number, start = head.start, turn = coalesce(
                (SELECT turn FROM line AS l WHERE l.job = stands.job AND l.rank = head.rank LIMIT 1), nextval('turn'))
            WHERE id = of_line;
        RETURN true;
    END IF;
    UPDATE line SET start = head.start WHERE id = of_line AND start IS DISTINCT FROM head.start;
    RETURN false;
END $$;

-- Shows what a query found: it is leased from now on.
CREATE FUNCTION publish_2(of_line bigint, of_job bigint, of_run bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    shown bigint;
    head record;
BEGIN
    SELECT id INTO shown FROM line WHERE job = of_job AND kind = 1 AND run = of_run AND builds = '' FOR UPDATE;
    IF NOT FOUND THEN
        -- It stands where its first chunk does; there is none if somebody has deleted them.
        SELECT rank, number INTO head FROM ready WHERE line = of_line ORDER BY rank, number, start, id LIMIT 1;
        IF NOT FOUND THEN
            DELETE FROM line WHERE id = of_line;
            RETURN;
        END IF;
        UPDATE line SET kind = 1, rank = head.rank, number = head.number, start = NULL,
                turn = coalesce((SELECT turn FROM line AS l WHERE l.job = of_job AND l.rank = head.rank LIMIT 1), nextval('turn'))
            WHERE id = of_line;
    ELSE
        -- Some of it was published page by page before.
        PERFORM pour_2(of_line, shown);
    END IF;
END $$;

-- Moves the chunks of a line into another one. They are never updated, so they are inserted anew.
CREATE FUNCTION pour_2(of_line bigint, there bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    head record;
BEGIN
    WITH moved AS (DELETE FROM ready WHERE line = of_line RETURNING *)
        INSERT INTO ready (line, rank, number, start, count, format, stage, tracked, suspect, body, at, header)
        SELECT there, rank, number, start, count, format, stage, tracked, suspect, body, at, header FROM moved;
    DELETE FROM line WHERE id = of_line;
    SELECT rank, number, start INTO head FROM ready WHERE line = there ORDER BY rank, number, start, id LIMIT 1;
    IF FOUND THEN
        UPDATE line SET rank = head.rank, number = head.number, start = NULL WHERE id = there AND rank IS NOT NULL;
    END IF;
END $$;

-- Moves all that belongs to `of_job` to `to_job`, and deletes `of_job`. The namespace is held alone. `with_ticks`: its verdicts
-- take the place of the other's.
CREATE FUNCTION move_2(of_ns integer, of_job bigint, to_job bigint, with_ticks boolean) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    one record;
    there bigint;
BEGIN
    DELETE FROM tick WHERE job = CASE WHEN with_ticks THEN to_job ELSE of_job END;
    UPDATE tick SET job = to_job WHERE job = of_job;
    UPDATE delayed SET job = to_job WHERE job = of_job;
    UPDATE run SET job = to_job WHERE job = of_job;
    UPDATE dead SET job = to_job WHERE job = of_job;
    UPDATE lease SET job = to_job WHERE job = of_job;
    FOR one IN SELECT * FROM line WHERE job = of_job ORDER BY id LOOP
        SELECT id INTO there FROM line WHERE job = to_job AND kind = one.kind AND run = one.run AND builds = one.builds;
        IF FOUND THEN
            PERFORM pour_2(one.id, there);
        ELSE
            UPDATE line SET job = to_job WHERE id = one.id;
        END IF;
    END LOOP;
    -- If the old job has no row, nothing is added.
    UPDATE job SET finished = job.finished + was.finished,
            ticks = CASE WHEN with_ticks THEN was.ticks ELSE job.ticks END
        FROM job AS was WHERE job.id = to_job AND was.id = of_job;
    DELETE FROM job WHERE id = of_job;
END $$;
