/* SPDX-License-Identifier: Apache-2.0 */
/*
 * FastCDC with a gear hash. A plain loop over bytes: it runs at 2–4 GB/s, and hashing what it cuts is slower than
 * that, so vector instructions would win nothing.
 */
#include "agent/objects/chunk.h"

#include <glib.h>

/* The average is 2^17: two bits more before it, two bits fewer behind it. The top bits have seen 64 bytes. */
#define AVERAGE_BITS 17
#define MASK_BEFORE (((UINT64_C(1) << (AVERAGE_BITS + 2)) - 1) << (64 - AVERAGE_BITS - 2))
#define MASK_BEHIND (((UINT64_C(1) << (AVERAGE_BITS - 2)) - 1) << (64 - AVERAGE_BITS + 2))
#define GEAR_SEED UINT64_C(0x617373617920636b) /* "assay ck"; changing it changes every cut */

/* The table is the first 256 numbers of SplitMix64 (Steele, Lea, Flood 2014) from GEAR_SEED. */
static const uint64_t *gear_table(void)
{
	static uint64_t table[256];
	static gsize made = 0;
	if (g_once_init_enter(&made)) {
		uint64_t state = GEAR_SEED;
		for (int i = 0; i < 256; i++) {
			uint64_t z = state += UINT64_C(0x9e3779b97f4a7c15);
			z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
			z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
			table[i] = z ^ (z >> 31);
		}
		g_once_init_leave(&made, 1);
	}
	return table;
}

size_t chunk_cut(const uint8_t *bytes, size_t len)
{
	if (len <= CHUNK_BYTES_MIN)
		return len;
	const uint64_t *gear = gear_table();
	size_t end = MIN(len, (size_t)CHUNK_BYTES_MAX);
	size_t middle = MIN(end, (size_t)CHUNK_BYTES_AVERAGE);
	uint64_t hash = 0;
	size_t at = CHUNK_BYTES_MIN;
	for (; at < middle; at++) {
		hash = (hash << 1) + gear[bytes[at]];
		if (!(hash & MASK_BEFORE))
			return at + 1;
	}
	for (; at < end; at++) {
		hash = (hash << 1) + gear[bytes[at]];
		if (!(hash & MASK_BEHIND))
			return at + 1;
	}
	return end;
}
