-- SPDX-License-Identifier: Apache-2.0
-- What a step used besides time and memory. NULL: its machine cannot say.

ALTER TABLE steps ADD COLUMN read_bytes INTEGER;  -- from block devices; what the page cache had costs nothing
ALTER TABLE steps ADD COLUMN write_bytes INTEGER;
ALTER TABLE steps ADD COLUMN energy_uj INTEGER;   -- of the whole machine's processors while it ran
