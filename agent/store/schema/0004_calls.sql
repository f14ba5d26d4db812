-- SPDX-License-Identifier: Apache-2.0
-- Calls of reusable workflows: a calling job is a row that no worker ever has; the jobs that it calls name it by its key,
-- which is the same in every attempt.

ALTER TABLE jobs ADD COLUMN is_call INTEGER NOT NULL DEFAULT 0 CHECK (is_call IN (0, 1)); -- it has jobs, not steps
ALTER TABLE jobs ADD COLUMN caller TEXT;                        -- the key of its call; NULL: a job of the run's own file
CREATE INDEX jobs_calls ON jobs (run) WHERE is_call = 1;
