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
