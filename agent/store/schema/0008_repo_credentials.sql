-- SPDX-License-Identifier: Apache-2.0
-- What opens a repo at its forge, sealed as secrets are.

CREATE TABLE repo_credentials (
	repo       INTEGER NOT NULL REFERENCES repos (id),
	kind       TEXT NOT NULL CHECK (kind IN ('token', 'ssh_key', 'known_hosts')),
	sealed     BLOB NOT NULL,
	updated_at INTEGER NOT NULL,
	PRIMARY KEY (repo, kind)
) STRICT, WITHOUT ROWID;
