/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The shape of action.yml, after the published schema of GitHub's runner (action_yaml.json, MIT): three kinds of `runs`,
 * chosen by `using`. Keys at the top and of inputs that the schema does not know are let through, as there.
 */
#include <stddef.h>

#include "agent/job/schema.h"

#define END {NULL, NULL, false}
#define LIST(...) ((const char *const[]){__VA_ARGS__, NULL})
#define FEW "github", "strategy", "matrix", "job", "runner"
#define INNER FEW, "inputs", "steps", "env"

static const Shape anything = {.anything = true};
static const Shape string = {.scalars = SCALAR_STRING};
static const Shape filled = {.scalars = SCALAR_FILLED};

/* Inputs and outputs */

static const Shape input_default = {.scalars = SCALAR_STRING, .contexts = LIST(FEW), .hash_files = true};
static const Field input_fields[] = {{"default", &input_default, false}, {"description", &string, false},
        {"deprecationMessage", &string, false}, END};
static const Shape input = {.scalars = SCALAR_NULL, .mapping = true, .fields = input_fields, .value = &anything};
static const Shape inputs = {.scalars = SCALAR_NULL, .mapping = true, .value = &input};
static const Shape output_value = {.scalars = SCALAR_STRING, .contexts = LIST(INNER)};
static const Field output_fields[] = {{"value", &output_value, false}, {"description", &string, false}, END};
static const Shape output = {.scalars = SCALAR_NULL, .mapping = true, .fields = output_fields, .value = &anything};
static const Shape outputs = {.scalars = SCALAR_NULL, .mapping = true, .value = &output};

/* Conditions of what runs before and after */

static const Shape around_if = {.scalars = SCALAR_STRING,
        .condition = true,
        .contexts = LIST(INNER),
        .status = true,
        .hash_files = true};

/* runs.using: node20 and its like */

static const Field node_fields[] = {{"using", &filled, true}, {"main", &filled, true}, {"pre", &filled, false},
        {"pre-if", &around_if, false}, {"post", &filled, false}, {"post-if", &around_if, false}, END};
static const Shape node_runs = {.mapping = true, .fields = node_fields};

/* runs.using: docker */

static const Shape docker_text = {.scalars = SCALAR_STRING, .contexts = LIST("inputs")};
static const Shape docker_args = {.item = &docker_text};
static const Shape docker_env = {.scalars = SCALAR_NULL, .mapping = true, .value = &docker_text};
static const Field docker_fields[] = {{"using", &filled, true}, {"image", &filled, true}, {"entrypoint", &filled, false},
        {"args", &docker_args, false}, {"env", &docker_env, false}, {"pre-entrypoint", &filled, false},
        {"pre-if", &around_if, false}, {"post-entrypoint", &filled, false}, {"post-if", &around_if, false}, END};
static const Shape docker_runs = {.mapping = true, .fields = docker_fields};

/* runs.using: composite */

static const Shape step_if = {.scalars = SCALAR_STRING,
        .condition = true,
        .contexts = LIST(INNER),
        .status = true,
        .hash_files = true};
static const Shape step_string = {.scalars = SCALAR_STRING, .contexts = LIST(INNER), .hash_files = true};
static const Shape step_boolean = {.scalars = SCALAR_BOOLEAN, .contexts = LIST(INNER), .hash_files = true};
static const Shape step_map = {.mapping = true, .value = &string, .contexts = LIST(INNER), .hash_files = true};

#define STEP_FIELDS                                                                                                 \
	{"name", &step_string, false}, {"id", &filled, false}, {"if", &step_if, false},                           \
	        {"continue-on-error", &step_boolean, false}, {"env", &step_map, false}
static const Field run_step_fields[] = {STEP_FIELDS, {"run", &step_string, true}, {"shell", &step_string, true},
        {"working-directory", &step_string, false}, END};
static const Field uses_step_fields[] = {STEP_FIELDS, {"uses", &filled, true}, {"with", &step_map, false}, END};
static const Shape run_step = {.mapping = true, .fields = run_step_fields};
static const Shape uses_step = {.mapping = true, .fields = uses_step_fields};

static const Shape *pick_step(const YamlNode *node)
{
	return yaml_get(node, "uses") && !yaml_get(node, "run") ? &uses_step : &run_step;
}

static const Shape step = {.mapping = true, .pick = pick_step};
static const Shape steps = {.item = &step};
static const Field composite_fields[] = {{"using", &filled, true}, {"steps", &steps, true}, END};
static const Shape composite_runs = {.mapping = true, .fields = composite_fields};

static const Shape *pick_runs(const YamlNode *node)
{
	const YamlNode *using = yaml_get(node, "using");
	if (using && using->text && g_ascii_strcasecmp(using->text, "docker") == 0)
		return &docker_runs;
	return using && using->text && g_ascii_strncasecmp(using->text, "node", 4) == 0 ? &node_runs : &composite_runs;
}

static const Shape runs = {.mapping = true, .pick = pick_runs};
static const Field action_fields[] = {{"name", &string, false}, {"description", &string, false}, {"inputs", &inputs, false},
        {"outputs", &outputs, false}, {"runs", &runs, true}, END};
const Shape schema_action = {.mapping = true, .fields = action_fields, .value = &anything};
