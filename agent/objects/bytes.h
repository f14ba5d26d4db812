/* SPDX-License-Identifier: Apache-2.0 */
/* What pack.c and pack_writer.c share, and numbers in the store's byte order: little endian, whatever the machine. */
#pragma once

#include <glib.h>
#include <stdint.h>
#include <string.h>

#include "agent/objects/pack.h"

#define PACK_VERSION 1
#define PACK_SHA256 1 /* the algorithm byte; another one can come later */

static inline void put16(uint8_t *to, uint16_t number)
{
	number = GUINT16_TO_LE(number);
	memcpy(to, &number, sizeof number);
}

static inline void put32(uint8_t *to, uint32_t number)
{
	number = GUINT32_TO_LE(number);
	memcpy(to, &number, sizeof number);
}

static inline void put64(uint8_t *to, uint64_t number)
{
	number = GUINT64_TO_LE(number);
	memcpy(to, &number, sizeof number);
}

static inline uint16_t get16(const uint8_t *from)
{
	uint16_t number;
	memcpy(&number, from, sizeof number);
	return GUINT16_FROM_LE(number);
}

static inline uint32_t get32(const uint8_t *from)
{
	uint32_t number;
	memcpy(&number, from, sizeof number);
	return GUINT32_FROM_LE(number);
}

static inline uint64_t get64(const uint8_t *from)
{
	uint64_t number;
	memcpy(&number, from, sizeof number);
	return GUINT64_FROM_LE(number);
}

void pack_write_header(uint8_t header[PACK_HEADER_BYTES]);
void pack_write_entry(const PackEntry *entry, uint8_t *to);
/** Out: the trailer, and the hash of header and entries, which names the pack. */
void pack_write_trailer(const uint8_t *header, const uint8_t *entries, uint32_t count,
        uint8_t trailer[PACK_TRAILER_BYTES], uint8_t hash[HASH_BYTES]);
/** pread() of exactly len bytes. */
bool pack_read_at(int fd, void *to, size_t len, uint64_t offset, GError **error);
