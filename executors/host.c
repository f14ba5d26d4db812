/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs steps as plain children on this machine: no isolation, and it says so. They are started by the same first
 * process as a sandbox's (init.c), here as their supervisor: it adopts what they leave behind, so that nothing of a
 * step survives its end, and nothing of a job survives the worker, however that ends.
 */
#include <errno.h>
#include <unistd.h>

#include "agent/base/error.h"
#include "executors/cgroup.h"
#include "executors/place.h"
#include "executors/supervisor.h"

extern const Executor executor_host;

typedef struct HostPlace {
	Place place;
	Supervisor init;
	Cgroup group;
	CgroupCounts counted;
	Failure failure;
} HostPlace;

static bool host_probe(GError **error)
{
	(void)error;
	return true;
}

/* In the newborn child. */
static bool enter_group(void *data, int control_fd)
{
	HostPlace *host = data;
	(void)control_fd;
	if (cgroup_join(&host->group))
		return true;
	host->failure = (Failure){.what = "cannot enter its control group", .why = errno};
	return false;
}

static bool host_launch(HostPlace *host, const PlaceSpec *spec, GError **error)
{
	const InitSetup setup = {
		.kind = INIT_SETUP,
		.become = geteuid() == 0 && spec->uid != 0,
		.outer_uid = spec->uid,
		.outer_gid = spec->gid,
		.file_bytes = (uint64_t)MAX(spec->file_bytes, 0),
		.open_files = (uint64_t)MAX(spec->open_files, 0),
		.data_bytes = host->group.has_memory ? 0 : (uint64_t)MAX(spec->memory_bytes, 0),
	};
	const Birth birth = {.prepare = enter_group, .data = host, .failure = &host->failure, .setup = &setup};
	if (!supervisor_launch(&host->init, &birth))
		return fail_errno(error, host->failure.why, "host executor: %s", host->failure.what);
	if (supervisor_begin(&host->init, error))
		return true;
	g_prefix_error(error, "host executor: ");
	return false;
}

static bool host_open(const PlaceSpec *spec, Place **out, GError **error)
{
	HostPlace *host = g_new0(HostPlace, 1);
	supervisor_init(&host->init);
	place_init(&host->place, &executor_host, spec->work_folder, spec->home_folder, "none");
	place_lacks(&host->place, "The host executor confines nothing: steps see this machine as their user does.");
	const CgroupLimits limits = {
		.memory_bytes = spec->memory_bytes,
		.processes = spec->processes,
		.cpus = spec->cpus,
		.read_bytes_s = spec->read_bytes_s,
		.write_bytes_s = spec->write_bytes_s,
		.io_folder = spec->work_folder,
	};
	cgroup_make(&limits, &host->group);
	if (!host_launch(host, spec, error)) {
		executor_host.close(&host->place);
		return false;
	}
	*out = &host->place;
	return true;
}

static bool host_start(Place *place, const StepSpec *spec, Child *out, GError **error)
{
	return place_check_step(spec, error) && supervisor_start(&((HostPlace *)place)->init, spec, out, error);
}

static void host_signal(Place *place, Child *child, int signal_number)
{
	supervisor_signal(&((HostPlace *)place)->init, child, signal_number);
}

static bool host_finish(Place *place, Child *child, StepEnd *out, GError **error)
{
	HostPlace *host = (HostPlace *)place;
	if (!supervisor_finish(&host->init, child, out, error))
		return false;
	cgroup_judge(&host->group, &host->counted, out);
	return true;
}

static void host_close(Place *place)
{
	if (!place)
		return;
	HostPlace *host = (HostPlace *)place;
	supervisor_leave(&host->init);
	cgroup_remove(&host->group);
	place_clear(place);
	g_free(host);
}

const Executor executor_host = {
	.name = "host",
	.summary = "runs steps on this machine, unconfined, as the agent's user",
	.probe = host_probe,
	.open = host_open,
	.start = host_start,
	.signal = host_signal,
	.finish = host_finish,
	.close = host_close,
};
