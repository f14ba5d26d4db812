-- SPDX-License-Identifier: Apache-2.0
-- What a run of many jobs is asked for at the end of each: does another still run, and does one wait for its needs?

CREATE INDEX jobs_running ON jobs (run) WHERE status = 'running';
CREATE INDEX jobs_needing ON jobs (run) WHERE status = 'queued' AND needs <> '[]';
