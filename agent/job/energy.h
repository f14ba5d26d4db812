/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the processors of this machine used, by their own counters (RAPL, which Linux shows as powercap zones). A counter
 * is of the whole machine: what it says of a step is what the machine used while the step ran.
 */
#pragma once

#include <stdint.h>

#define ENERGY_FOLDER "/sys/class/powercap"
#define ENERGY_PACKAGES_MAX 16

typedef struct Energy Energy;

/** The counters at one time. */
typedef struct EnergyMark {
	int64_t uj[ENERGY_PACKAGES_MAX]; /* -1: could not be read */
} EnergyMark;

/** Opens one counter for each processor package below the folder. NULL where there is none, or it may not be read. */
Energy *energy_open(const char *folder);
/** Accepts NULL. */
void energy_close(Energy *energy);
/** energy may be NULL; likewise below. */
void energy_mark(const Energy *energy, EnergyMark *out);
/** Microjoules since the mark, of all packages together; -1 where one of them cannot be asked. */
int64_t energy_since(const Energy *energy, const EnergyMark *mark);
