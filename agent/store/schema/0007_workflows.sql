-- SPDX-License-Identifier: Apache-2.0
-- The workflows of each repo's default branch, as a worker read them last: when they are due, and how they are started by
-- hand. A push to that branch replaces them; the agent asks again when it starts.

CREATE TABLE surveys (
	repo INTEGER PRIMARY KEY REFERENCES repos (id),
	ref  TEXT NOT NULL,                           -- full: "refs/heads/main"
	sha  TEXT NOT NULL,                           -- the commit that was read
	at   INTEGER NOT NULL
) STRICT;

CREATE TABLE workflows (
	repo   INTEGER NOT NULL REFERENCES repos (id),
	path   TEXT NOT NULL,
	name   TEXT NOT NULL,
	inputs TEXT,                                  -- JSON array of `workflow_dispatch`; NULL: nobody starts it by hand
	PRIMARY KEY (repo, path)
) STRICT, WITHOUT ROWID;

CREATE TABLE schedules (
	repo     INTEGER NOT NULL REFERENCES repos (id),
	path     TEXT NOT NULL,
	cron     TEXT NOT NULL,
	timezone TEXT NOT NULL DEFAULT '',            -- '': UTC
	next_at  INTEGER,                             -- NULL: never again
	last_at  INTEGER,                             -- when it was started last
	PRIMARY KEY (repo, path, cron, timezone)
) STRICT, WITHOUT ROWID;
CREATE INDEX schedules_due ON schedules (next_at) WHERE next_at IS NOT NULL;
