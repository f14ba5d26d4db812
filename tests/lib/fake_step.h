/* SPDX-License-Identifier: Apache-2.0 */
/* A workplace for one built-in step: a temporary workspace and store, asks answered from a table, commands scripted. */
#pragma once

#include "agent/mlstep.h"

typedef struct FakeStep FakeStep;
struct FakeStep {
	MlContext context;
	char *folder;     /* temporary; removed at the end */
	char *workspace;
	char *store;
	json_t *answers;  /* what → result, or {"error":type,"message":…} */
	json_t *asked;    /* [{"what","with"}] */
	json_t *reports;
	json_t *commands; /* [{"script","env":[…],"time_us","memory_bytes"}] */
	GString *log;
	MlEnd ends[8];    /* how the commands end, one after the other; then all end well */
	size_t ends_len;
	/** Called for each command, to write what it would write. */
	void (*on_command)(FakeStep *fake, size_t number);
};

FakeStep *fake_step_new(void);
void fake_step_free(FakeStep *fake);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(FakeStep, fake_step_free)

void fake_step_input(FakeStep *fake, const char *name, const char *value);
/** Writes a file of the workspace, with its folders. */
void fake_step_write(FakeStep *fake, const char *path, const char *text);
/** A file of the workspace; the caller's, NULL when it is not there. */
char *fake_step_read(FakeStep *fake, const char *path);
/** Answers an ask with this JSON text; {"error":"absent","message":"…"} refuses it. */
void fake_step_answer(FakeStep *fake, const char *what, const char *json);
/** What was asked with, the last time; borrowed, NULL when it never was. */
json_t *fake_step_asked(FakeStep *fake, const char *what);
/** Runs a step as the workplace does: outputs empty, fallbacks filled in. */
bool fake_step_run(FakeStep *fake, const MlStep *step, GError **error);
const char *fake_step_output(FakeStep *fake, const char *name);
