/* SPDX-License-Identifier: Apache-2.0 */
/* A walk of the mirror by libgit2. What is not known is left out rather than guessed: the page then says so. */
#include "agent/job/history.h"

#include "agent/base/autoptr.h"
#include "agent/base/json.h"
#include "agent/job/git.h"
#include "agent/job/mirror.h"

G_DEFINE_AUTOPTR_CLEANUP_FUNC(git_revwalk, git_revwalk_free)

static json_t *commit_object(git_repository *repo, const git_oid *id)
{
	g_autoptr(git_commit) commit = NULL;
	if (git_commit_lookup(&commit, repo, id) < 0)
		return NULL;
	char sha[GIT_OID_HEXSZ + 1];
	git_oid_tostr(sha, sizeof sha, id);
	const git_signature *author = git_commit_author(commit);
	json_t *object = json_object();
	json_set_string(object, "sha", sha);
	json_set_string(object, "title", git_commit_summary(commit));
	json_set_string(object, "author", author ? author->name : NULL);
	return object;
}

static json_t *between(git_repository *repo, const char *older, const git_oid *newest)
{
	git_oid hidden, id;
	g_autoptr(git_revwalk) walk = NULL;
	if (git_oid_fromstr(&hidden, older) < 0 || git_revwalk_new(&walk, repo) < 0 ||
	        git_revwalk_sorting(walk, GIT_SORT_TOPOLOGICAL | GIT_SORT_TIME) < 0 || git_revwalk_push(walk, newest) < 0 ||
	        git_revwalk_hide(walk, &hidden) < 0)
		return NULL;
	json_t *commits = json_array();
	while (json_array_size(commits) < HISTORY_COMMITS_MAX && git_revwalk_next(&id, walk) == 0) {
		json_t *commit = commit_object(repo, &id);
		if (commit)
			json_array_append_new(commits, commit);
	}
	return commits;
}

json_t *history_since(Task *task, const json_t *since, const char *sha)
{
	json_t *found = json_object();
	git_oid newest;
	g_autoptr(git_repository) repo = json_array_size(since) > 0 && sha && sha[0]
	        ? mirror_open(task, (MirrorWish){.sha = sha}, &newest, NULL, NULL) : NULL;
	size_t i;
	json_t *older;
	json_array_foreach(since, i, older) {
		const char *text = json_string_value(older);
		json_t *commits = repo && text ? between(repo, text, &newest) : NULL;
		if (commits)
			json_set(found, text, commits);
	}
	return found;
}
