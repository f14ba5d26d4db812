-- SPDX-License-Identifier: Apache-2.0
-- Attempts: a re-run is a new record beside the old one. A job row belongs to the attempt that made it and to all later
-- ones until a newer row takes its place (`replaced`), so what succeeded is kept without a copy, with its log, outputs,
-- reports and artifacts. The tables whose constraints change are made anew: SQLite cannot change them (db.c turns the
-- foreign keys off meanwhile and checks them at the end).

ALTER TABLE runs ADD COLUMN attempt INTEGER NOT NULL DEFAULT 1; -- the newest; status and times are its own
ALTER TABLE run_contexts ADD COLUMN concurrency TEXT;           -- JSON: the run's own group, asked for in each attempt

CREATE TABLE run_attempts (
	run         INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
	attempt     INTEGER NOT NULL,                 -- a run that was never run again has no row here
	actor       TEXT,                             -- who asked for it; NULL: the event did
	jobs        TEXT,                             -- what was asked for: "all", "failed" or the jobs' keys
	debug       INTEGER NOT NULL DEFAULT 0 CHECK (debug IN (0, 1)),
	created_at  INTEGER NOT NULL,
	status      TEXT CHECK (status IN ('queued', 'waiting', 'running', 'success', 'failure', 'cancelled', 'skipped')),
	cause       TEXT,                             -- these are NULL in the newest attempt: the run's row has them
	message     TEXT,
	started_at  INTEGER,
	finished_at INTEGER,
	PRIMARY KEY (run, attempt)
) STRICT, WITHOUT ROWID;

CREATE TABLE jobs_new (
	id                INTEGER PRIMARY KEY AUTOINCREMENT, -- names log files: never given twice
	run               INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
	position          INTEGER NOT NULL,           -- the group's place in the file; a matrix shares it
	key               TEXT NOT NULL,              -- "test (3.11)"
	job_group         TEXT NOT NULL,              -- "test": the workflow's own id
	name              TEXT NOT NULL,              -- for people
	needs             TEXT NOT NULL DEFAULT '[]', -- JSON array of groups
	attempt           INTEGER NOT NULL DEFAULT 1, -- of its run, that made it
	replaced          INTEGER,                    -- the attempt in which a newer job took its place; NULL: none did
	debug             INTEGER NOT NULL DEFAULT 0 CHECK (debug IN (0, 1)), -- it was asked to say more
	status            TEXT NOT NULL DEFAULT 'queued'
	        CHECK (status IN ('queued', 'waiting', 'running', 'success', 'failure', 'cancelled', 'skipped')),
	cause             TEXT,
	message           TEXT,
	continue_on_error INTEGER NOT NULL DEFAULT 0 CHECK (continue_on_error IN (0, 1)), -- its failure is not the run's
	environment       TEXT,                       -- that it deploys to
	gate              INTEGER REFERENCES gates (id) ON DELETE SET NULL, -- the newest gate that it waited at
	executor          TEXT,                       -- that ran it
	isolation         TEXT CHECK (isolation IN ('full', 'reduced', 'none')),
	missing           TEXT NOT NULL DEFAULT '[]', -- JSON array: what the isolation lacked
	created_at        INTEGER NOT NULL,
	started_at        INTEGER,
	finished_at       INTEGER
) STRICT;
INSERT INTO jobs_new (id, run, position, key, job_group, name, needs, attempt, status, cause, message, continue_on_error,
	environment, gate, executor, isolation, missing, created_at, started_at, finished_at)
SELECT id, run, position, key, job_group, name, needs, attempt, status, cause, message, continue_on_error,
	environment, gate, executor, isolation, missing, created_at, started_at, finished_at FROM jobs;
DELETE FROM sqlite_sequence WHERE name = 'jobs_new';
INSERT INTO sqlite_sequence (name, seq) SELECT 'jobs_new', seq FROM sqlite_sequence WHERE name = 'jobs';
DROP TABLE jobs;
ALTER TABLE jobs_new RENAME TO jobs;
CREATE INDEX jobs_by_run ON jobs (run, position);
CREATE INDEX jobs_by_gate ON jobs (gate) WHERE gate IS NOT NULL;
CREATE UNIQUE INDEX jobs_current ON jobs (run, key) WHERE replaced IS NULL;

CREATE TABLE artifacts_new (
	id         INTEGER PRIMARY KEY,
	run        INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
	job        INTEGER REFERENCES jobs (id) ON DELETE SET NULL, -- that put it last
	attempt    INTEGER NOT NULL DEFAULT 1,        -- of the job: a newer attempt's stands beside an older one's
	name       TEXT NOT NULL,
	digest     TEXT NOT NULL,                     -- of its manifest
	bytes      INTEGER NOT NULL,
	files      INTEGER NOT NULL,
	created_at INTEGER NOT NULL,
	UNIQUE (run, name, attempt)
) STRICT;
INSERT INTO artifacts_new (id, run, job, name, digest, bytes, files, created_at)
SELECT id, run, job, name, digest, bytes, files, created_at FROM artifacts;
DROP TABLE artifacts;
ALTER TABLE artifacts_new RENAME TO artifacts;
CREATE INDEX artifacts_by_job ON artifacts (job);
