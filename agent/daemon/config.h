/* SPDX-License-Identifier: Apache-2.0 */
/* assay.yml → one checked struct; every key has a default, unknown keys are errors with line and column. */
#pragma once

#include <glib.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "agent/executor.h"

/** A folder or file of the host that jobs see. */
typedef struct ConfigMount {
	char *source;
	char *target;
	bool writable;
	bool forks; /* jobs of forks see it, too, and never write there */
} ConfigMount;

typedef struct Config {
	char *data;            /* data: /var/lib/assay */
	char *listen_address;  /* listen: 127.0.0.1:8080 */
	uint16_t listen_port;  /* 0: the kernel chooses */
	char *socket;          /* socket: /run/assay/assay.sock; NULL: none */
	char *url;             /* url: how people reach it; NULL: from listen */
	char *key_file;        /* key_file: 32 bytes that seal secrets; NULL: systemd credential, else D/key (0600) */
	int jobs;              /* jobs: how many at once; 0: as many as CPUs */
	int64_t body_bytes;    /* limits.body: of a webhook */
	int64_t job_timeout_us;
	int64_t job_memory_bytes;
	int64_t job_processes;
	double job_cpus;        /* 0: no limit; likewise the next two */
	int64_t job_open_files; /* of one process at once */
	int64_t job_file_bytes; /* of one file */
	int64_t job_disk_bytes; /* 0: no limit but what keeps the disk from filling up */
	int64_t job_read_bytes_s; /* from the disk of the data folder; 0: no limit; likewise the next */
	int64_t job_write_bytes_s;
	int64_t log_bytes;
	int64_t gate_expires_us;
	int64_t cache_bytes;   /* caches.size: of one repo; 0: no limit */
	int64_t cache_age_us;  /* caches.unused: what nobody read for so long goes; 0: never */
	int64_t artifact_age_us; /* artifacts.keep: the longest, and what is used when nothing is said; 0: as long as the run */
	char *network;         /* sandbox.network: what jobs of trusted events get: none, loopback, full */
	bool full_is_host;     /* sandbox.full_network: host; otherwise `full` is a network of the job's own with a way out */
	char **allow;          /* sandbox.allow: what `full` reaches then (agent/model/reach.h); NULL: everything outside */
	json_t *repo_allow;    /* sandbox.repos: the list of a repo instead, by its name; never NULL */
	char **executors_allowed; /* executors: names; default: sandbox */
	char *executor_default;
	uid_t job_uid;         /* sandbox.uid: as root, the host id that jobs run by */
	gid_t job_gid;
	ConfigMount *mounts;   /* sandbox.mounts */
	size_t mounts_len;
	char **devices;        /* sandbox.devices: patterns below /dev, for jobs of trusted events; NULL: none */
	char **action_sources; /* actions.sources: patterns with {repo}, in order; none: no actions from elsewhere */
	char **action_fetch;   /* actions.fetch: built-in actions that are fetched instead */
	json_t *images;        /* images: as a job's worker is told (docs/formats.md); never NULL */
	char *log_level;
} Config;

/** Reads a file, or gives the defaults when path is NULL. */
Config *config_load(const char *path, GError **error);
/** "127.0.0.1:8080" or "[::1]:0"; replaces *out_address. */
bool config_parse_listen(const char *text, char **out_address, uint16_t *out_port, GError **error);
void config_free(Config *config);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Config, config_free)
