-- From schema 1 to schema 2. It adds, and replaces one index, so that programs that know schema 1 go on beside those that know this one.

-- Since when items wait; null for what an older version stored.
ALTER TABLE delayed ADD COLUMN since bigint;
CREATE INDEX delayed_since ON delayed (ns, since) WHERE since IS NOT NULL;
CREATE INDEX delayed_waits ON delayed (job, due);

CREATE INDEX dead_died ON dead (job, died, id);
CREATE INDEX job_overfull ON job (ns, id) WHERE ticks > keep_ticks OR finished > keep_runs;
CREATE INDEX run_of ON run (job, id);
-- What is ready of a run outside its own queue: it was leased before, and has a header of its own.
CREATE INDEX ready_touched ON ready (number) WHERE header IS NOT NULL;
-- A cancelled run of which something that waits is still to be ended.
ALTER TABLE run ADD COLUMN sweep boolean NOT NULL DEFAULT false;
CREATE INDEX run_open ON run (ns, id) WHERE finished IS NULL;
CREATE INDEX run_sweep ON run (ns, id) WHERE sweep;
CREATE INDEX line_aside ON line (ns, id) WHERE kind = 3;
CREATE INDEX session_until ON session (ns, until);

-- What is ready first of a job, of each kind.
CREATE INDEX line_front ON line (job, kind, rank, number) WHERE rank IS NOT NULL;
-- What is leased of a run. It finds what is leased of a job as well.
CREATE INDEX lease_of_run ON lease (job, number);
DROP INDEX lease_of;

-- Where the first chunk of its rank and number stands or stood, so that nobody looks it up among those that were deleted.
-- A hint: whoever finds nothing from here on looks from the beginning.
ALTER TABLE line ADD COLUMN start bigint;

-- How a session limits a job, from the text of its link. Numbers are held to what fits.
CREATE FUNCTION link_number_2(link text, field text) RETURNS integer IMMUTABLE LANGUAGE sql AS
    $$ SELECT CASE WHEN link::jsonb ->> field IS NOT NULL THEN least((link::jsonb ->> field)::bigint, 2147483647)::integer END $$;
CREATE FUNCTION link_exclusive_2(link text) RETURNS boolean IMMUTABLE LANGUAGE sql AS
    $$ SELECT NOT (link::jsonb ->> 'query')::boolean AND (link::jsonb ->> 'overlap') <> 'allow' $$;
ALTER TABLE link
    ADD COLUMN concurrency integer GENERATED ALWAYS AS (link_number_2(link, 'concurrency')) STORED,
    ADD COLUMN most integer GENERATED ALWAYS AS (link_number_2(link, 'global_concurrency')) STORED,
    ADD COLUMN exclusive boolean GENERATED ALWAYS AS (link_exclusive_2(link)) STORED;

-- Whether one of these patterns of pauses covers a job.
CREATE FUNCTION paused_2(name text, patterns text[]) RETURNS boolean IMMUTABLE LANGUAGE sql AS
    $$ SELECT patterns && ARRAY[name, split_part(name, '.', 1) || '.*', '*'] $$;
