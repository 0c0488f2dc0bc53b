-- The last number that was given out; all numbers of the file come from here, so none is used twice in it.
CREATE TABLE source (id INTEGER PRIMARY KEY CHECK (id = 1), last INTEGER NOT NULL);
INSERT INTO source VALUES (1, 0);

CREATE TABLE namespace (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);

CREATE TABLE session (
    id INTEGER PRIMARY KEY,
    ns INTEGER NOT NULL,
    session INTEGER NOT NULL,
    lease INTEGER NOT NULL,
    until INTEGER NOT NULL,
    connected_at INTEGER NOT NULL,
    node TEXT NOT NULL,
    -- The instants that were past when it opened, for a repeat.
    past TEXT NOT NULL,
    UNIQUE (ns, session)
);

-- What sessions link. By the job's name: a job that gives way to its new name is linked, and is not there.
CREATE TABLE link (
    session INTEGER NOT NULL,
    job TEXT NOT NULL,
    fingerprint TEXT,
    link TEXT NOT NULL,
    PRIMARY KEY (session, job)
) WITHOUT ROWID;
CREATE INDEX link_of ON link (job, session);

-- Per lane the number of the last call, and what it was answered.
CREATE TABLE lane (
    session INTEGER NOT NULL,
    lane INTEGER NOT NULL,
    n INTEGER NOT NULL,
    answer TEXT NOT NULL,
    PRIMARY KEY (session, lane)
) WITHOUT ROWID;

CREATE TABLE job (
    id INTEGER PRIMARY KEY,
    ns INTEGER NOT NULL,
    name TEXT NOT NULL,
    link TEXT NOT NULL,
    keep_runs INTEGER NOT NULL,
    keep_ticks INTEGER NOT NULL,
    -- Whether anybody ever linked it with a limit over all sessions: its leases can then be found by job.
    limited INTEGER NOT NULL,
    schedule TEXT,
    -- When the first chunk is due that waits for its time.
    next_due INTEGER,
    -- How many verdict records and finished runs there are.
    ticks INTEGER NOT NULL,
    finished INTEGER NOT NULL,
    UNIQUE (ns, name)
);
CREATE INDEX job_due ON job (ns, next_due) WHERE next_due IS NOT NULL;
CREATE INDEX job_overfull ON job (ns, id) WHERE ticks > keep_ticks OR finished > keep_runs;

-- What jobs are called now, by their former names.
CREATE TABLE renamed (
    ns INTEGER NOT NULL,
    was TEXT NOT NULL,
    name TEXT NOT NULL,
    PRIMARY KEY (ns, was)
) WITHOUT ROWID;

CREATE TABLE tick (
    job INTEGER NOT NULL,
    n INTEGER NOT NULL,
    info TEXT NOT NULL,
    PRIMARY KEY (job, n)
) WITHOUT ROWID;

CREATE TABLE run (
    id INTEGER PRIMARY KEY,
    ns INTEGER NOT NULL,
    job INTEGER NOT NULL,
    total INTEGER NOT NULL,
    ok INTEGER NOT NULL,
    retries INTEGER NOT NULL,
    dead INTEGER NOT NULL,
    discarded INTEGER NOT NULL,
    expired INTEGER NOT NULL,
    cancelled INTEGER NOT NULL,
    -- Items whose first attempt is not settled.
    fresh INTEGER NOT NULL,
    -- The caller's id of a run by hand.
    request INTEGER,
    -- The lease under which the query went through.
    filled INTEGER,
    busy INTEGER NOT NULL,
    -- Whether all items have ended and nobody completed it.
    ended INTEGER NOT NULL,
    -- Grows with each run that is completed.
    finished INTEGER,
    -- For a query that is called page by page: where the next page begins.
    cursor BLOB,
    -- All else.
    record TEXT NOT NULL
);
CREATE INDEX run_list ON run (ns, id);
CREATE UNIQUE INDEX run_request ON run (ns, request) WHERE request IS NOT NULL;
CREATE INDEX run_filled ON run (filled) WHERE filled IS NOT NULL;
CREATE INDEX run_busy ON run (job, id) WHERE busy = 1;
CREATE INDEX run_ended ON run (ns, id) WHERE ended = 1;
CREATE INDEX run_finished ON run (job, finished) WHERE finished IS NOT NULL;

-- Queues of chunks of which all may be leased to the same sessions, so that the first speaks for all. See `lines.rs`.
CREATE TABLE line (
    id INTEGER PRIMARY KEY,
    ns INTEGER NOT NULL,
    job INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    run INTEGER NOT NULL,
    builds TEXT NOT NULL,
    -- Where the first chunk stands; null while nothing is to be leased.
    rank INTEGER,
    number INTEGER,
    -- Of jobs that tie, the one that was served longest ago is first.
    turn INTEGER NOT NULL,
    items INTEGER NOT NULL,
    UNIQUE (job, kind, run, builds)
);
CREATE INDEX line_order ON line (ns, rank, turn, job, number, id) WHERE rank IS NOT NULL;
CREATE INDEX line_dropped ON line (id) WHERE kind = 6;

-- Neighbouring items that wait, and (where `id = body`) how many of a body have not ended. See `chunks.rs`.
CREATE TABLE chunk (
    id INTEGER PRIMARY KEY,
    -- Null while it waits for its time; 0 when nothing of it waits.
    line INTEGER,
    job INTEGER NOT NULL,
    number INTEGER NOT NULL,
    rank INTEGER NOT NULL,
    due INTEGER NOT NULL,
    -- The order in its run. No later than `start`, which moves when items are leased off the front.
    place INTEGER NOT NULL,
    start INTEGER NOT NULL,
    count INTEGER NOT NULL,
    body INTEGER,
    at INTEGER NOT NULL,
    -- Null: that of the body.
    header TEXT,
    open INTEGER NOT NULL
);
CREATE INDEX chunk_order ON chunk (line, rank, number, place) WHERE line > 0;
CREATE INDEX chunk_due ON chunk (job, due) WHERE line IS NULL;

-- Written once, and deleted when all of its items have ended.
CREATE TABLE body (id INTEGER PRIMARY KEY, header TEXT NOT NULL, items BLOB NOT NULL);

CREATE TABLE lease (
    session INTEGER NOT NULL,
    token INTEGER NOT NULL,
    job INTEGER NOT NULL,
    number INTEGER NOT NULL,
    stage INTEGER NOT NULL,
    tracked INTEGER NOT NULL,
    suspect INTEGER NOT NULL,
    limited INTEGER NOT NULL,
    start INTEGER NOT NULL,
    count INTEGER NOT NULL,
    body INTEGER,
    at INTEGER NOT NULL,
    header TEXT,
    granted_at INTEGER NOT NULL,
    open INTEGER NOT NULL,
    -- A byte per item, once some and not all are settled.
    settled BLOB,
    PRIMARY KEY (session, token)
) WITHOUT ROWID;
CREATE INDEX lease_fill ON lease (token) WHERE stage = 0;
CREATE INDEX lease_limited ON lease (job) WHERE limited = 1;

-- The failed attempts of items that go on.
CREATE TABLE failure (
    number INTEGER NOT NULL,
    item INTEGER NOT NULL,
    n INTEGER NOT NULL,
    failure TEXT NOT NULL,
    PRIMARY KEY (number, item, n)
) WITHOUT ROWID;

-- In the order of their deaths.
CREATE TABLE dead (
    id INTEGER PRIMARY KEY,
    ns INTEGER NOT NULL,
    job INTEGER NOT NULL,
    number INTEGER NOT NULL,
    item INTEGER NOT NULL,
    died INTEGER NOT NULL,
    header TEXT NOT NULL,
    payload BLOB NOT NULL,
    attempts TEXT NOT NULL
);
CREATE INDEX dead_list ON dead (ns, id);
CREATE INDEX dead_of ON dead (job, id);
CREATE UNIQUE INDEX dead_item ON dead (number, item);

CREATE TABLE cell (
    ns INTEGER NOT NULL,
    name TEXT NOT NULL,
    version INTEGER NOT NULL,
    value TEXT NOT NULL,
    expires_at INTEGER,
    owner INTEGER,
    PRIMARY KEY (ns, name)
) WITHOUT ROWID;
CREATE INDEX cell_expiry ON cell (ns, expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX cell_owner ON cell (ns, owner) WHERE owner IS NOT NULL;
