-- SPDX-License-Identifier: Apache-2.0
-- What steps tell more: where in the log an annotation was said, what a problem matcher found, and summaries as HTML.

ALTER TABLE annotations ADD COLUMN end_line INTEGER;
ALTER TABLE annotations ADD COLUMN column_number INTEGER;
ALTER TABLE annotations ADD COLUMN code TEXT;         -- of the tool that found it
ALTER TABLE annotations ADD COLUMN log_line INTEGER;  -- the line of the job's log, from 1
ALTER TABLE summaries ADD COLUMN html TEXT;           -- as the worker made it; web/safe_html.c says what of it may be shown
