/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tables. Keys, kinds and contexts follow the published schema of GitHub's own parser (workflow-v1.0.json, MIT) and
 * its documentation; a new key is one line here.
 */
#include "agent/job/schema.h"

#include <stddef.h>

#define END {NULL, NULL, false}
#define LIST(...) ((const char *const[]){__VA_ARGS__, NULL})

/* Contexts, from the fewest to the most. */
#define GLOBAL "github", "inputs", "vars"
#define NEEDS GLOBAL, "needs"
#define STRATEGY NEEDS, "strategy", "matrix"
#define RUNNER STRATEGY, "steps", "job", "runner", "env"

/* Plain values; they inherit the contexts of what they stand in. */

static const Shape anything = {.anything = true};
static const Shape string = {.scalars = SCALAR_STRING};
static const Shape filled = {.scalars = SCALAR_FILLED};
static const Shape boolean = {.scalars = SCALAR_BOOLEAN};
static const Shape number = {.scalars = SCALAR_NUMBER};
static const Shape scalar = {.scalars = SCALAR_STRING | SCALAR_BOOLEAN | SCALAR_NUMBER};
static const Shape filled_list = {.item = &filled};
static const Shape string_list = {.item = &string};
static const Shape filled_or_list = {.scalars = SCALAR_FILLED, .item = &filled};

/* Permissions */

static const Shape level = {.scalars = SCALAR_WORD, .words = LIST("read", "write", "none")};
static const Shape level_read = {.scalars = SCALAR_WORD, .words = LIST("read", "none")};
static const Shape level_write = {.scalars = SCALAR_WORD, .words = LIST("write", "none")};
static const Field permission_fields[] = {{"actions", &level, false}, {"artifact-metadata", &level, false},
        {"attestations", &level, false}, {"checks", &level, false}, {"code-quality", &level, false},
        {"contents", &level, false}, {"copilot-requests", &level_write, false}, {"deployments", &level, false},
        {"discussions", &level, false}, {"drives", &level, false}, {"id-token", &level_write, false},
        {"issues", &level, false}, {"models", &level_read, false}, {"packages", &level, false},
        {"pages", &level, false}, {"pull-requests", &level, false}, {"repository-projects", &level, false},
        {"security-events", &level, false}, {"statuses", &level, false},
        {"vulnerability-alerts", &level_read, false}, END};
static const Shape permissions = {.scalars = SCALAR_WORD,
        .words = LIST("read-all", "write-all"),
        .mapping = true,
        .fields = permission_fields};

/* Concurrency, defaults, environment of the workflow */

static const Shape concurrency_queue = {.scalars = SCALAR_WORD, .words = LIST("single", "max")};
static const Field concurrency_fields[] = {
        {"group", &filled, true}, {"cancel-in-progress", &boolean, false}, {"queue", &concurrency_queue, false}, END};
static const Shape workflow_concurrency = {.scalars = SCALAR_STRING,
        .mapping = true,
        .fields = concurrency_fields,
        .contexts = LIST(GLOBAL)};
static const Shape job_concurrency = {.scalars = SCALAR_FILLED,
        .mapping = true,
        .fields = concurrency_fields,
        .contexts = LIST(STRATEGY)};

static const Field run_fields[] = {{"shell", &filled, false}, {"working-directory", &filled, false}, END};
/* GitHub takes no expressions here and in a step's `shell`; we evaluate them where the step runs. */
static const Shape workflow_shell = {.scalars = SCALAR_FILLED, .contexts = LIST(GLOBAL)};
static const Field workflow_run_fields[] = {
        {"shell", &workflow_shell, false}, {"working-directory", &filled, false}, END};
static const Shape workflow_run_defaults = {.mapping = true, .fields = workflow_run_fields};
static const Shape job_run_defaults = {.mapping = true, .fields = run_fields, .contexts = LIST(STRATEGY, "env")};
static const Field workflow_defaults_fields[] = {{"run", &workflow_run_defaults, false}, END};
static const Field job_defaults_fields[] = {{"run", &job_run_defaults, false}, END};
static const Shape workflow_defaults = {.mapping = true, .fields = workflow_defaults_fields};
static const Shape job_defaults = {.mapping = true, .fields = job_defaults_fields};

static const Shape workflow_env = {.mapping = true, .value = &string, .contexts = LIST(GLOBAL, "secrets")};
static const Shape job_env = {.mapping = true, .value = &string, .contexts = LIST(STRATEGY, "secrets")};
static const Shape run_name = {.scalars = SCALAR_STRING, .contexts = LIST(GLOBAL)};

/* on: events and their filters */

#define FILTERS_BRANCHES {"branches", &filled_or_list, false}, {"branches-ignore", &filled_or_list, false}
#define FILTERS_TAGS {"tags", &filled_or_list, false}, {"tags-ignore", &filled_or_list, false}
#define FILTERS_PATHS {"paths", &filled_or_list, false}, {"paths-ignore", &filled_or_list, false}

/* The activities of events. `types` is one of them, or several. */
#define TYPES(name, ...)                                                                                            \
	static const Shape name##_type = {.scalars = SCALAR_WORD, .words = LIST(__VA_ARGS__)};                    \
	static const Shape name##_types = {                                                                       \
	        .scalars = SCALAR_WORD, .words = LIST(__VA_ARGS__), .item = &name##_type};
TYPES(branch_protection_rule, "created", "edited", "deleted")
TYPES(check_run, "completed", "created", "rerequested", "requested_action")
TYPES(check_suite, "completed")
TYPES(discussion, "created", "edited", "deleted", "transferred", "pinned", "unpinned", "labeled",
        "unlabeled", "locked", "unlocked", "category_changed", "answered", "unanswered")
TYPES(comment, "created", "edited", "deleted")
TYPES(image_version, "created", "ready", "deleted")
TYPES(issues, "opened", "edited", "deleted", "transferred", "pinned", "unpinned", "closed",
        "reopened", "assigned", "unassigned", "labeled", "unlabeled", "locked", "unlocked",
        "milestoned", "demilestoned", "field_added", "field_removed", "typed", "untyped")
TYPES(member, "added", "edited", "deleted", "removed")
TYPES(merge_group, "checks_requested", "destroyed")
TYPES(milestone, "created", "closed", "opened", "edited", "deleted")
TYPES(project, "created", "closed", "reopened", "edited", "deleted")
TYPES(project_card, "created", "moved", "converted", "edited", "deleted")
TYPES(project_column, "created", "updated", "moved", "deleted")
TYPES(pull_request, "assigned", "unassigned", "labeled", "unlabeled", "opened", "edited",
        "closed", "reopened", "synchronize", "converted_to_draft", "locked", "unlocked",
        "enqueued", "dequeued", "milestoned", "demilestoned", "ready_for_review",
        "review_requested", "review_request_removed", "auto_merge_enabled", "auto_merge_disabled",
        "stacked")
TYPES(review, "submitted", "edited", "dismissed")
TYPES(registry_package, "published", "updated")
TYPES(release, "published", "unpublished", "created", "edited", "deleted", "prereleased",
        "released")
TYPES(watch, "started")
TYPES(workflow_run, "requested", "completed", "in_progress")

/* Events that have types and nothing else. */
#define ON_TYPES(name, kind)                                                                                         \
	static const Field name##_fields[] = {{"types", &kind##_types, false}, END};                              \
	static const Shape on_##name = {.scalars = SCALAR_NULL, .mapping = true, .fields = name##_fields};
ON_TYPES(branch_protection_rule, branch_protection_rule)
ON_TYPES(check_run, check_run)
ON_TYPES(check_suite, check_suite)
ON_TYPES(discussion, discussion)
ON_TYPES(comment, comment)
ON_TYPES(issues, issues)
ON_TYPES(member, member)
ON_TYPES(milestone, milestone)
ON_TYPES(project, project)
ON_TYPES(project_card, project_card)
ON_TYPES(project_column, project_column)
ON_TYPES(review, review)
ON_TYPES(registry_package, registry_package)
ON_TYPES(release, release)
ON_TYPES(watch, watch)

static const Field push_fields[] = {FILTERS_BRANCHES, FILTERS_TAGS, FILTERS_PATHS, END};
static const Shape on_push = {.scalars = SCALAR_NULL, .mapping = true, .fields = push_fields};
static const Field pull_request_fields[] = {
        {"types", &pull_request_types, false}, FILTERS_BRANCHES, FILTERS_PATHS, END};
static const Shape on_pull_request = {.scalars = SCALAR_NULL, .mapping = true, .fields = pull_request_fields};
static const Field merge_group_fields[] = {{"types", &merge_group_types, false}, FILTERS_BRANCHES, END};
static const Shape on_merge_group = {.scalars = SCALAR_NULL, .mapping = true, .fields = merge_group_fields};
static const Field on_workflow_run_fields[] = {
        {"types", &workflow_run_types, false}, {"workflows", &filled_or_list, false}, FILTERS_BRANCHES, END};
static const Shape on_workflow_run = {.scalars = SCALAR_NULL, .mapping = true, .fields = on_workflow_run_fields};
static const Field image_version_fields[] = {{"types", &image_version_types, false}, {"names", &filled_or_list, false},
        {"versions", &filled_or_list, false}, END};
static const Shape on_image_version = {.scalars = SCALAR_NULL, .mapping = true, .fields = image_version_fields};
static const Field types_fields[] = {{"types", &filled_or_list, false}, END};
static const Shape on_types = {.scalars = SCALAR_NULL, .mapping = true, .fields = types_fields};
static const Shape on_plain = {.scalars = SCALAR_NULL};
static const Field cron_fields[] = {{"cron", &filled, true}, {"timezone", &filled, false}, END};
static const Shape cron = {.mapping = true, .fields = cron_fields};
static const Shape on_schedule = {.item = &cron};

static const Shape dispatch_type = {
        .scalars = SCALAR_WORD, .words = LIST("string", "boolean", "number", "choice", "environment")};
static const Field dispatch_input_fields[] = {{"description", &string, false}, {"type", &dispatch_type, false},
        {"required", &boolean, false}, {"default", &scalar, false}, {"options", &string_list, false},
        {"deprecationMessage", &string, false}, END};
static const Shape dispatch_input = {.scalars = SCALAR_NULL, .mapping = true, .fields = dispatch_input_fields};
static const Shape dispatch_inputs = {.scalars = SCALAR_NULL, .mapping = true, .value = &dispatch_input};
static const Field dispatch_fields[] = {{"inputs", &dispatch_inputs, false}, END};
static const Shape on_dispatch = {.scalars = SCALAR_NULL, .mapping = true, .fields = dispatch_fields};

static const Shape call_type = {.scalars = SCALAR_WORD, .words = LIST("string", "boolean", "number")};
static const Shape call_default = {
        .scalars = SCALAR_STRING | SCALAR_BOOLEAN | SCALAR_NUMBER, .contexts = LIST(GLOBAL)};
static const Field call_input_fields[] = {{"description", &string, false}, {"type", &call_type, true},
        {"required", &boolean, false}, {"default", &call_default, false}, END};
static const Shape call_input = {.mapping = true, .fields = call_input_fields};
static const Shape call_inputs = {.scalars = SCALAR_NULL, .mapping = true, .value = &call_input};
static const Field call_secret_fields[] = {{"description", &string, false}, {"required", &boolean, false}, END};
static const Shape call_secret = {.scalars = SCALAR_NULL, .mapping = true, .fields = call_secret_fields};
static const Shape call_secrets = {.scalars = SCALAR_NULL, .mapping = true, .value = &call_secret};
static const Shape call_output_value = {.scalars = SCALAR_STRING, .contexts = LIST(GLOBAL, "jobs")};
static const Field call_output_fields[] = {{"description", &string, false}, {"value", &call_output_value, true}, END};
static const Shape call_output = {.mapping = true, .fields = call_output_fields};
static const Shape call_outputs = {.scalars = SCALAR_NULL, .mapping = true, .value = &call_output};
static const Field call_fields[] = {
        {"inputs", &call_inputs, false}, {"secrets", &call_secrets, false}, {"outputs", &call_outputs, false}, END};
static const Shape on_call = {.scalars = SCALAR_NULL, .mapping = true, .fields = call_fields};

#define EVENTS(ROW)                                                                                                 \
	ROW(branch_protection_rule, on_branch_protection_rule) ROW(check_run, on_check_run)                        \
	ROW(check_suite, on_check_suite) ROW(create, on_plain) ROW(delete, on_plain)                               \
	ROW(deployment, on_plain) ROW(deployment_status, on_plain) ROW(discussion, on_discussion)                  \
	ROW(discussion_comment, on_comment) ROW(fork, on_plain) ROW(gollum, on_plain)                              \
	ROW(image_version, on_image_version) ROW(issue_comment, on_comment) ROW(issues, on_issues)                 \
	ROW(label, on_comment) ROW(member, on_member) ROW(merge_group, on_merge_group)                             \
	ROW(milestone, on_milestone) ROW(page_build, on_plain) ROW(project, on_project)                            \
	ROW(project_card, on_project_card) ROW(project_column, on_project_column) ROW(public, on_plain)            \
	ROW(pull_request, on_pull_request) ROW(pull_request_comment, on_comment)                                   \
	ROW(pull_request_review, on_review) ROW(pull_request_review_comment, on_comment)                           \
	ROW(pull_request_target, on_pull_request) ROW(push, on_push)                                               \
	ROW(registry_package, on_registry_package) ROW(release, on_release)                                        \
	ROW(repository_dispatch, on_types) ROW(schedule, on_schedule) ROW(status, on_plain)                        \
	ROW(watch, on_watch) ROW(workflow_call, on_call) ROW(workflow_dispatch, on_dispatch)                       \
	ROW(workflow_run, on_workflow_run)
#define EVENT_FIELD(name, shape) {#name, &shape, false},
#define EVENT_NAME(name, shape) #name,

static const Field event_fields[] = {EVENTS(EVENT_FIELD) END};
static const char *const event_names[] = {EVENTS(EVENT_NAME) NULL};
static const Shape event_name = {.scalars = SCALAR_WORD, .words = event_names};
static const Shape on = {.scalars = SCALAR_WORD,
        .words = event_names,
        .item = &event_name,
        .mapping = true,
        .fields = event_fields,
        .what = "event"};

/* Containers */

static const Shape container_env_value = {.scalars = SCALAR_STRING, .contexts = LIST(RUNNER, "secrets")};
static const Shape container_env = {.mapping = true, .value = &container_env_value};
static const Field credentials_fields[] = {{"username", &filled, false}, {"password", &filled, false}, END};
static const Shape credentials = {
        .mapping = true, .fields = credentials_fields, .contexts = LIST(STRATEGY, "secrets", "env")};
static const Shape container_image = {.scalars = SCALAR_GIVEN};
static const Field container_fields[] = {{"image", &container_image, true}, {"options", &string, false},
        {"env", &container_env, false}, {"ports", &filled_list, false}, {"volumes", &filled_list, false},
        {"credentials", &credentials, false}, END};
static const Field service_fields[] = {{"image", &container_image, true}, {"options", &string, false},
        {"entrypoint", &string, false}, {"command", &string, false}, {"env", &container_env, false},
        {"ports", &filled_list, false}, {"volumes", &filled_list, false}, {"credentials", &credentials, false}, END};
static const Shape container = {.scalars = SCALAR_STRING,
        .mapping = true,
        .fields = container_fields,
        .contexts = LIST(STRATEGY)};
static const Shape service = {.scalars = SCALAR_STRING, .mapping = true, .fields = service_fields};
static const Shape services = {.mapping = true, .value = &service, .contexts = LIST(STRATEGY)};

/* Steps */

#define STEP_CONTEXTS LIST(RUNNER, "secrets")
static const Shape step_if = {.scalars = SCALAR_STRING,
        .condition = true,
        .contexts = LIST(RUNNER),
        .status = true,
        .hash_files = true};
static const Shape step_string = {.scalars = SCALAR_STRING, .contexts = STEP_CONTEXTS, .hash_files = true};
static const Shape step_shell = {.scalars = SCALAR_FILLED, .contexts = STEP_CONTEXTS, .hash_files = true};
static const Shape step_boolean = {.scalars = SCALAR_BOOLEAN, .contexts = STEP_CONTEXTS, .hash_files = true};
static const Shape step_number = {.scalars = SCALAR_NUMBER, .contexts = STEP_CONTEXTS, .hash_files = true};
static const Shape step_map = {
        .mapping = true, .value = &string, .contexts = STEP_CONTEXTS, .hash_files = true};

#define STEP_FIELDS                                                                                                 \
	{"name", &step_string, false}, {"id", &filled, false}, {"if", &step_if, false},                           \
	        {"timeout-minutes", &step_number, false}, {"continue-on-error", &step_boolean, false},            \
	        {"env", &step_map, false}, {"background", &boolean, false}
static const Field run_step_fields[] = {STEP_FIELDS, {"run", &step_string, true},
        {"working-directory", &step_string, false}, {"shell", &step_shell, false}, END};
static const Field uses_step_fields[] = {STEP_FIELDS, {"uses", &filled, true}, {"with", &step_map, false}, END};
static const Shape run_step = {.mapping = true, .fields = run_step_fields};
static const Shape uses_step = {.mapping = true, .fields = uses_step_fields};

/* Steps beside the others: waiting for, ending and grouping those in the background. */
static const Shape nothing_or_boolean = {.scalars = SCALAR_NULL | SCALAR_BOOLEAN};
static const Field wait_fields[] = {{"id", &filled, false}, {"name", &step_string, false},
        {"wait", &filled_or_list, true}, {"continue-on-error", &step_boolean, false}, END};
static const Field wait_all_fields[] = {{"id", &filled, false}, {"name", &step_string, false},
        {"wait-all", &nothing_or_boolean, true}, {"continue-on-error", &step_boolean, false}, END};
static const Field cancel_fields[] = {
        {"id", &filled, false}, {"name", &step_string, false}, {"cancel", &filled, true}, END};
static const Shape wait_step = {.mapping = true, .fields = wait_fields};
static const Shape wait_all_step = {.mapping = true, .fields = wait_all_fields};
static const Shape cancel_step = {.mapping = true, .fields = cancel_fields};

static const Shape *pick_simple_step(const YamlNode *node)
{
	return yaml_get(node, "uses") && !yaml_get(node, "run") ? &uses_step : &run_step;
}

static const Shape simple_step = {.mapping = true, .pick = pick_simple_step};
static const Shape parallel_steps = {.item = &simple_step};
static const Field parallel_fields[] = {{"id", &filled, false}, {"name", &step_string, false},
        {"parallel", &parallel_steps, true}, END};
static const Shape parallel_step = {.mapping = true, .fields = parallel_fields};

static const Shape *pick_step(const YamlNode *node)
{
	if (yaml_get(node, "wait"))
		return &wait_step;
	if (yaml_get(node, "wait-all"))
		return &wait_all_step;
	if (yaml_get(node, "cancel"))
		return &cancel_step;
	if (yaml_get(node, "parallel"))
		return &parallel_step;
	return pick_simple_step(node);
}

static const Shape step = {.mapping = true, .pick = pick_step};
static const Shape steps = {.item = &step};

/* Jobs */

static const Shape job_if = {.scalars = SCALAR_STRING,
        .condition = true,
        .contexts = LIST(NEEDS),
        .status = true,
        .status_arguments = true};
static const Shape strategy_string = {.scalars = SCALAR_STRING, .contexts = LIST(STRATEGY)};
static const Shape strategy_number = {.scalars = SCALAR_NUMBER, .contexts = LIST(STRATEGY)};
static const Shape strategy_boolean = {.scalars = SCALAR_BOOLEAN, .contexts = LIST(STRATEGY)};
static const Shape matrix_item = {.mapping = true, .value = &anything};
static const Shape matrix_filter = {.item = &matrix_item};
static const Shape vector = {.item = &anything};
static const Field matrix_fields[] = {{"include", &matrix_filter, false}, {"exclude", &matrix_filter, false}, END};
static const Shape matrix = {.mapping = true, .fields = matrix_fields, .value = &vector};
static const Field strategy_fields[] = {
        {"fail-fast", &boolean, false}, {"max-parallel", &number, false}, {"matrix", &matrix, false}, END};
static const Shape strategy = {.mapping = true, .fields = strategy_fields, .contexts = LIST(NEEDS)};

static const Field runs_on_fields[] = {{"group", &filled, false}, {"labels", &filled_or_list, false}, END};
static const Shape runs_on = {.scalars = SCALAR_FILLED,
        .item = &filled,
        .mapping = true,
        .fields = runs_on_fields,
        .contexts = LIST(STRATEGY)};

static const Shape environment_url = {.scalars = SCALAR_STRING, .contexts = LIST(RUNNER)};
static const Field environment_fields[] = {
        {"name", &string, true}, {"url", &environment_url, false}, {"deployment", &boolean, false}, END};
static const Shape environment = {.scalars = SCALAR_STRING,
        .mapping = true,
        .fields = environment_fields,
        .contexts = LIST(STRATEGY)};
static const Shape output_value = {.scalars = SCALAR_STRING, .contexts = LIST(RUNNER, "secrets")};
static const Shape outputs = {.mapping = true, .value = &output_value};

static const Shape snapshot_if = {.scalars = SCALAR_STRING,
        .condition = true,
        .contexts = LIST(RUNNER),
        .status = true,
        .hash_files = true};
static const Field snapshot_fields[] = {
        {"image-name", &filled, true}, {"if", &snapshot_if, false}, {"version", &filled, false}, END};
static const Shape snapshot = {.scalars = SCALAR_FILLED,
        .mapping = true,
        .fields = snapshot_fields,
        .contexts = LIST(STRATEGY)};

static const Field job_fields[] = {{"needs", &filled_or_list, false}, {"if", &job_if, false},
        {"strategy", &strategy, false}, {"name", &strategy_string, false}, {"runs-on", &runs_on, true},
        {"timeout-minutes", &strategy_number, false}, {"cancel-timeout-minutes", &strategy_number, false},
        {"continue-on-error", &strategy_boolean, false}, {"container", &container, false},
        {"services", &services, false}, {"env", &job_env, false}, {"environment", &environment, false},
        {"permissions", &permissions, false}, {"concurrency", &job_concurrency, false},
        {"outputs", &outputs, false}, {"defaults", &job_defaults, false}, {"steps", &steps, false},
        {"snapshot", &snapshot, false}, END};
static const Shape plain_job = {.mapping = true, .fields = job_fields};

static const Shape call_with = {.mapping = true, .value = &scalar, .contexts = LIST(STRATEGY)};
static const Shape call_with_secrets = {.scalars = SCALAR_WORD,
        .words = LIST("inherit"),
        .mapping = true,
        .value = &scalar,
        .contexts = LIST(STRATEGY, "secrets")};
static const Field call_job_fields[] = {{"name", &strategy_string, false}, {"uses", &filled, true},
        {"with", &call_with, false}, {"secrets", &call_with_secrets, false}, {"needs", &filled_or_list, false},
        {"if", &job_if, false}, {"permissions", &permissions, false}, {"concurrency", &job_concurrency, false},
        {"strategy", &strategy, false}, END};
static const Shape call_job = {.mapping = true, .fields = call_job_fields};

static const Shape *pick_job(const YamlNode *node)
{
	return yaml_get(node, "uses") ? &call_job : &plain_job;
}

static const Shape job = {.mapping = true, .pick = pick_job};
static const Shape jobs = {.mapping = true, .value = &job, .what = "job"};

static const Field workflow_fields[] = {{"on", &on, true}, {"name", &string, false}, {"description", &string, false},
        {"run-name", &run_name, false}, {"defaults", &workflow_defaults, false}, {"env", &workflow_env, false},
        {"permissions", &permissions, false}, {"concurrency", &workflow_concurrency, false},
        {"jobs", &jobs, true}, END};
const Shape schema_workflow = {.mapping = true, .fields = workflow_fields};

