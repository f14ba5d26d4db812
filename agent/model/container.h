/* SPDX-License-Identifier: Apache-2.0 */
/* What `options`, `ports` and `volumes` of a container say, as `docker create` would read them; pure. */
#pragma once

#include <glib.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

/** The options that are understood; NULL, 0 and false where they are not given. */
typedef struct ContainerOptions {
	char *user;
	char *folder;
	char *entrypoint;
	char *hostname;
	char *health_command;
	int64_t health_interval_us;
	int64_t health_timeout_us;
	int64_t health_start_us;
	int64_t health_retries;
	bool no_health;
	bool read_only;
	double cpus;
	int64_t memory_bytes;
	int64_t shm_bytes;
	int64_t processes;
	int64_t file_bytes;
	int64_t open_files;
	json_t *env;        /* object of strings; never NULL, likewise below */
	GPtrArray *names;   /* char *: more names it is known by */
	GPtrArray *hosts;   /* char *: "address name" */
	GPtrArray *tmpfs;   /* char *: "/folder[:options]" */
	GPtrArray *volumes; /* char *: as in `volumes` */
	GPtrArray *devices; /* char *: paths of devices that it cannot do without, or CONTAINER_GPUS */
} ContainerOptions;
#define CONTAINER_GPUS "gpus"

/** Splits as a shell does; one that is not understood, or cannot be given here, is USER and named. */
bool container_options_parse(const char *text, ContainerOptions *out, GError **error);
void container_options_clear(ContainerOptions *options);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(ContainerOptions, container_options_clear)

/** "8080:80/tcp": the port outside (0: not said) and inside. */
bool container_port_parse(const char *text, int *out_outside, int *out_inside, bool *out_udp, GError **error);

/** "name:/inside:ro", "/outside:/inside", "/inside". */
typedef struct ContainerVolume {
	char *source; /* NULL: one without a name */
	char *target;
	bool read_only;
} ContainerVolume;
bool container_volume_parse(const char *text, ContainerVolume *out, GError **error);
void container_volume_clear(ContainerVolume *volume);
