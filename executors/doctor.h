/* SPDX-License-Identifier: Apache-2.0 */
/* The two verbs of this room: what this host can do, and one command as a job's step would see the world. */
#pragma once

/** `assay doctor [--json] [--data FOLDER]`. Returns the exit status: 0 when the sandbox works, 1 otherwise. */
int verb_doctor(int argc, char **argv);

/** `assay exec [--executor E] [--network N] -- COMMAND…`. Returns the command's status; 128 + n after signal n. */
int verb_exec(int argc, char **argv);
