/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The door to executors/: where a job's steps run. An executor opens one Place for a job, starts steps in it
 * one after the other (or a service beside them), and closes it; when it is closed nothing of the job is left.
 * It decides nothing: order, retries and limits of time belong to agent/job/.
 */
#pragma once

#include <glib.h>
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

typedef enum PlaceNetwork {
	PLACE_NETWORK_NONE,     /* one of its own that reaches nothing, not even itself */
	PLACE_NETWORK_LOOPBACK, /* itself */
	PLACE_NETWORK_FULL,     /* and whatever is outside of this machine, or what `allow` names */
	PLACE_NETWORK_HOST,     /* this machine's */
} PlaceNetwork;

/** "none", "loopback", "full" or "host"; false for another word. */
static inline bool place_network_parse(const char *word, PlaceNetwork *out)
{
	static const char *const words[] = {"none", "loopback", "full", "host"};
	for (unsigned i = 0; i < G_N_ELEMENTS(words); i++)
		if (g_strcmp0(word, words[i]) == 0) {
			*out = (PlaceNetwork)i;
			return true;
		}
	return false;
}

/** A folder or file of the host that steps see besides the system's read-only /usr. */
typedef struct PlaceMount {
	const char *source; /* on the host */
	const char *target; /* where steps see it, absolute */
	bool writable;
	const char *below;  /* for `container`: a folder below source that is reached through no link; NULL: source itself */
} PlaceMount;

typedef struct Place Place;

/** The image that is a place's root, for the executor `container`. Borrowed until open() returns, `data` included. */
typedef struct PlaceImage {
	const char *reference;    /* "alpine:3.20", "oci:/folder" */
	const char *made;         /* instead: the key of one that was made here (ImageMaker) */
	const char *username;     /* of the registry; NULL: anonymous */
	const char *password;
	const char *store;        /* folder where unpacked layers are kept, D/images */
	const json_t *settings;   /* docs/formats.md, `images` of a job; NULL: the defaults */
	const char *scratch;      /* a folder, made here and removed at the end, for what the place changes of its root */
	const char *user;         /* "name", "uid", "uid:gid"; NULL: the image's */
	const char *work_below;   /* the part of work_folder that is seen, reached through no link; NULL: all */
	const char *work_inside;  /* where steps see work_folder; likewise below */
	const char *home_inside;
	const char *runner_inside;
	const char *folder;       /* to work in instead of the image's, made where it is missing; NULL: the image's */
	int64_t shm_bytes;        /* of /dev/shm; 0: 64 MiB */
	const char *const *tmpfs; /* folders in memory besides, NULL-terminated; NULL: none */
	bool read_only;           /* nothing of the root can be changed */
	bool one_user;            /* of begin(): its files belong to one id, also where its root could have other users */
	bool keeps_scratch;       /* it lies on the disk, and stays when the place is closed; the caller removes it */
	bool (*stopped)(void *data); /* asked often while the image is brought here; true ends it */
	void (*say)(void *data, const char *text); /* a line for the job's log */
	void *data;
} PlaceImage;

/** What a job may see and use. Borrowed until place open() returns. */
typedef struct PlaceSpec {
	const char *work_folder; /* host folder; steps see it as work_inside (host executor: as itself) */
	const char *home_folder; /* host folder that becomes the steps' home; writable */
	const PlaceMount *mounts;
	size_t mounts_len;
	const char *const *devices; /* character devices of the host below /dev that steps may use, NULL-terminated; NULL: none */
	PlaceNetwork network;
	const char *const *allow; /* what `full` reaches (agent/model/reach.h), NULL-terminated; NULL: everything outside */
	uid_t uid;               /* as root: the host's id that the job runs by; otherwise ignored */
	gid_t gid;
	int64_t memory_bytes;    /* 0: no limit; likewise below */
	int64_t processes;
	int64_t file_bytes;
	int64_t open_files;      /* at once for each process */
	double cpus;
	int64_t read_bytes_s;    /* of the disk that work_folder is on; likewise the next */
	int64_t write_bytes_s;
	bool service;            /* where the place has a network of its own: listen on its loopback for the runner */
	const char *hostname;
	const char *hosts;       /* more lines of /etc/hosts; NULL: none */
	bool shares_network;     /* others will join this place's network */
	const Place *network_of; /* join this one's; it outlives this place. NULL: an own one */
	const PlaceImage *image; /* for `container`; others refuse it */
	const char *resolver;    /* its /etc/resolv.conf; for executors/ alone */
	const struct PlaceRoot *root; /* an image instead of the host's programs (executors/root.h); for executors/ alone */
} PlaceSpec;

/** What a step runs. Borrowed until start() returns. */
typedef struct StepSpec {
	const char *name;
	const char *const *argv; /* argv[0] is looked up in PATH of envp */
	const char *const *envp;
	const char *folder;      /* as steps see it */
	int fds[3];              /* stdin, stdout, stderr; -1 is /dev/null */
	bool service;            /* runs beside the steps after it, and keeps its own orphans from their end */
} StepSpec;

/** How a step ended; cause is one of "exit", "signal", "oom", "limit", "agent". */
typedef struct StepEnd {
	int exit_code; /* -1 when a signal ended it */
	int signal;
	const char *cause;     /* static */
	int64_t cpu_us;        /* user and system time, children included; -1 where unknown */
	int64_t memory_peak_bytes; /* -1 where unknown; likewise below */
	int64_t read_bytes;    /* from block devices; what the page cache had costs nothing */
	int64_t write_bytes;
} StepEnd;

typedef struct Executor Executor;

/** What a place's image says of itself. */
typedef struct PlaceDefaults {
	char *digest;      /* of its manifest */
	char **env;        /* "NAME=value", NULL-terminated; likewise below */
	char **entrypoint;
	char **command;
	char *folder;      /* where its program starts */
	char *home;        /* of its user, by its /etc/passwd */
	bool has_users;    /* files in the job's folders may be other users' of it, and shut to us */
	char *alone;       /* why its root cannot become another user, and what to do; NULL: he can, or is none */
	json_t *health;    /* {"test":[…],"interval_us","timeout_us","start_us","retries"}, or NULL */
} PlaceDefaults;

/** One job's place. An executor embeds it as the first member of its own struct. */
struct Place {
	const Executor *executor;
	char *work_inside;    /* the path by which steps see work_folder */
	int runner_fd;        /* a small folder in memory where runner and steps hand each other files; -1: none */
	char *runner_inside;  /* as steps see it; NULL: none */
	char *home_inside;
	int service_fd;       /* listens on the place's 127.0.0.1, whatever its network; -1: not asked for, or it is the host's */
	char *isolation;      /* "full", "reduced" or "none" */
	GPtrArray *missing;   /* char *: what "reduced" lacks, one sentence each */
	PlaceDefaults *image; /* NULL: it has none */
	void *extra;          /* of an executor that builds on another; freed last */
	void (*extra_free)(void *extra);
};

/** A step under way. `fd` becomes readable when it has ended; finish() must be called once, and closes it. */
typedef struct Child {
	int fd;
	pid_t pid; /* as the executor knows it */
	void *data;
} Child;

/** What is added to an image, and becomes another. Borrowed. */
typedef struct ImageAddition {
	const char *store;
	const json_t *settings; /* as in PlaceImage */
	uid_t uid;              /* as in PlaceSpec: whose layers they are */
	gid_t gid;
	const char *from;       /* the key of the image below */
	const char *key;        /* of the new one: 64 hex digits that stand for all that made it */
	const char *scratch;    /* of a closed place that has kept it: what it changed becomes a layer; NULL: no layer is added */
	const json_t *config;   /* as OCI's "config": {"Env","Entrypoint","Cmd","User","WorkingDir",…} */
} ImageAddition;

/** Images that are made here, layer by layer: kept as pulled ones are, until nobody has used them for long. */
typedef struct ImageMaker {
	/**
	 * Brings an image here as the begin of another; "scratch" is one without a file.
	 *
	 * @out_key      the caller's
	 * @out_config   the caller's; also "Shell" and "OnBuild" where the image has them
	 */
	bool (*begin)(const PlaceImage *image, uid_t uid, gid_t gid, char **out_key, json_t **out_config, GError **error);
	/** Is the image of this key (made, of store and settings) here, and whole? Counts as a use. */
	bool (*find)(const PlaceImage *image, uid_t uid, gid_t gid);
	/** Makes one. It is there as a whole or not at all; of two who make the same at once either may stay. */
	bool (*add)(const ImageAddition *addition, int64_t *out_bytes, GError **error);
	/** Unpacks a tar that somebody else wrote; REMOTE when it is none. */
	bool (*unpack)(int archive_fd, int folder_fd, uid_t uid, gid_t gid, bool (*stopped)(void *data), void *data, GError **error);
	/** Writes a program that copies files within a place (executors/copy.c) to a file of the host. */
	bool (*write_copier)(const char *path, GError **error);
} ImageMaker;

struct Executor {
	const char *name;    /* as in the config's `executors:` */
	const char *summary; /* one line for --help, the web page and the manual */
	/** Can this machine do it? Cheap; called at start and by `assay doctor`. The error says what to change. */
	bool (*probe)(GError **error);
	/**
	 * In a process that waits and whose clones open places: makes ready, or renews, what those can share. Returns a
	 * descriptor that becomes readable when it should be called again, -1 when there is none. NULL: nothing to do.
	 */
	int (*prepare)(void);
	/** At the end of that process: removes from the machine what prepare() made. NULL: nothing is left. */
	void (*retire)(void);
	/**
	 * In that process: removes from the machine what a worker that was killed left behind. False when something of it is
	 * still in use: call again in a while. NULL: nothing is left.
	 */
	bool (*tidy)(pid_t gone);
	/**
	 * Makes a place; false with the reason when the machine cannot give what the spec asks. Never weaker. What is told to the
	 * place's first process may be answered while the caller goes on: then the first start() fails with the reason instead.
	 */
	bool (*open)(const PlaceSpec *spec, Place **out, GError **error);
	bool (*start)(Place *place, const StepSpec *spec, Child *out, GError **error);
	/** Signals every process of the step (and, for SIGKILL, of what it left behind). Safe after its end. */
	void (*signal)(Place *place, Child *child, int signal_number);
	/** After fd became readable: how it ended. Kills what the step left running. */
	bool (*finish)(Place *place, Child *child, StepEnd *out, GError **error);
	/** Ends everything that still runs, unmounts, frees. Accepts NULL. */
	void (*close)(Place *place);
	const ImageMaker *maker; /* NULL: it makes no images */
};

/** NULL-terminated; the rows are in executors/table.c. */
extern const Executor *const executors[];

static inline const Executor *executor_find(const char *name)
{
	for (size_t i = 0; executors[i]; i++)
		if (g_strcmp0(executors[i]->name, name) == 0)
			return executors[i];
	return NULL;
}

/** The room's two verbs, for the roof (executors/doctor.h): `assay doctor` and `assay exec`; the exit status. */
int verb_doctor(int argc, char **argv);
int verb_exec(int argc, char **argv);
/**
 * For an ordinary user's worker: calls in a child of ours that may open, change and remove whatever the users of its places
 * have made, and shut. It has our memory as it is, and our descriptors.
 *
 * @call   in the child; writes out_len bytes to out_fd
 * Returns false when it did not, or when we are root, who needs nobody
 */
bool executor_as_owner(bool (*call)(void *data, int out_fd), void *data, void *out, size_t out_len);
/**
 * For fd_set_remover(): removes a tree with files of other users of an image, whose ids an ordinary user's agent has by
 * /etc/subuid. What fd_remove_tree() has left of it is a stranger's no more.
 */
bool executor_remove_tree(const char *path, GError **error);
/** `remove FOLDER…` of the worker: the same, for the agent, which has no user namespace. */
int remove_main(int argc, char **argv);
/** `lend USER` of the worker: root gives ids to the packaged agent, before it starts. */
int lend_main(int argc, char **argv);
/** The process that unpacks a layer of an image: `unpack` of the worker, which nobody types. */
int image_unpack_main(int argc, char **argv);
