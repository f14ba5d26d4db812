/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libgit2 brings fifteen libraries along, and every clone of a process that has them pays for their eighty mappings at its birth and at
 * its end: a twentieth of a small job. So it is loaded where it is needed. Its calls without their "git_", and then each
 * under its own name, so that code which calls them reads as ever.
 */
#pragma once

#include <git2.h>

#define GIT_CALLS(C)                                                                                         \
	C(attr_get_ext) C(attr_value) C(blob_free) C(blob_lookup) C(blob_rawcontent) C(blob_rawsize)         \
	C(buf_dispose) C(commit_author) C(commit_free) C(commit_id) C(commit_lookup) C(commit_parent)        \
	C(commit_parentcount) C(commit_summary) C(commit_tree) C(config_free) C(config_set_bool)             \
	C(config_set_string) C(credential_ssh_key_from_agent) C(credential_ssh_key_memory_new)               \
	C(credential_username_new) C(credential_userpass_plaintext_new) C(diff_free) C(diff_get_delta)       \
	C(diff_num_deltas) C(diff_options_init) C(diff_tree_to_tree) C(error_last)                           \
	C(fetch_options_init) C(filter_list_apply_to_blob) C(filter_list_free) C(filter_list_load_ext)       \
	C(graph_reachable_from_any) C(index_add) C(index_free) C(index_open) C(index_write)                  \
	C(libgit2_init) C(libgit2_opts) C(merge_base) C(object_free) C(object_id) C(object_lookup)           \
	C(object_peel) C(odb_free) C(odb_refresh) C(oid_equal) C(oid_fromstr) C(oid_is_zero)                 \
	C(oid_tostr) C(oid_tostr_s) C(packbuilder_free) C(packbuilder_insert_commit)                         \
	C(packbuilder_insert_recur) C(packbuilder_insert_walk) C(packbuilder_new)                            \
	C(packbuilder_set_threads) C(packbuilder_write) C(reference_create) C(reference_dwim)                \
	C(reference_foreach) C(reference_free) C(reference_is_valid_name) C(reference_iterator_free)         \
	C(reference_iterator_new) C(reference_name) C(reference_name_to_id) C(reference_next)                \
	C(reference_target) C(remote_connect) C(remote_create) C(remote_create_anonymous)                    \
	C(remote_create_detached) C(remote_default_branch) C(remote_disconnect) C(remote_fetch)              \
	C(remote_free) C(remote_ls) C(repository_config) C(repository_free) C(repository_head)               \
	C(repository_init) C(repository_odb) C(repository_open) C(repository_open_bare)                      \
	C(repository_set_head) C(repository_set_head_detached) C(revwalk_free) C(revwalk_hide)               \
	C(revwalk_new) C(revwalk_next) C(revwalk_push) C(revwalk_push_glob) C(revwalk_sorting)               \
	C(tree_entry_byindex) C(tree_entry_byname) C(tree_entry_bypath) C(tree_entry_filemode)               \
	C(tree_entry_free) C(tree_entry_id) C(tree_entry_name) C(tree_entry_type) C(tree_entrycount)         \
	C(tree_free) C(tree_lookup) C(tree_walk)

#define GIT_FIELD(name) __typeof__(&git_##name) name;
/* Filled in by git_begin(). */
extern struct GitCalls {
	GIT_CALLS(GIT_FIELD)
} git_calls;
#undef GIT_FIELD

#define git_attr_get_ext (git_calls.attr_get_ext)
#define git_attr_value (git_calls.attr_value)
#define git_blob_free (git_calls.blob_free)
#define git_blob_lookup (git_calls.blob_lookup)
#define git_blob_rawcontent (git_calls.blob_rawcontent)
#define git_blob_rawsize (git_calls.blob_rawsize)
#define git_buf_dispose (git_calls.buf_dispose)
#define git_commit_author (git_calls.commit_author)
#define git_commit_free (git_calls.commit_free)
#define git_commit_id (git_calls.commit_id)
#define git_commit_lookup (git_calls.commit_lookup)
#define git_commit_parent (git_calls.commit_parent)
#define git_commit_parentcount (git_calls.commit_parentcount)
#define git_commit_summary (git_calls.commit_summary)
#define git_commit_tree (git_calls.commit_tree)
#define git_config_free (git_calls.config_free)
#define git_config_set_bool (git_calls.config_set_bool)
#define git_config_set_string (git_calls.config_set_string)
#define git_credential_ssh_key_from_agent (git_calls.credential_ssh_key_from_agent)
#define git_credential_ssh_key_memory_new (git_calls.credential_ssh_key_memory_new)
#define git_credential_username_new (git_calls.credential_username_new)
#define git_credential_userpass_plaintext_new (git_calls.credential_userpass_plaintext_new)
#define git_diff_free (git_calls.diff_free)
#define git_diff_get_delta (git_calls.diff_get_delta)
#define git_diff_num_deltas (git_calls.diff_num_deltas)
#define git_diff_options_init (git_calls.diff_options_init)
#define git_diff_tree_to_tree (git_calls.diff_tree_to_tree)
#define git_error_last (git_calls.error_last)
#define git_fetch_options_init (git_calls.fetch_options_init)
#define git_filter_list_apply_to_blob (git_calls.filter_list_apply_to_blob)
#define git_filter_list_free (git_calls.filter_list_free)
#define git_filter_list_load_ext (git_calls.filter_list_load_ext)
#define git_graph_reachable_from_any (git_calls.graph_reachable_from_any)
#define git_index_add (git_calls.index_add)
#define git_index_free (git_calls.index_free)
#define git_index_open (git_calls.index_open)
#define git_index_write (git_calls.index_write)
#define git_libgit2_init (git_calls.libgit2_init)
#define git_libgit2_opts (git_calls.libgit2_opts)
#define git_merge_base (git_calls.merge_base)
#define git_object_free (git_calls.object_free)
#define git_object_id (git_calls.object_id)
#define git_object_lookup (git_calls.object_lookup)
#define git_object_peel (git_calls.object_peel)
#define git_odb_free (git_calls.odb_free)
#define git_odb_refresh (git_calls.odb_refresh)
#define git_oid_equal (git_calls.oid_equal)
#define git_oid_fromstr (git_calls.oid_fromstr)
#define git_oid_is_zero (git_calls.oid_is_zero)
#define git_oid_tostr (git_calls.oid_tostr)
#define git_oid_tostr_s (git_calls.oid_tostr_s)
#define git_packbuilder_free (git_calls.packbuilder_free)
#define git_packbuilder_insert_commit (git_calls.packbuilder_insert_commit)
#define git_packbuilder_insert_recur (git_calls.packbuilder_insert_recur)
#define git_packbuilder_insert_walk (git_calls.packbuilder_insert_walk)
#define git_packbuilder_new (git_calls.packbuilder_new)
#define git_packbuilder_set_threads (git_calls.packbuilder_set_threads)
#define git_packbuilder_write (git_calls.packbuilder_write)
#define git_reference_create (git_calls.reference_create)
#define git_reference_dwim (git_calls.reference_dwim)
#define git_reference_foreach (git_calls.reference_foreach)
#define git_reference_free (git_calls.reference_free)
#define git_reference_is_valid_name (git_calls.reference_is_valid_name)
#define git_reference_iterator_free (git_calls.reference_iterator_free)
#define git_reference_iterator_new (git_calls.reference_iterator_new)
#define git_reference_name (git_calls.reference_name)
#define git_reference_name_to_id (git_calls.reference_name_to_id)
#define git_reference_next (git_calls.reference_next)
#define git_reference_target (git_calls.reference_target)
#define git_remote_connect (git_calls.remote_connect)
#define git_remote_create (git_calls.remote_create)
#define git_remote_create_anonymous (git_calls.remote_create_anonymous)
#define git_remote_create_detached (git_calls.remote_create_detached)
#define git_remote_default_branch (git_calls.remote_default_branch)
#define git_remote_disconnect (git_calls.remote_disconnect)
#define git_remote_fetch (git_calls.remote_fetch)
#define git_remote_free (git_calls.remote_free)
#define git_remote_ls (git_calls.remote_ls)
#define git_repository_config (git_calls.repository_config)
#define git_repository_free (git_calls.repository_free)
#define git_repository_head (git_calls.repository_head)
#define git_repository_init (git_calls.repository_init)
#define git_repository_odb (git_calls.repository_odb)
#define git_repository_open (git_calls.repository_open)
#define git_repository_open_bare (git_calls.repository_open_bare)
#define git_repository_set_head (git_calls.repository_set_head)
#define git_repository_set_head_detached (git_calls.repository_set_head_detached)
#define git_revwalk_free (git_calls.revwalk_free)
#define git_revwalk_hide (git_calls.revwalk_hide)
#define git_revwalk_new (git_calls.revwalk_new)
#define git_revwalk_next (git_calls.revwalk_next)
#define git_revwalk_push (git_calls.revwalk_push)
#define git_revwalk_push_glob (git_calls.revwalk_push_glob)
#define git_revwalk_sorting (git_calls.revwalk_sorting)
#define git_tree_entry_byindex (git_calls.tree_entry_byindex)
#define git_tree_entry_byname (git_calls.tree_entry_byname)
#define git_tree_entry_bypath (git_calls.tree_entry_bypath)
#define git_tree_entry_filemode (git_calls.tree_entry_filemode)
#define git_tree_entry_free (git_calls.tree_entry_free)
#define git_tree_entry_id (git_calls.tree_entry_id)
#define git_tree_entry_name (git_calls.tree_entry_name)
#define git_tree_entry_type (git_calls.tree_entry_type)
#define git_tree_entrycount (git_calls.tree_entrycount)
#define git_tree_free (git_calls.tree_free)
#define git_tree_lookup (git_calls.tree_lookup)
#define git_tree_walk (git_calls.tree_walk)
