/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The worker's own confinement. It stays able to make namespaces and to change owners, since that is its work; steps
 * are confined much harder, by their executor. Each call here cannot fail on a kernel we run on, and where it did, the
 * worker would be as it was before: no error is worth a job.
 */
#include "agent/job/confine.h"

#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

void confine_begin(void)
{
	const struct rlimit none = {0, 0};
	setrlimit(RLIMIT_CORE, &none);
	umask(077);
}

void confine_before_strangers(bool keep_privileges)
{
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	if (!keep_privileges)
		prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}
