/* SPDX-License-Identifier: Apache-2.0 */
/* The handlers that the rows of routes.c name, by file. */
#pragma once

#include "web/request.h"

#define HANDLER(name) bool name(Request *request, GError **error);

/* hook.c */
HANDLER(hook_post)
/** Stores what is parked, answers it, and forgets; the server calls it before it stops. */
void hook_flush(Face *face);

/* api_runs.c */
HANDLER(api_runs_list)
HANDLER(api_runs_get)
HANDLER(api_runs_cancel)
HANDLER(api_runs_rerun)
HANDLER(api_runs_reports)
HANDLER(api_jobs_get)

/* download.c */
HANDLER(api_artifacts_list)
HANDLER(download_artifact)
HANDLER(download_artifact_by_id)

/* api_gates.c */
HANDLER(api_gates_list)
HANDLER(api_gates_get)
HANDLER(api_gates_verdict)

/* api_data.c, api_models.c */
HANDLER(api_datasets_list)
HANDLER(api_datasets_get)
HANDLER(api_models_list)
HANDLER(api_models_get)

/* api_repos.c */
HANDLER(api_repos_list)
HANDLER(api_repos_get)
HANDLER(api_repos_put)
HANDLER(api_repos_dispatch)
HANDLER(api_repos_workflows)
HANDLER(api_schedules_list)
HANDLER(api_secrets_list)
HANDLER(api_secrets_put)
HANDLER(api_secrets_delete)
HANDLER(api_vars_put)
HANDLER(api_vars_delete)
HANDLER(api_environments_list)
HANDLER(api_environments_put)

/* api_admin.c */
HANDLER(api_users_list)
HANDLER(api_users_put)
HANDLER(api_users_token)
HANDLER(api_users_link)
HANDLER(api_deliveries_list)
HANDLER(api_audit_list)
HANDLER(api_openapi)

/* stream.c */
HANDLER(stream_log)
HANDLER(stream_log_events)
HANDLER(stream_changes)

/* metrics.c, badge.c */
HANDLER(metrics_get)
HANDLER(metrics_health)
HANDLER(metrics_ready)
HANDLER(badge_get)

/* site.c */
HANDLER(site_sign_in)
HANDLER(site_gates)
HANDLER(site_gate)
HANDLER(site_gate_verdict)
HANDLER(site_models)
HANDLER(site_model)
HANDLER(site_model_version)
HANDLER(site_datasets)
HANDLER(site_dataset)
HANDLER(site_audit)
HANDLER(site_admin)

/* site_runs.c */
HANDLER(site_runs)
HANDLER(site_repo)
HANDLER(site_run)
HANDLER(site_run_cancel)
HANDLER(site_run_rerun)
HANDLER(site_workflows)
HANDLER(site_dispatch)
HANDLER(site_job)
