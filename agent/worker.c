/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The roof of the right half: `assay-worker`, which nobody types. As `zygote` it waits for the agent's requests, as
 * `task FOLDER` it does one task, and under the names of verbs it does what `assay` hands over: checks and commands
 * that need no agent. It joins executors/ and ml-steps/ to agent/job/ by being linked with them.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/error.h"
#include "agent/base/fd.h"
#include "agent/base/log.h"
#include "agent/executor.h"
#include "agent/job/disk.h"
#include "agent/job/export.h"
#include "agent/job/task.h"
#include "agent/job/verbs_language.h"
#include "agent/job/zygote.h"
#include "agent/verbs.h"

#define ZYGOTE_FD 3

static int worker_zygote(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	return zygote_main(ZYGOTE_FD);
}

/* `task FOLDER [DESCRIPTOR]`: without a zygote, for tests and for looking closely. */
static int worker_task(int argc, char **argv)
{
	gint64 fd = -1;
	if (argc < 2 || argc > 3 || (argc == 3 && !g_ascii_string_to_signed(argv[2], 10, 0, 1 << 20, &fd, NULL))) {
		fprintf(stderr, "assay: worker: 'task' needs a folder, and may have the descriptor of the secrets\n");
		return 2;
	}
	return task_main(argv[1], (int)fd);
}

static int worker_version(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	puts(ASSAY_VERSION);
	return 0;
}

/* Of a job's disk space, what its users have shut to the worker of an ordinary user. */
typedef struct Measure {
	int folder_fd;
	int64_t bytes_max, files_max;
} Measure;

static bool measure_as_owner(void *data, int out_fd)
{
	const Measure *asked = data;
	disk_set_other(NULL); /* we are who is asked */
	const DiskUse use = disk_measure(asked->folder_fd, asked->bytes_max, asked->files_max);
	return write(out_fd, &use, sizeof use) == (ssize_t)sizeof use;
}

static bool measure_shut(int folder_fd, int64_t bytes_max, int64_t files_max, DiskUse *out)
{
	Measure asked = {folder_fd, bytes_max, files_max};
	return executor_as_owner(measure_as_owner, &asked, out, sizeof *out);
}

static const struct {
	const char *name;
	int (*run)(int argc, char **argv); /* argv[0] is the name */
} parts[] = {
        {"doctor", verb_doctor},
        {"exec", verb_exec},
        {"export", export_main},
        {"expr", verb_expr},
        {"lend", lend_main},
        {"remove", remove_main},
        {"task", worker_task},
        {"unpack", image_unpack_main},
        {"validate", verb_validate},
        {"version", worker_version},
        {"zygote", worker_zygote},
};

int main(int argc, char **argv)
{
	log_setup(LOG_LEVEL_INFO, log_default_format());
	fd_set_remover(executor_remove_tree);
	disk_set_other(measure_shut);
	for (size_t i = 0; argc > 1 && i < G_N_ELEMENTS(parts); i++)
		if (strcmp(parts[i].name, argv[1]) == 0)
			return parts[i].run(argc - 1, argv + 1);
	fprintf(stderr, "assay: worker: '%s' is not one of its parts; people type 'assay', see 'assay help'\n",
	        argc > 1 ? argv[1] : "");
	return 2;
}
