-- A database as version 11 of the schema writes it, with a row of what must survive. Opened by tests/integration/migrate.c.
-- The schema's text is that of agent/store/schema/0001_first.sql to 0011_lighter.sql; once released, none changes.
-- SPDX-License-Identifier: Apache-2.0
-- The first schema. Never edited once released: what changes comes as 0002_….sql.
--
-- Times are microseconds since the epoch, UTC; NULL is "not yet". JSON is compact text with sorted keys. Digests are 64
-- lower-case hex characters. What is large and seldom read (webhook bodies, definitions, contexts) stands last in its
-- row or in a table of its own, so that lists do not walk over it.

CREATE TABLE repos (
	id             INTEGER PRIMARY KEY,
	name           TEXT NOT NULL UNIQUE,          -- "owner/name" as the forge's payload says it
	url            TEXT NOT NULL,                 -- what git fetches from
	network        TEXT NOT NULL DEFAULT 'none' CHECK (network IN ('none', 'loopback', 'full')), -- of its jobs
	default_branch TEXT,                          -- NULL: ask the remote
	forge          TEXT,                          -- row of the forges' table; NULL: none known
	api            TEXT,                          -- base address of the forge's API
	webhook_secret BLOB,                          -- sealed; NULL: webhooks are refused
	last_number    INTEGER NOT NULL DEFAULT 0,    -- number of its newest run; numbers are never given twice
	created_at     INTEGER NOT NULL,
	removed_at     INTEGER,                       -- removed by an admin: its history stays, it takes no events
	CHECK (id = 0 OR name LIKE '_%/_%')
) STRICT;
-- Scope 0 is what `assay run` works in: no repo, so the readers of repos never show it.
INSERT INTO repos (id, name, url, created_at) VALUES (0, 'local', '', 0);

CREATE TABLE deliveries (
	id          INTEGER PRIMARY KEY,
	forge       TEXT NOT NULL,                    -- who sent it
	delivery    TEXT NOT NULL,                    -- the forge's own id of it
	repo        TEXT NOT NULL,                    -- name as it came; the repo may be gone
	event       TEXT,                             -- from the headers; NULL when only the body says it
	received_at INTEGER NOT NULL,
	outcome     TEXT CHECK (outcome IN ('runs', 'ignored', 'failed')), -- NULL: intake has not seen it
	message     TEXT,                             -- a sentence about the outcome
	headers     TEXT NOT NULL,                    -- JSON object, names in lower case
	body        BLOB NOT NULL,                    -- as received
	UNIQUE (forge, delivery)
) STRICT;
CREATE INDEX deliveries_new ON deliveries (id) WHERE outcome IS NULL;
CREATE INDEX deliveries_by_repo ON deliveries (repo);

CREATE TABLE runs (
	id              INTEGER PRIMARY KEY AUTOINCREMENT, -- names log folders: never given twice
	repo            INTEGER NOT NULL REFERENCES repos (id),
	number          INTEGER NOT NULL,             -- 1, 2, … within the repo
	workflow        TEXT NOT NULL,                -- its name
	workflow_path   TEXT,                         -- file in the repo
	workflow_file   TEXT,                         -- the last part of workflow_path: how people name it
	workflow_digest TEXT,                         -- of the file's bytes
	event           TEXT NOT NULL,
	ref             TEXT,                         -- full: "refs/heads/main"
	sha             TEXT,                         -- the commit that runs
	before          TEXT,                         -- the commit that the ref had before a push
	title           TEXT,                         -- first line of the commit, or of the pull request
	actor           TEXT,                         -- who caused it, by the forge's name
	delivery        TEXT,                         -- the forge's id of the delivery, or of the dispatch
	untrusted       INTEGER NOT NULL DEFAULT 0 CHECK (untrusted IN (0, 1)), -- a fork's: no secrets, no network
	status          TEXT NOT NULL DEFAULT 'queued'
	        CHECK (status IN ('queued', 'waiting', 'running', 'success', 'failure', 'cancelled', 'skipped')),
	cause           TEXT,                         -- word of agent/model/run.h
	message         TEXT,                         -- one sentence: why it ended as it did
	created_at      INTEGER NOT NULL,
	started_at      INTEGER,
	finished_at     INTEGER,
	UNIQUE (repo, number)
) STRICT;
-- One index for each filter of the list; every index of SQLite ends with the id, which is the list's order.
CREATE INDEX runs_by_repo ON runs (repo);
CREATE INDEX runs_by_repo_status ON runs (repo, status);
CREATE INDEX runs_by_repo_ref ON runs (repo, ref);
CREATE INDEX runs_by_repo_workflow ON runs (repo, workflow);
CREATE INDEX runs_by_repo_file ON runs (repo, workflow_file);
CREATE INDEX runs_by_status ON runs (status);
CREATE INDEX runs_by_ref ON runs (ref);
CREATE INDEX runs_by_workflow ON runs (workflow);
CREATE INDEX runs_by_file ON runs (workflow_file);
CREATE INDEX runs_open ON runs (repo, ref) WHERE status IN ('queued', 'waiting', 'running');
CREATE INDEX runs_by_event ON runs (event);
CREATE INDEX runs_by_actor ON runs (actor);
CREATE INDEX runs_by_delivery ON runs (delivery) WHERE delivery IS NOT NULL;

CREATE TABLE run_contexts (
	run    INTEGER PRIMARY KEY REFERENCES runs (id) ON DELETE CASCADE,
	github TEXT NOT NULL                          -- the `github` context with the event's payload
) STRICT;

CREATE TABLE jobs (
	id                INTEGER PRIMARY KEY AUTOINCREMENT, -- names log files: never given twice
	run               INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
	position          INTEGER NOT NULL,           -- the group's place in the file; a matrix shares it
	key               TEXT NOT NULL,              -- "test (3.11)"
	job_group         TEXT NOT NULL,              -- "test": the workflow's own id
	name              TEXT NOT NULL,              -- for people
	needs             TEXT NOT NULL DEFAULT '[]', -- JSON array of groups
	attempt           INTEGER NOT NULL DEFAULT 1,
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
	finished_at       INTEGER,
	UNIQUE (run, key)
) STRICT;
CREATE INDEX jobs_by_run ON jobs (run, position);
CREATE INDEX jobs_by_gate ON jobs (gate) WHERE gate IS NOT NULL;

CREATE TABLE job_plans (
	job        INTEGER PRIMARY KEY REFERENCES jobs (id) ON DELETE CASCADE,
	definition TEXT NOT NULL,                     -- JSON: the job as its YAML says it
	resolved   TEXT,                              -- JSON: what the planner found; NULL while its needs have not ended
	outputs    TEXT NOT NULL DEFAULT '{}'         -- JSON object of strings
) STRICT;

CREATE TABLE steps (
	job               INTEGER NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
	number            INTEGER NOT NULL,           -- from 1, as in the log
	name              TEXT NOT NULL DEFAULT '',
	status            TEXT NOT NULL DEFAULT 'queued'
	        CHECK (status IN ('queued', 'waiting', 'running', 'success', 'failure', 'cancelled', 'skipped')),
	cause             TEXT,
	exit_code         INTEGER,
	message           TEXT,
	started_at        INTEGER,
	finished_at       INTEGER,
	log_offset        INTEGER,                    -- byte of the job's log where it starts
	cpu_us            INTEGER,
	memory_peak_bytes INTEGER,
	PRIMARY KEY (job, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE annotations (
	id      INTEGER PRIMARY KEY,
	job     INTEGER NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
	level   TEXT NOT NULL CHECK (level IN ('error', 'warning', 'notice')),
	message TEXT NOT NULL,
	title   TEXT,
	file    TEXT,
	line    INTEGER,
	step    INTEGER                               -- number of the step that said it
) STRICT;
CREATE INDEX annotations_by_job ON annotations (job);

CREATE TABLE summaries (
	job      INTEGER NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
	step     INTEGER NOT NULL,
	markdown TEXT NOT NULL,
	PRIMARY KEY (job, step)
) STRICT, WITHOUT ROWID;

CREATE TABLE reports (
	id     INTEGER PRIMARY KEY,
	run    INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
	job    INTEGER NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
	digest TEXT NOT NULL,                         -- SHA-256 of `report`
	at     INTEGER NOT NULL,
	report TEXT NOT NULL                          -- JSON, docs/formats.md
) STRICT;
CREATE INDEX reports_by_run ON reports (run);
CREATE INDEX reports_by_job ON reports (job);

CREATE TABLE artifacts (
	id         INTEGER PRIMARY KEY,
	run        INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
	job        INTEGER REFERENCES jobs (id) ON DELETE SET NULL, -- that put it last
	name       TEXT NOT NULL,
	digest     TEXT NOT NULL,                     -- of its manifest
	bytes      INTEGER NOT NULL,
	files      INTEGER NOT NULL,
	created_at INTEGER NOT NULL,
	UNIQUE (run, name)
) STRICT;
CREATE INDEX artifacts_by_job ON artifacts (job);

CREATE TABLE tasks (
	id          INTEGER PRIMARY KEY AUTOINCREMENT, -- names the folder D/jobs/<id>: never given twice
	kind        TEXT NOT NULL CHECK (kind IN ('plan', 'resolve', 'job')),
	is_job      INTEGER NOT NULL GENERATED ALWAYS AS (kind = 'job') STORED, -- plan and resolve go first
	priority    INTEGER NOT NULL DEFAULT 0,       -- lower numbers first
	repo        INTEGER NOT NULL REFERENCES repos (id),
	run         INTEGER REFERENCES runs (id) ON DELETE CASCADE,
	job         INTEGER REFERENCES jobs (id) ON DELETE CASCADE,
	fence       INTEGER NOT NULL DEFAULT 0,       -- grows with every take; an older one is not believed
	created_at  INTEGER NOT NULL,
	taken_at    INTEGER,                          -- NULL: nobody has it
	pid         INTEGER NOT NULL DEFAULT 0,       -- of its worker; 0: not started
	pid_start   INTEGER NOT NULL DEFAULT 0,       -- field 22 of /proc/PID/stat
	offset      INTEGER NOT NULL DEFAULT 0,       -- bytes of events.jsonl that have been applied
	deadline_us INTEGER NOT NULL DEFAULT 0,       -- 0: none
	cancelling  INTEGER NOT NULL DEFAULT 0 CHECK (cancelling IN (0, 1)),
	input       TEXT                              -- JSON: what it was queued with
) STRICT;
CREATE INDEX tasks_ready ON tasks (is_job, priority, id) WHERE taken_at IS NULL;
CREATE INDEX tasks_leased ON tasks (id) WHERE taken_at IS NOT NULL;
CREATE INDEX tasks_by_job ON tasks (job) WHERE job IS NOT NULL;
CREATE INDEX tasks_by_run ON tasks (run) WHERE run IS NOT NULL;
CREATE INDEX tasks_by_kind ON tasks (kind);

CREATE TABLE answers (
	task   INTEGER NOT NULL REFERENCES tasks (id) ON DELETE CASCADE,
	ask    INTEGER NOT NULL,                      -- the worker's own number, from 1
	answer TEXT NOT NULL,                         -- JSON: what answers.jsonl says beside the number
	PRIMARY KEY (task, ask)
) STRICT, WITHOUT ROWID;

CREATE TABLE environments (
	repo       INTEGER NOT NULL REFERENCES repos (id),
	name       TEXT NOT NULL,
	rules      TEXT NOT NULL,                     -- JSON: reviewers, approvals, self_review, expires_s, branches
	updated_at INTEGER NOT NULL,
	PRIMARY KEY (repo, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE gates (
	id               INTEGER PRIMARY KEY AUTOINCREMENT,
	repo             INTEGER NOT NULL REFERENCES repos (id),
	run              INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
	job              INTEGER NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
	environment      TEXT NOT NULL,
	status           TEXT NOT NULL DEFAULT 'waiting' CHECK (status IN ('waiting', 'approved', 'rejected', 'expired')),
	message          TEXT,                        -- a sentence about the decision
	approvals_needed INTEGER NOT NULL,            -- rules.approvals when it opened
	opened_at        INTEGER NOT NULL,
	expires_at       INTEGER,                     -- NULL: never
	decided_at       INTEGER,
	evidence_digest  TEXT NOT NULL,               -- SHA-256 of `evidence`: what a verdict is bound to
	rules            TEXT NOT NULL,               -- JSON: the environment's rules as they were when it opened
	evidence         TEXT NOT NULL                -- JSON: what the reviewer is shown; never changes
) STRICT;
CREATE INDEX gates_by_status ON gates (status);
CREATE INDEX gates_by_repo ON gates (repo);
CREATE INDEX gates_by_repo_status ON gates (repo, status);
CREATE INDEX gates_by_run ON gates (run);
CREATE INDEX gates_by_job ON gates (job);
CREATE INDEX gates_by_expiry ON gates (expires_at) WHERE status = 'waiting' AND expires_at IS NOT NULL;

CREATE TABLE gate_reviewers (
	reviewer TEXT NOT NULL,                       -- a user's name: rules.reviewers, for "my gates"
	gate     INTEGER NOT NULL REFERENCES gates (id) ON DELETE CASCADE,
	PRIMARY KEY (reviewer, gate)
) STRICT, WITHOUT ROWID;
CREATE INDEX gate_reviewers_by_gate ON gate_reviewers (gate);

CREATE TABLE verdicts (
	gate            INTEGER NOT NULL REFERENCES gates (id) ON DELETE CASCADE,
	reviewer        TEXT NOT NULL,                -- a user's name; stays when the user goes
	verdict         TEXT NOT NULL CHECK (verdict IN ('approve', 'reject')),
	comment         TEXT,
	override        INTEGER NOT NULL DEFAULT 0 CHECK (override IN (0, 1)), -- against evidence that does not pass
	evidence_digest TEXT NOT NULL,                -- what was shown
	at              INTEGER NOT NULL,
	PRIMARY KEY (gate, reviewer)
) STRICT, WITHOUT ROWID;

CREATE TABLE datasets (
	id         INTEGER PRIMARY KEY,
	repo       INTEGER NOT NULL REFERENCES repos (id),
	name       TEXT NOT NULL,
	created_at INTEGER NOT NULL,
	UNIQUE (repo, name)
) STRICT;
CREATE INDEX datasets_by_repo ON datasets (repo);

CREATE TABLE dataset_versions (
	id         INTEGER PRIMARY KEY,
	dataset    INTEGER NOT NULL REFERENCES datasets (id) ON DELETE CASCADE,
	version    INTEGER NOT NULL,                  -- 1, 2, … within the dataset
	digest     TEXT NOT NULL,                     -- of its manifest
	files      INTEGER NOT NULL,
	bytes      INTEGER NOT NULL,
	new_bytes  INTEGER NOT NULL,                  -- that the content store did not have
	message    TEXT,
	tags       TEXT NOT NULL DEFAULT '{}',        -- JSON object of strings
	run        INTEGER REFERENCES runs (id) ON DELETE SET NULL, -- that made it
	created_at INTEGER NOT NULL,
	UNIQUE (dataset, version)
) STRICT;
CREATE INDEX dataset_versions_by_digest ON dataset_versions (dataset, digest);
CREATE INDEX dataset_versions_by_run ON dataset_versions (run) WHERE run IS NOT NULL;

CREATE TABLE dataset_uses (
	run     INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
	digest  TEXT NOT NULL,
	job     INTEGER NOT NULL REFERENCES jobs (id) ON DELETE CASCADE, -- that used or made it first
	name    TEXT NOT NULL,
	version INTEGER NOT NULL,
	PRIMARY KEY (run, name, digest)
) STRICT, WITHOUT ROWID;
CREATE INDEX dataset_uses_by_job ON dataset_uses (job);
CREATE INDEX dataset_uses_by_digest ON dataset_uses (digest);

CREATE TABLE dataset_judgements (
	digest TEXT NOT NULL,                         -- evaluation data
	run    INTEGER NOT NULL,                      -- a candidate's run; stays counted when the run is forgotten
	PRIMARY KEY (digest, run)
) STRICT, WITHOUT ROWID;

CREATE TABLE experiments (
	id         INTEGER PRIMARY KEY,
	repo       INTEGER NOT NULL REFERENCES repos (id),
	name       TEXT NOT NULL,
	created_at INTEGER NOT NULL,
	UNIQUE (repo, name)
) STRICT;

CREATE TABLE tracking_runs (
	id          INTEGER PRIMARY KEY,
	name_hex    TEXT NOT NULL UNIQUE,             -- 32 hex: how clients name it
	experiment  INTEGER NOT NULL REFERENCES experiments (id) ON DELETE CASCADE,
	run         INTEGER REFERENCES runs (id) ON DELETE SET NULL,
	job         INTEGER REFERENCES jobs (id) ON DELETE SET NULL,
	name        TEXT NOT NULL,
	status      TEXT NOT NULL DEFAULT 'RUNNING' CHECK (status IN ('RUNNING', 'FINISHED', 'FAILED', 'KILLED')),
	started_at  INTEGER NOT NULL,
	finished_at INTEGER
) STRICT;
CREATE INDEX tracking_runs_by_run ON tracking_runs (run) WHERE run IS NOT NULL;
CREATE INDEX tracking_runs_by_job ON tracking_runs (job) WHERE job IS NOT NULL;
CREATE INDEX tracking_runs_by_experiment ON tracking_runs (experiment);

CREATE TABLE tracking_texts (
	tracking_run INTEGER NOT NULL REFERENCES tracking_runs (id) ON DELETE CASCADE,
	kind         TEXT NOT NULL CHECK (kind IN ('param', 'tag')),
	name         TEXT NOT NULL,
	value        TEXT NOT NULL,
	PRIMARY KEY (tracking_run, kind, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE metrics (
	id           INTEGER PRIMARY KEY,
	tracking_run INTEGER NOT NULL REFERENCES tracking_runs (id) ON DELETE CASCADE,
	name         TEXT NOT NULL,
	step         INTEGER NOT NULL,                -- of the newest point, as are the next three
	time         INTEGER NOT NULL,
	value        REAL NOT NULL,                   -- 0 when it is not a number
	nan          INTEGER NOT NULL CHECK (nan IN (0, 1)), -- SQLite would turn NaN into NULL
	UNIQUE (tracking_run, name)
) STRICT;

CREATE TABLE metric_points (
	metric INTEGER NOT NULL REFERENCES metrics (id) ON DELETE CASCADE,
	step   INTEGER NOT NULL,
	time   INTEGER NOT NULL,
	value  REAL NOT NULL,
	nan    INTEGER NOT NULL CHECK (nan IN (0, 1)),
	PRIMARY KEY (metric, step, time, value, nan)  -- the same point twice is one point
) STRICT, WITHOUT ROWID;

CREATE TABLE models (
	id         INTEGER PRIMARY KEY,
	repo       INTEGER NOT NULL REFERENCES repos (id),
	name       TEXT NOT NULL,
	created_at INTEGER NOT NULL,
	UNIQUE (repo, name)
) STRICT;
CREATE INDEX models_by_repo ON models (repo);

CREATE TABLE model_versions (
	id           INTEGER PRIMARY KEY,
	model        INTEGER NOT NULL REFERENCES models (id),
	version      INTEGER NOT NULL,                -- 1, 2, … within the model
	digest       TEXT NOT NULL,                   -- of its manifest
	files        INTEGER NOT NULL,
	bytes        INTEGER NOT NULL,
	run          INTEGER REFERENCES runs (id) ON DELETE SET NULL,
	job          INTEGER REFERENCES jobs (id) ON DELETE SET NULL,
	tracking_run TEXT,                            -- 32 hex
	created_at   INTEGER NOT NULL,
	metrics      TEXT NOT NULL DEFAULT '{}',      -- JSON object of numbers
	lineage      TEXT NOT NULL DEFAULT '{}',      -- JSON: commit, workflow, data, parent; stays when the run is forgotten
	signature    TEXT,                            -- JSON: columns that go in and come out
	card         TEXT,                            -- Markdown
	UNIQUE (model, version)
) STRICT;
CREATE INDEX model_versions_by_run ON model_versions (run) WHERE run IS NOT NULL;
CREATE INDEX model_versions_by_job ON model_versions (job) WHERE job IS NOT NULL;

CREATE TABLE model_aliases (
	model   INTEGER NOT NULL REFERENCES models (id),
	alias   TEXT NOT NULL,                        -- `production` marks the release
	version INTEGER NOT NULL,
	since   INTEGER NOT NULL,
	PRIMARY KEY (model, alias),
	FOREIGN KEY (model, version) REFERENCES model_versions (model, version)
) STRICT, WITHOUT ROWID;
CREATE INDEX model_aliases_by_version ON model_aliases (model, version);

CREATE TABLE model_ledger (
	id       INTEGER PRIMARY KEY,
	model    INTEGER NOT NULL REFERENCES models (id),
	alias    TEXT NOT NULL,
	version  INTEGER NOT NULL,                    -- where the alias went
	previous INTEGER,                             -- where it was; NULL: nowhere
	gate     INTEGER REFERENCES gates (id) ON DELETE SET NULL, -- that allowed it; NULL: none was needed
	actor    TEXT NOT NULL,
	at       INTEGER NOT NULL
) STRICT;
CREATE INDEX model_ledger_by_model ON model_ledger (model);
CREATE INDEX model_ledger_by_gate ON model_ledger (gate) WHERE gate IS NOT NULL;

CREATE TABLE caches (
	id         INTEGER PRIMARY KEY,
	repo       INTEGER NOT NULL REFERENCES repos (id),
	scope      TEXT NOT NULL,                     -- the ref whose jobs wrote it: a fork's never reaches main
	key        TEXT NOT NULL,
	digest     TEXT NOT NULL,                     -- of its manifest
	created_at INTEGER NOT NULL,
	used_at    INTEGER NOT NULL,                  -- the ones unused longest go first
	UNIQUE (repo, scope, key)
) STRICT;

CREATE TABLE secrets (
	repo        INTEGER NOT NULL REFERENCES repos (id),
	environment TEXT NOT NULL DEFAULT '',         -- '': for every job of the repo
	name        TEXT NOT NULL,
	sealed      BLOB NOT NULL,                    -- nonce and XChaCha20-Poly1305, bound to the three columns before
	updated_at  INTEGER NOT NULL,
	PRIMARY KEY (repo, environment, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE vars (
	repo        INTEGER NOT NULL REFERENCES repos (id),
	environment TEXT NOT NULL DEFAULT '',
	name        TEXT NOT NULL,
	value       TEXT NOT NULL,
	updated_at  INTEGER NOT NULL,
	PRIMARY KEY (repo, environment, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE users (
	id         INTEGER PRIMARY KEY,
	name       TEXT NOT NULL UNIQUE,
	role       TEXT NOT NULL CHECK (role IN ('viewer', 'developer', 'reviewer', 'admin')),
	password   TEXT,                              -- Argon2id with its parameters; NULL: by token or link only
	created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE tokens (
	hash       BLOB PRIMARY KEY,                  -- SHA-256 of the token; the token itself is shown once
	owner      INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
	note       TEXT,
	created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX tokens_by_owner ON tokens (owner);

CREATE TABLE sessions (
	hash       BLOB PRIMARY KEY,                  -- SHA-256 of the cookie
	owner      INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
	expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX sessions_by_owner ON sessions (owner);
CREATE INDEX sessions_by_expiry ON sessions (expires_at);

CREATE TABLE links (
	hash       BLOB PRIMARY KEY,                  -- SHA-256 of the sign-in link's secret; the row goes when it is used
	owner      INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
	expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX links_by_owner ON links (owner);
CREATE INDEX links_by_expiry ON links (expires_at);

CREATE TABLE audit (
	id      INTEGER PRIMARY KEY,
	at      INTEGER NOT NULL,
	actor   TEXT NOT NULL,
	action  TEXT NOT NULL,
	subject TEXT,
	detail  TEXT,                                 -- JSON; never a secret
	hash    TEXT NOT NULL                         -- SHA-256 over the hash of the row before and this row
) STRICT;
CREATE TRIGGER audit_never_changes BEFORE UPDATE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit log is appended only'); END;
CREATE TRIGGER audit_never_forgets BEFORE DELETE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit log is appended only'); END;

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

-- SPDX-License-Identifier: Apache-2.0
-- Calls of reusable workflows: a calling job is a row that no worker ever has; the jobs that it calls name it by its key,
-- which is the same in every attempt.

ALTER TABLE jobs ADD COLUMN is_call INTEGER NOT NULL DEFAULT 0 CHECK (is_call IN (0, 1)); -- it has jobs, not steps
ALTER TABLE jobs ADD COLUMN caller TEXT;                        -- the key of its call; NULL: a job of the run's own file
CREATE INDEX jobs_calls ON jobs (run) WHERE is_call = 1;

-- SPDX-License-Identifier: Apache-2.0
-- What steps tell more: where in the log an annotation was said, what a problem matcher found, and summaries as HTML.

ALTER TABLE annotations ADD COLUMN end_line INTEGER;
ALTER TABLE annotations ADD COLUMN column_number INTEGER;
ALTER TABLE annotations ADD COLUMN code TEXT;         -- of the tool that found it
ALTER TABLE annotations ADD COLUMN log_line INTEGER;  -- the line of the job's log, from 1
ALTER TABLE summaries ADD COLUMN html TEXT;           -- as the worker made it; web/safe_html.c says what of it may be shown

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

-- SPDX-License-Identifier: Apache-2.0
-- What a run of many jobs is asked for at the end of each: does another still run, and does one wait for its needs?

CREATE INDEX jobs_running ON jobs (run) WHERE status = 'running';
CREATE INDEX jobs_needing ON jobs (run) WHERE status = 'queued' AND needs <> '[]';

INSERT INTO repos (id, name, url, network, default_branch, last_number, created_at)
VALUES (1, 'acme/digits', 'file:///srv/git/digits.git', 'loopback', 'main', 7, 1777802640000000);
INSERT INTO deliveries (id, forge, delivery, repo, event, received_at, outcome, headers, body)
VALUES (1, 'github', 'd-1', 'acme/digits', 'push', 1777802640000000, 'runs', '{"x-github-event":"push"}', X'7b7d'),
       (2, 'github', 'd-2', 'acme/digits', 'push', 1777802641000000, NULL, '{"x-github-event":"push"}', X'7b7d');
INSERT INTO runs (id, repo, number, workflow, workflow_path, workflow_file, event, ref, sha, delivery, status, cause, message,
	created_at, started_at, finished_at)
VALUES (4, 1, 7, 'train', '.assay/workflows/train.yml', 'train.yml', 'push', 'refs/heads/main', 'abc', 'd-1', 'waiting', NULL, NULL,
	1777802640000000, 1777802641000000, NULL);
INSERT INTO run_contexts (run, github) VALUES (4, '{"event_name":"push"}');
INSERT INTO jobs (id, run, position, key, job_group, name, status, environment, gate, created_at)
VALUES (5, 4, 1, 'release', 'release', 'release', 'waiting', 'production', NULL, 1777802640000000);
INSERT INTO job_plans (job, definition, resolved) VALUES (5, '{"runs-on":"ubuntu-latest"}', '{"key":"release","run":true}');
INSERT INTO gates (id, repo, run, job, environment, approvals_needed, opened_at, evidence_digest, rules, evidence)
VALUES (3, 1, 4, 5, 'production', 1, 1777802642000000, 'e1', '{"approvals":1,"reviewers":["alice"]}', '{"verdict":"pass"}');
INSERT INTO gate_reviewers (reviewer, gate) VALUES ('alice', 3);
UPDATE jobs SET gate = 3 WHERE id = 5;
INSERT INTO tasks (id, kind, repo, run, job, fence, created_at, taken_at, pid, pid_start, offset)
VALUES (17, 'job', 1, 4, 5, 3, 1777802640000000, 1777802641000000, 4711, 123456, 512);
INSERT INTO answers (task, ask, answer) VALUES (17, 1, '{"ok":true,"result":{"version":1}}');
INSERT INTO datasets (id, repo, name, created_at) VALUES (1, 1, 'digits', 1777802640000000);
INSERT INTO dataset_versions (id, dataset, version, digest, files, bytes, new_bytes, created_at)
VALUES (1, 1, 1, 'd1', 2, 100, 100, 1777802640000000);
INSERT INTO models (id, repo, name, created_at) VALUES (1, 1, 'digits', 1777802640000000);
INSERT INTO model_versions (id, model, version, digest, files, bytes, created_at) VALUES (1, 1, 1, 'm1', 1, 10, 1777802640000000);
INSERT INTO model_aliases (model, alias, version, since) VALUES (1, 'production', 1, 1777802640000000);
INSERT INTO model_ledger (model, alias, version, actor, at) VALUES (1, 'production', 1, 'alice', 1777802640000000);
INSERT INTO users (id, name, role, created_at) VALUES (1, 'alice', 'reviewer', 1777802640000000);
INSERT INTO turns (id, repo, lock, run, job, state) VALUES (2, 1, 'group deploy', 4, 5, 'holds');
-- SPDX-License-Identifier: Apache-2.0
-- What the runner's clients need to know of artifacts and caches. Caches are made anew: what was kept under the old keys
-- had no version, and would never be asked for again.

ALTER TABLE artifacts ADD COLUMN expires_at INTEGER; -- NULL: kept as long as its run
CREATE INDEX artifacts_by_expiry ON artifacts (expires_at) WHERE expires_at IS NOT NULL;

DROP TABLE caches;
CREATE TABLE caches (
	id            INTEGER PRIMARY KEY,
	repo          INTEGER NOT NULL REFERENCES repos (id),
	scope         TEXT NOT NULL,      -- the ref whose jobs wrote it; of a fork's runs "fork REF", which no other run reads
	key           TEXT NOT NULL,
	version       TEXT NOT NULL,      -- the clients' digest of paths and compression
	other_version TEXT NOT NULL,      -- the same for the other compression, where both can be served; else as version
	form          TEXT NOT NULL CHECK (form IN ('tree', 'blob')), -- files, or an archive as a client sent it
	digest        TEXT NOT NULL,      -- of its manifest
	bytes         INTEGER NOT NULL,
	created_at    INTEGER NOT NULL,
	used_at       INTEGER NOT NULL,   -- the ones unused longest go first
	UNIQUE (repo, scope, key, version)
) STRICT;
CREATE INDEX caches_by_use ON caches (repo, used_at);
INSERT INTO caches (id, repo, scope, key, version, other_version, form, digest, bytes, created_at, used_at) VALUES (1, 1, 'refs/heads/main', 'pip-1', 'v1', 'v2', 'tree', 'f2ca1bb6c7e907d06dafe4687e579fce76b37e4e93b7605022da52e6ccc26fd2', 10, 1777802640000000, 1777802640000000);
-- SPDX-License-Identifier: Apache-2.0
-- What opens a repo at its forge, sealed as secrets are.

CREATE TABLE repo_credentials (
	repo       INTEGER NOT NULL REFERENCES repos (id),
	kind       TEXT NOT NULL CHECK (kind IN ('token', 'ssh_key', 'known_hosts')),
	sealed     BLOB NOT NULL,
	updated_at INTEGER NOT NULL,
	PRIMARY KEY (repo, kind)
) STRICT, WITHOUT ROWID;
INSERT INTO repo_credentials (repo, kind, sealed, updated_at) VALUES (1, 'token', x'00', 1777802640000000);
-- SPDX-License-Identifier: Apache-2.0
-- What a step used besides time and memory. NULL: its machine cannot say.

ALTER TABLE steps ADD COLUMN read_bytes INTEGER;  -- from block devices; what the page cache had costs nothing
ALTER TABLE steps ADD COLUMN write_bytes INTEGER;
ALTER TABLE steps ADD COLUMN energy_uj INTEGER;   -- of the whole machine's processors while it ran
-- SPDX-License-Identifier: Apache-2.0
-- What each job and delivery pays for, made cheaper; what is kept stays as it is.
--
-- SQLite looks up `x IN (…)` of three words or more in a table that it makes for each statement, and throws away after it: that
-- was a sixth of what the agent did for a short job. The same said with OR compares. Only the text of the tables changes, as in
-- https://www.sqlite.org/lang_altertable.html#otheralter; db.c lets it be written for as long as migrations run.

PRAGMA writable_schema = ON;
UPDATE sqlite_schema SET sql = replace(sql,
	'CHECK (status IN (''queued'', ''waiting'', ''running'', ''success'', ''failure'', ''cancelled'', ''skipped''))',
	'CHECK (status = ''queued'' OR status = ''waiting'' OR status = ''running'' OR status = ''success'''
	|| ' OR status = ''failure'' OR status = ''cancelled'' OR status = ''skipped'')')
	WHERE type = 'table' AND name IN ('runs', 'run_attempts', 'jobs', 'steps');
UPDATE sqlite_schema SET sql = replace(sql,
	'CHECK (isolation IN (''full'', ''reduced'', ''none''))',
	'CHECK (isolation = ''full'' OR isolation = ''reduced'' OR isolation = ''none'')')
	WHERE type = 'table' AND name = 'jobs';
UPDATE sqlite_schema SET sql = replace(sql,
	'CHECK (kind IN (''plan'', ''resolve'', ''job''))',
	'CHECK (kind = ''plan'' OR kind = ''resolve'' OR kind = ''job'')')
	WHERE type = 'table' AND name = 'tasks';
UPDATE sqlite_schema SET sql = replace(sql,
	'CHECK (level IN (''error'', ''warning'', ''notice''))',
	'CHECK (level = ''error'' OR level = ''warning'' OR level = ''notice'')')
	WHERE type = 'table' AND name = 'annotations';
UPDATE sqlite_schema SET sql = replace(sql,
	'CHECK (outcome IN (''runs'', ''ignored'', ''failed''))',
	'CHECK (outcome = ''runs'' OR outcome = ''ignored'' OR outcome = ''failed'')')
	WHERE type = 'table' AND name = 'deliveries';
UPDATE sqlite_schema SET sql = replace(sql,
	'CHECK (state IN (''waits'', ''called'', ''holds''))',
	'CHECK (state = ''waits'' OR state = ''called'' OR state = ''holds'')')
	WHERE type = 'table' AND name = 'turns';
PRAGMA writable_schema = RESET;

-- Each row of an index is written and taken away with its task. Which tasks are leased is asked by an agent that starts, how many
-- there are of a kind by who reads its metrics: both may look at them all. No run is ever deleted.
DROP INDEX tasks_leased;
DROP INDEX tasks_by_kind;
DROP INDEX tasks_by_run;

-- With a task its answers go, and mostly there are none. To delete from a table without rowids one more is made for each statement.
CREATE TABLE answers_with_rowids (
	task   INTEGER NOT NULL REFERENCES tasks (id) ON DELETE CASCADE,
	ask    INTEGER NOT NULL,                      -- the worker's own number, from 1
	answer TEXT NOT NULL,                         -- JSON: what answers.jsonl says beside the number
	UNIQUE (task, ask)
) STRICT;
INSERT INTO answers_with_rowids (task, ask, answer) SELECT task, ask, answer FROM answers;
DROP TABLE answers;
ALTER TABLE answers_with_rowids RENAME TO answers;
PRAGMA user_version = 11;
