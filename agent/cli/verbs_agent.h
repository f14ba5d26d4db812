/* SPDX-License-Identifier: Apache-2.0 */
/* The functions behind the verbs that ask the agent; each gives the exit status. argv[0] is the last word of the verb. */
#pragma once

int verb_runs_list(int argc, char **argv);
int verb_runs_show(int argc, char **argv);
int verb_runs_log(int argc, char **argv);
int verb_runs_cancel(int argc, char **argv);
int verb_runs_download(int argc, char **argv);
int verb_runs_rerun(int argc, char **argv);
int verb_runs_schedule(int argc, char **argv);
int verb_runs_dispatch(int argc, char **argv);

int verb_gate_list(int argc, char **argv);
int verb_gate_show(int argc, char **argv);
int verb_gate_approve(int argc, char **argv);
int verb_gate_reject(int argc, char **argv);

int verb_model_list(int argc, char **argv);
int verb_model_show(int argc, char **argv);
int verb_data_list(int argc, char **argv);
int verb_data_show(int argc, char **argv);

int verb_repo_add(int argc, char **argv);
int verb_repo_list(int argc, char **argv);
int verb_env_set(int argc, char **argv);
int verb_env_list(int argc, char **argv);
int verb_user_add(int argc, char **argv);
int verb_user_list(int argc, char **argv);
int verb_user_link(int argc, char **argv);
int verb_token_create(int argc, char **argv);
int verb_secret_set(int argc, char **argv);
int verb_secret_list(int argc, char **argv);
int verb_var_set(int argc, char **argv);
int verb_audit_list(int argc, char **argv);
