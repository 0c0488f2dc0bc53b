-- Only adds: a process of schema 1 that has the file open goes on with its own statements.

-- The first line of each kind of a job, so that looking for work meets every job once, however many runs wait. Whoever
-- changes a line keeps it right by the triggers below, a process of schema 1 too.
CREATE TABLE head (
    job INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    builds TEXT NOT NULL,
    ns INTEGER NOT NULL,
    line INTEGER NOT NULL,
    rank INTEGER NOT NULL,
    number INTEGER NOT NULL,
    turn INTEGER NOT NULL,
    -- 1 while its job is paused: nobody need look at it.
    aside INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (job, kind, builds)
) WITHOUT ROWID;
CREATE INDEX head_order ON head (ns, rank, turn, job, number, line) WHERE aside = 0;
CREATE INDEX head_aside ON head (ns) WHERE aside = 1;
CREATE INDEX line_of_job ON line (job, kind, builds, rank, number, id) WHERE rank IS NOT NULL;
CREATE INDEX line_aside ON line (ns, id) WHERE kind = 3;
CREATE INDEX line_newer ON line (ns, id) WHERE kind = 4;

INSERT INTO head (job, kind, builds, ns, line, rank, number, turn)
    SELECT job, kind, builds, ns, id, rank, number, turn FROM line
    WHERE rank IS NOT NULL AND kind < 4 AND id =
        (SELECT first.id FROM line AS first
         WHERE first.job = line.job AND first.kind = line.kind AND first.builds = line.builds
               AND first.rank IS NOT NULL
         ORDER BY first.rank, first.number, first.id LIMIT 1);

-- A head that is deleted is found again, if there is a line for it.
CREATE TRIGGER head_is_found AFTER DELETE ON head BEGIN
    INSERT OR IGNORE INTO head (job, kind, builds, ns, line, rank, number, turn)
        SELECT job, kind, builds, ns, id, rank, number, turn FROM line
        WHERE job = old.job AND kind = old.kind AND builds = old.builds AND rank IS NOT NULL AND kind < 4
        ORDER BY rank, number, id LIMIT 1;
END;

CREATE TRIGGER line_stands AFTER UPDATE OF ns, job, kind, builds, rank, number, turn ON line
WHEN (old.ns, old.job, old.kind, old.builds, old.rank, old.number, old.turn)
     IS NOT (new.ns, new.job, new.kind, new.builds, new.rank, new.number, new.turn)
BEGIN
    DELETE FROM head WHERE job = old.job AND kind = old.kind AND builds = old.builds;
    DELETE FROM head WHERE job = new.job AND kind = new.kind AND builds = new.builds
        AND (new.job, new.kind, new.builds) IS NOT (old.job, old.kind, old.builds);
    INSERT OR IGNORE INTO head (job, kind, builds, ns, line, rank, number, turn)
        SELECT job, kind, builds, ns, id, rank, number, turn FROM line
        WHERE job = new.job AND kind = new.kind AND builds = new.builds AND rank IS NOT NULL AND kind < 4
        ORDER BY rank, number, id LIMIT 1;
END;

CREATE TRIGGER line_comes AFTER INSERT ON line WHEN new.rank IS NOT NULL AND new.kind < 4 BEGIN
    DELETE FROM head WHERE job = new.job AND kind = new.kind AND builds = new.builds;
    INSERT OR IGNORE INTO head (job, kind, builds, ns, line, rank, number, turn)
        SELECT job, kind, builds, ns, id, rank, number, turn FROM line
        WHERE job = new.job AND kind = new.kind AND builds = new.builds AND rank IS NOT NULL
        ORDER BY rank, number, id LIMIT 1;
END;

CREATE TRIGGER line_goes AFTER DELETE ON line WHEN old.rank IS NOT NULL AND old.kind < 4 BEGIN
    DELETE FROM head WHERE job = old.job AND kind = old.kind AND builds = old.builds;
END;

-- A line in which chunks stand is only deleted by hand: they would never be found again.
CREATE TRIGGER line_is_kept AFTER DELETE ON line
WHEN EXISTS (SELECT 1 FROM chunk WHERE chunk.line = old.id AND chunk.line > 0)
BEGIN
    INSERT INTO line (id, ns, job, kind, run, builds, rank, number, turn, items)
        VALUES (old.id, old.ns, old.job, old.kind, old.run, old.builds, old.rank, old.number, old.turn, old.items);
END;

-- Whatever becomes of a pause, the jobs that were put aside for one are looked at again.
CREATE TRIGGER pause_comes AFTER INSERT ON cell WHEN new.name >= 'pause/' AND new.name < 'pause0' BEGIN
    UPDATE head SET aside = 0 WHERE ns = new.ns AND aside = 1;
END;
CREATE TRIGGER pause_changes AFTER UPDATE ON cell
WHEN (new.name >= 'pause/' AND new.name < 'pause0') OR (old.name >= 'pause/' AND old.name < 'pause0') BEGIN
    UPDATE head SET aside = 0 WHERE ns = new.ns AND aside = 1;
END;
CREATE TRIGGER pause_goes AFTER DELETE ON cell WHEN old.name >= 'pause/' AND old.name < 'pause0' BEGIN
    UPDATE head SET aside = 0 WHERE ns = old.ns AND aside = 1;
END;

-- What somebody has touched of a run, or put to wait: all of it that does not stand in the run's own line as its query
-- found it.
CREATE INDEX chunk_touched ON chunk (number, start) WHERE header IS NOT NULL;
-- When a chunk was put to wait: a clock of the future shows in it.
CREATE INDEX chunk_since ON chunk (CASE WHEN json_valid(header) THEN header ->> 'waits_since' END)
    WHERE line IS NULL;

-- Runs that are cancelled and of which something still waits.
CREATE TABLE cancelling (run INTEGER PRIMARY KEY, ns INTEGER NOT NULL);
CREATE INDEX cancelling_of ON cancelling (ns, run);

CREATE INDEX run_of_job ON run (job, id);
-- Runs that are neither over nor about to be completed.
CREATE INDEX run_open ON run (ns, id) WHERE finished IS NULL AND ended = 0;
CREATE INDEX dead_old ON dead (job, died);

-- How many jobs a session linked when it was attached: fewer are there when rows were deleted by hand.
CREATE TABLE attached (session INTEGER PRIMARY KEY, links INTEGER NOT NULL);
CREATE TRIGGER session_goes AFTER DELETE ON session BEGIN
    DELETE FROM attached WHERE session = old.id;
END;
