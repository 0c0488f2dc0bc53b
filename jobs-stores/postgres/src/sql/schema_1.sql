-- The numbers of tokens, runs and versions: see `number_1`. Below 2^53, so that every reader of JSON keeps them.
CREATE SEQUENCE source AS bigint MAXVALUE 9007199254740991;
-- Who was served last, among jobs that tie.
CREATE SEQUENCE turn AS bigint;

CREATE TABLE namespace (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text COLLATE "C" NOT NULL UNIQUE);

CREATE TABLE session (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    ns integer NOT NULL,
    session bigint NOT NULL,
    lease bigint NOT NULL,
    until bigint NOT NULL,
    connected_at bigint NOT NULL,
    node text NOT NULL,
    node_name text NOT NULL,
    build text NOT NULL,
    -- The instants that were past when it opened, for a repeat.
    past text NOT NULL,
    UNIQUE (ns, session)
) WITH (fillfactor = 50);

-- What sessions link. By the job's name: a job that gives way to its new name is linked, and is not there.
CREATE TABLE link (
    session bigint NOT NULL,
    job text COLLATE "C" NOT NULL,
    fingerprint text,
    link text NOT NULL,
    PRIMARY KEY (session, job)
);
CREATE INDEX link_of ON link (job, session);

-- Per lane the number of the last call, and what it was answered.
CREATE TABLE lane (
    session bigint NOT NULL,
    lane bigint NOT NULL,
    n bigint NOT NULL,
    answer text NOT NULL,
    PRIMARY KEY (session, lane)
) WITH (fillfactor = 50);

CREATE TABLE job (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    ns integer NOT NULL,
    name text COLLATE "C" NOT NULL,
    link text NOT NULL,
    keep_runs bigint NOT NULL,
    keep_ticks bigint NOT NULL,
    schedule text,
    -- How many verdict records and finished runs there are.
    ticks bigint NOT NULL DEFAULT 0,
    finished bigint NOT NULL DEFAULT 0,
    UNIQUE (ns, name)
) WITH (fillfactor = 50);

-- What jobs are called now, by their former names.
CREATE TABLE renamed (
    ns integer NOT NULL,
    was text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    PRIMARY KEY (ns, was)
);

CREATE TABLE tick (
    job bigint NOT NULL,
    n bigint GENERATED ALWAYS AS IDENTITY,
    info text NOT NULL,
    PRIMARY KEY (job, n)
);

CREATE TABLE run (
    id bigint PRIMARY KEY,
    ns integer NOT NULL,
    job bigint NOT NULL,
    -- The counts, but for what is still in `tally`.
    total bigint NOT NULL,
    ok bigint NOT NULL DEFAULT 0,
    retries bigint NOT NULL DEFAULT 0,
    dead bigint NOT NULL DEFAULT 0,
    discarded bigint NOT NULL DEFAULT 0,
    expired bigint NOT NULL DEFAULT 0,
    cancelled bigint NOT NULL DEFAULT 0,
    -- Items whose first attempt is not settled.
    fresh bigint NOT NULL,
    -- The caller's id of a run by hand.
    request bigint,
    -- The lease under which the query went through.
    filled bigint,
    -- Whether its fill item is not settled.
    filling boolean NOT NULL,
    -- Whether an item has been leased.
    begun boolean NOT NULL DEFAULT false,
    is_cancelled boolean NOT NULL DEFAULT false,
    busy boolean NOT NULL,
    -- Whether all items have ended and nobody completed it.
    ended boolean NOT NULL DEFAULT false,
    -- Grows with each run that is completed.
    finished bigint,
    -- For a query that is called page by page: where the next page begins.
    cursor bytea,
    -- All else.
    record text NOT NULL
) WITH (fillfactor = 70);
CREATE INDEX run_list ON run (ns, id);
CREATE UNIQUE INDEX run_request ON run (ns, request) WHERE request IS NOT NULL;
CREATE INDEX run_filled ON run (filled) WHERE filled IS NOT NULL;
CREATE INDEX run_busy ON run (job, id) WHERE busy;
CREATE INDEX run_ended ON run (ns, id) WHERE ended;
CREATE INDEX run_finished ON run (job, finished) WHERE finished IS NOT NULL;
CREATE SEQUENCE finished AS bigint;

-- What settling adds to the counts of runs, one row per call and run: a counter that all write would hold all up.
CREATE TABLE tally (
    ns integer NOT NULL,
    run bigint NOT NULL,
    id bigint GENERATED ALWAYS AS IDENTITY,
    ok bigint NOT NULL,
    retries bigint NOT NULL,
    dead bigint NOT NULL,
    discarded bigint NOT NULL,
    expired bigint NOT NULL,
    cancelled bigint NOT NULL,
    -- How many first attempts were settled.
    fresh bigint NOT NULL,
    errors text,
    PRIMARY KEY (ns, run, id)
);

-- Queues of chunks of which all may be leased to the same sessions, so that the first speaks for all. See `lines.rs`.
CREATE TABLE line (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    ns integer NOT NULL,
    job bigint NOT NULL,
    kind smallint NOT NULL,
    run bigint NOT NULL,
    builds text COLLATE "C" NOT NULL,
    -- Where the first chunk stands, or stood; null while nothing is to be leased.
    rank bigint,
    number bigint,
    -- Of jobs that tie, the one that was served longest ago is first.
    turn bigint NOT NULL,
    UNIQUE (job, kind, run, builds)
) WITH (fillfactor = 50);
CREATE INDEX line_order ON line (ns, rank, turn, job, number, id) WHERE rank IS NOT NULL;
CREATE INDEX line_rank ON line (job, rank) WHERE rank IS NOT NULL;
CREATE INDEX line_dropped ON line (ns, id) WHERE kind = 6;

-- Neighbouring items that may be leased. Rows are inserted and deleted, never updated: an update would be followed by
-- whoever waits for the row, and two that lease could wait for one another.
CREATE TABLE ready (
    line bigint NOT NULL,
    rank bigint NOT NULL,
    number bigint NOT NULL,
    start bigint NOT NULL,
    id bigint GENERATED ALWAYS AS IDENTITY,
    count integer NOT NULL,
    format smallint NOT NULL,
    stage smallint NOT NULL,
    tracked boolean NOT NULL,
    suspect boolean NOT NULL,
    body bigint,
    at integer NOT NULL,
    -- Null: that of the body.
    header text,
    PRIMARY KEY (line, rank, number, start, id)
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);

-- Neighbouring items that wait for their time.
CREATE TABLE delayed (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    ns integer NOT NULL,
    job bigint NOT NULL,
    due bigint NOT NULL,
    number bigint NOT NULL,
    start bigint NOT NULL,
    count integer NOT NULL,
    body bigint,
    at integer NOT NULL,
    header text
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX delayed_due ON delayed (ns, due, id);
CREATE INDEX delayed_of ON delayed (job, number);

-- Payloads: written once, and deleted when all of their items have ended.
CREATE TABLE body (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    start bigint NOT NULL,
    count integer NOT NULL,
    header text NOT NULL,
    items bytea NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);
ALTER TABLE body ALTER COLUMN items SET STORAGE EXTERNAL;

-- How many items of a body have not ended, once some have.
CREATE TABLE share (body bigint PRIMARY KEY, open integer NOT NULL)
    WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);

CREATE TABLE lease (
    session bigint NOT NULL,
    token bigint NOT NULL,
    job bigint NOT NULL,
    number bigint NOT NULL,
    stage smallint NOT NULL,
    tracked boolean NOT NULL,
    suspect boolean NOT NULL,
    start bigint NOT NULL,
    count integer NOT NULL,
    body bigint,
    at integer NOT NULL,
    header text,
    granted_at bigint NOT NULL,
    open integer NOT NULL,
    -- A byte per item, once some and not all are settled.
    settled bytea,
    PRIMARY KEY (token)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX lease_by ON lease (session);
CREATE INDEX lease_of ON lease (job);

-- The failed attempts of items that go on.
CREATE TABLE failure (
    number bigint NOT NULL,
    item bigint NOT NULL,
    n bigint GENERATED ALWAYS AS IDENTITY,
    failure text NOT NULL,
    PRIMARY KEY (number, item, n)
);

-- In the order of their deaths.
CREATE TABLE dead (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    ns integer NOT NULL,
    job bigint NOT NULL,
    number bigint NOT NULL,
    item bigint NOT NULL,
    died bigint NOT NULL,
    header text NOT NULL,
    payload bytea NOT NULL,
    attempts text NOT NULL
);
CREATE INDEX dead_list ON dead (ns, id);
CREATE INDEX dead_of ON dead (job, id);
CREATE UNIQUE INDEX dead_item ON dead (number, item);

-- Items whose effect was committed with this row, in a transaction of the program's own: see `effects.rs`.
CREATE TABLE effect (
    number bigint NOT NULL,
    item bigint NOT NULL,
    token bigint NOT NULL,
    at bigint NOT NULL,
    PRIMARY KEY (number, item)
);
CREATE INDEX effect_at ON effect (at);

CREATE TABLE cell (
    ns integer NOT NULL,
    name text COLLATE "C" NOT NULL,
    version bigint NOT NULL,
    value text NOT NULL,
    expires_at bigint,
    owner bigint,
    PRIMARY KEY (ns, name)
) WITH (fillfactor = 70);
CREATE INDEX cell_expiry ON cell (ns, expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX cell_owner ON cell (ns, owner) WHERE owner IS NOT NULL;
