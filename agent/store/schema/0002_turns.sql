-- SPDX-License-Identifier: Apache-2.0
-- Turns: who holds a lock that few may hold at once, and who waits for it, in order. A lock is a concurrency group of a
-- repo, or the places of a matrix with `max-parallel`. A turn ends with its job or run, and calls the next one.

CREATE TABLE turns (
	id     INTEGER PRIMARY KEY AUTOINCREMENT, -- the order of those who wait
	repo   INTEGER NOT NULL,                  -- of the run
	lock   TEXT NOT NULL,                     -- "group deploy", "matrix 41 test": agent/daemon/turns.c
	run    INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
	job    INTEGER REFERENCES jobs (id) ON DELETE CASCADE, -- NULL: the run as a whole
	state  TEXT NOT NULL CHECK (state IN ('waits', 'called', 'holds')) -- called: it is its turn, nobody acted on it yet
) STRICT;
CREATE UNIQUE INDEX turns_by_job ON turns (job, lock) WHERE job IS NOT NULL;
CREATE UNIQUE INDEX turns_by_run ON turns (run) WHERE job IS NULL;
CREATE INDEX turns_of_runs ON turns (run);
CREATE INDEX turns_waiting ON turns (repo, lock) WHERE state = 'waits';
CREATE INDEX turns_held ON turns (repo, lock) WHERE state <> 'waits';
CREATE INDEX turns_called ON turns (id) WHERE state = 'called';
