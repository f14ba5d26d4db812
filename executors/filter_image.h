/* SPDX-License-Identifier: Apache-2.0 */
/* In front of the filter, for a place whose root is an image: what only root with several users could do. */
#pragma once

#include <linux/filter.h>
#include <stddef.h>

/**
 * Puts the calls that change a file's owner before a written filter of len instructions, and lets them answer success:
 * there is one user, and everything is his already. Returns the new number of instructions.
 */
size_t filter_add_image(struct sock_filter *filter, size_t len);
