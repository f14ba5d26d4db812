/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/job/energy.h"

#include <fcntl.h>
#include <glib.h>
#include <unistd.h>

#include "agent/base/autoptr.h"

#define ZONE "intel-rapl:%d" /* AMD's are called so too */
#define NUMBER_BYTES 32

struct Energy {
	int fds[ENERGY_PACKAGES_MAX];
	int64_t range_uj[ENERGY_PACKAGES_MAX]; /* a counter starts again behind it */
	int packages;
};

static int64_t read_number(int fd)
{
	char text[NUMBER_BYTES];
	ssize_t len = fd >= 0 ? pread(fd, text, sizeof text - 1, 0) : -1;
	if (len <= 0)
		return -1;
	text[len] = '\0';
	char *end;
	int64_t value = g_ascii_strtoll(text, &end, 10);
	return end != text && value >= 0 ? value : -1;
}

static int open_in(const char *folder, int package, const char *file)
{
	g_autofree char *path = g_strdup_printf("%s/" ZONE "/%s", folder, package, file);
	return open(path, O_RDONLY | O_CLOEXEC);
}

Energy *energy_open(const char *folder)
{
	int fd = open_in(folder, 0, "energy_uj");
	if (fd < 0)
		return NULL;
	Energy *energy = g_new0(Energy, 1);
	for (; fd >= 0; fd = energy->packages < ENERGY_PACKAGES_MAX ? open_in(folder, energy->packages, "energy_uj") : -1) {
		autofd int range = open_in(folder, energy->packages, "max_energy_range_uj");
		energy->range_uj[energy->packages] = read_number(range);
		energy->fds[energy->packages++] = fd;
	}
	return energy;
}

void energy_close(Energy *energy)
{
	for (int i = 0; energy && i < energy->packages; i++)
		close(energy->fds[i]);
	g_free(energy);
}

void energy_mark(const Energy *energy, EnergyMark *out)
{
	for (int i = 0; i < ENERGY_PACKAGES_MAX; i++)
		out->uj[i] = energy && i < energy->packages ? read_number(energy->fds[i]) : -1;
}

int64_t energy_since(const Energy *energy, const EnergyMark *mark)
{
	int64_t sum = 0;
	for (int i = 0; energy && i < energy->packages; i++) {
		int64_t now = read_number(energy->fds[i]);
		if (now < 0 || mark->uj[i] < 0)
			return -1;
		int64_t used = now - mark->uj[i];
		if (used < 0 && energy->range_uj[i] <= 0)
			return -1;
		sum += used < 0 ? used + energy->range_uj[i] : used;
	}
	return energy ? sum : -1;
}
