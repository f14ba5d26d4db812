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
