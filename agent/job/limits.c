/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/job/limits.h"

#include <glib.h>
#include <signal.h>

#include "agent/base/clock.h"
#include "agent/base/json.h"

#define SHELL_SIGNAL 128 /* a shell's status for a command that a signal ended is this and its number */
#define MINUTE_US (60.0 * 1000000)

static int64_t limit_of(const Job *job, const char *key)
{
	return json_get_int(json_object_get(job->spec, "limits"), key, 0);
}

static char *minutes_text(int64_t us)
{
	char text[G_ASCII_DTOSTR_BUF_SIZE];
	g_ascii_formatd(text, sizeof text, "%.4g", (double)us / MINUTE_US);
	return g_strdup_printf("%s minute%s", text, g_strcmp0(text, "1") == 0 ? "" : "s");
}

static char *size_text(int64_t bytes)
{
	return g_format_size_full((guint64)bytes, G_FORMAT_SIZE_IEC_UNITS);
}

char *limits_step_time(const Job *job)
{
	bool own = job->step_limit_us > 0 && (!job->deadline_us || job->step_deadline_us <= job->deadline_us);
	if (!own)
		return g_strdup("it ran longer than its job may");
	g_autofree char *minutes = minutes_text(job->step_limit_us);
	return g_strdup_printf("it ran longer than its limit of %s; raise timeout-minutes of the step", minutes);
}

char *limits_job_time(const Job *job)
{
	g_autofree char *minutes = minutes_text(limit_of(job, "timeout_us"));
	return g_strdup_printf("the job ran longer than its limit of %s; raise timeout-minutes of the job, and where that is "
	        "longer already, limits.job_time of the agent", minutes);
}

/* A container's own limit is not told apart: its options are named beside the agent's key. */
char *limits_memory(const Job *job)
{
	int64_t bytes = limit_of(job, "memory_bytes");
	const char *container = job->containers ? " or --memory of its container's options" : "";
	if (bytes <= 0)
		return job->containers ? g_strdup("it needed more memory than its container may have; raise --memory of its options")
		                       : g_strdup("it needed more memory than the machine had; run fewer jobs at once (jobs), or "
		                                  "give the machine more");
	g_autofree char *size = size_text(bytes);
	return g_strdup_printf("it needed more memory than its job may have, %s; raise limits.job_memory of the agent%s", size,
	        container);
}

char *limits_processes(const Job *job)
{
	return g_strdup_printf("it reached its job's limit of %" G_GINT64_FORMAT " processes; raise limits.job_processes of the "
	        "agent%s", limit_of(job, "processes"), job->containers ? " or --pids-limit of its container's options" : "");
}

bool limits_is_file_size(const Job *job, const ChildEnd *end)
{
	bool limited = limit_of(job, "file_bytes") > 0 || job->containers;
	return end->signal == SIGXFSZ || (limited && end->exit_code == SHELL_SIGNAL + SIGXFSZ);
}

char *limits_file_size(const Job *job)
{
	int64_t bytes = limit_of(job, "file_bytes");
	const char *container = job->containers ? " or --ulimit fsize of its container's options" : "";
	if (bytes <= 0)
		return g_strdup_printf("it wrote a larger file than it may%s", job->containers ? "; raise --ulimit fsize of its "
		        "container's options" : ", by a limit of its own");
	g_autofree char *size = size_text(bytes);
	return g_strdup_printf("it wrote a larger file than its job may, %s; raise limits.job_file of the agent%s", size,
	        container);
}
