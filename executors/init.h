/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the worker and the first process of a place (init.c) say to each other: packets over a SOCK_SEQPACKET pair.
 * Both are built together and run on one machine, so these are plain structs. No libc here: init.c has none.
 */
#pragma once

#include <stdint.h>

#define INIT_CONTROL_FD 3     /* where init finds its end of the pair */
#define INIT_PACKET_MAX 65536 /* a longer payload comes as a memory file, one descriptor more */
#define INIT_STEPS_MAX 64     /* steps and services under way at once */
#define INIT_FILTER_MAX 1024  /* instructions */

typedef enum InitKind { INIT_SETUP = 1, INIT_START, INIT_SIGNAL, INIT_POOL, INIT_WAYOUT } InitKind;

/** The first packet, once; behind it `filter_len` BPF instructions of eight bytes. Answered by InitReply. */
typedef struct InitSetup {
	uint32_t kind;
	uint32_t confine;   /* 0: only the supervisor of a host place, nothing below applies */
	uint32_t become;    /* become these ids of the outer user namespace first (the agent is root) */
	uint32_t outer_uid, outer_gid;
	uint32_t inner_uid, inner_gid;
	uint32_t besides;   /* ids 1 … besides of the place, which are those from these on outside; 0: it has one alone */
	uint32_t besides_uid, besides_gid;
	uint32_t together;  /* processes of all of them are counted together */
	uint32_t scope;     /* Landlock: no abstract sockets and signals beyond the place */
	uint32_t landlock;  /* its ABI, 2 or newer: no file that is not beneath the place's root; 0: not at all */
	uint32_t filter_len;
	uint64_t processes; /* limits; 0 is none */
	uint64_t file_bytes;
	uint64_t data_bytes;
	uint64_t open_files;
} InitSetup;

/**
 * Starts a step. Descriptors with it: stdin, stdout, stderr, the pipe for InitReport, and a memory file when
 * `in_file`. The payload is strings, each ended by NUL: the folder, then candidates, arguments, environment.
 */
typedef struct InitStart {
	uint32_t kind;
	uint32_t service; /* it adopts its own orphans and outlives other steps */
	uint32_t candidates, arguments, environment;
	uint32_t in_file;
	uint64_t payload_bytes;
} InitStart;

typedef struct InitSignal {
	uint32_t kind;
	int32_t pid;
	int32_t signal;
} InitSignal;

/** The first packet of one that shall have no place but make network namespaces (init_pool.h). Answered by InitReply. */
typedef struct InitPool {
	uint32_t kind;
	uint32_t enter; /* a user namespace's descriptor comes along: make them there */
} InitPool;

/**
 * The first packet of one that makes a network namespace and then becomes the program that is its way out
 * (init_wayout.h). Behind it strings, each ended by NUL: the program's path, then its arguments.
 */
typedef struct InitWayOut {
	uint32_t kind;
	uint32_t worker;    /* whose child it must be: nobody else would end it */
	uint32_t make_tun;  /* a /dev/net/tun of its own, which everybody may open (the agent is root) */
	uint32_t become;    /* these ids of the outer user namespace first */
	uint32_t outer_uid, outer_gid;
	uint32_t enter;     /* a user namespace's descriptor comes along: go there first */
	uint32_t strings;
	uint32_t strings_bytes;
} InitWayOut;

/** What failed, for the worker's message. */
typedef enum InitStage {
	INIT_STAGE_NONE,
	INIT_STAGE_IDS,
	INIT_STAGE_USER_NAMESPACE,
	INIT_STAGE_ID_MAP,
	INIT_STAGE_LIMITS,
	INIT_STAGE_CAPABILITIES,
	INIT_STAGE_FILTER,
	INIT_STAGE_SCOPE,
	INIT_STAGE_NETWORK,
	INIT_STAGE_TUN,
	INIT_STAGE_PACKET,
	INIT_STAGE_PROCESS,
	INIT_STAGE_FOLDER,
	INIT_STAGE_PROGRAM,
} InitStage;

typedef struct InitReply {
	int32_t pid;   /* of the step, in init's pid namespace */
	int32_t error; /* errno, 0 when it is done */
	int32_t stage;
} InitReply;

/** One step's end, written to its pipe once everything it started is dead. */
typedef struct InitReport {
	int32_t status; /* as wait4(2) gives it */
	int32_t living; /* processes that do not end, even by SIGKILL */
	int64_t cpu_us;
	int64_t memory_peak_bytes; /* of its largest process */
	int64_t read_blocks, write_blocks; /* of 512 bytes, of block devices */
} InitReport;
