/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs nothing and says so: each step writes one line to its stdout and has succeeded. The smallest executor:
 * the first to read, and the double that tests of the worker use.
 */
#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "agent/base/autoptr.h"
#include "agent/base/error.h"
#include "agent/base/fd.h"
#include "executors/place.h"

extern const Executor executor_null;

static bool null_probe(GError **error)
{
	(void)error;
	return true;
}

static bool null_open(const PlaceSpec *spec, Place **out, GError **error)
{
	(void)error;
	Place *place = g_new0(Place, 1);
	place_init(place, &executor_null, spec->work_folder, spec->home_folder, "none");
	place_lacks(place, "The null executor runs no step.");
	*out = place;
	return true;
}

static bool null_start(Place *place, const StepSpec *spec, Child *out, GError **error)
{
	(void)place;
	if (!place_check_step(spec, error))
		return false;
	autofd int ended = eventfd(1, EFD_CLOEXEC); /* readable from the start: the step has ended */
	if (ended < 0)
		return fail_errno(error, errno, "step '%s'", spec->name);
	if (spec->fds[1] >= 0) {
		g_autofree char *line = g_strdup_printf("null executor: not run: %s\n", spec->argv[0]);
		if (!fd_write_all(spec->fds[1], line, strlen(line), "the step's output", error))
			return false;
	}
	*out = (Child){.fd = fd_steal(&ended)};
	return true;
}

static void null_signal(Place *place, Child *child, int signal_number)
{
	(void)place;
	(void)child;
	(void)signal_number;
}

static bool null_finish(Place *place, Child *child, StepEnd *out, GError **error)
{
	(void)place;
	(void)error;
	close(child->fd);
	*child = (Child){.fd = -1};
	*out = (StepEnd){.cause = "exit", .cpu_us = -1, .memory_peak_bytes = -1, .read_bytes = -1, .write_bytes = -1};
	return true;
}

static void null_close(Place *place)
{
	if (!place)
		return;
	place_clear(place);
	g_free(place);
}

const Executor executor_null = {
	.name = "null",
	.summary = "runs nothing and says so, to try a workflow's order without its work",
	.probe = null_probe,
	.open = null_open,
	.start = null_start,
	.signal = null_signal,
	.finish = null_finish,
	.close = null_close,
};
