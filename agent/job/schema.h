/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The shape of a workflow file as tables: which keys, which kinds of values, and which contexts an expression may name
 * where. Read by check.c; what a table cannot say (ids, needs, cycles) is in reader.c.
 */
#pragma once

#include <stdbool.h>

#include "agent/base/yaml.h"

enum {
	SCALAR_NULL = 1,
	SCALAR_BOOLEAN = 2,
	SCALAR_NUMBER = 4,
	SCALAR_STRING = 8, /* any scalar: a number or boolean becomes its text */
	SCALAR_FILLED = 16, /* a string that is not empty */
	SCALAR_WORD = 32,   /* one of `words` */
	SCALAR_GIVEN = 64,  /* any scalar but null */
};

typedef struct Shape Shape;

typedef struct Field {
	const char *name; /* NULL ends a table */
	const Shape *shape;
	bool required;
} Field;

struct Shape {
	unsigned scalars;
	const char *const *words;
	const Shape *item;   /* sequences are allowed, and this is one of their items */
	bool mapping;        /* mappings are allowed */
	const Field *fields; /* their known keys */
	const Shape *value;  /* the value of any other key; NULL: other keys are mistakes */
	const char *what;    /* what other keys are called: "an event" */

	/* Expressions: the contexts they may name; NULL inherits those of the shape around, none at the root. */
	const char *const *contexts;
	bool status;     /* success(), failure() and so on may be called */
	bool status_arguments; /* success() and failure() may name jobs */
	bool hash_files; /* and hashFiles() */
	bool condition;  /* an `if`: an expression also without ${{ }} */
	bool anything;   /* any value; only its expressions are looked at */
	/** Chooses the shape that a value is to be checked with, by what is in it. */
	const Shape *(*pick)(const YamlNode *node);
};

extern const Shape schema_workflow;
extern const Shape schema_action;
