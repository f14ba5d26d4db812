/* SPDX-License-Identifier: Apache-2.0 */
/* What the face counts, and /metrics, which shows it. */
#pragma once

#include <stdint.h>

struct Counters {
	uint64_t answers[6];       /* by the status' first digit */
	uint64_t deliveries_accepted;
	uint64_t deliveries_repeated;
	uint64_t deliveries_refused; /* wrong signature or unknown repo: never told apart */
	uint64_t deliveries_too_large;
	uint64_t deliveries_commits; /* how many commits the accepted ones took */
	uint64_t connections;
	unsigned feeds;              /* open now */
};
