/* SPDX-License-Identifier: Apache-2.0 */
/* Repositories in a folder as sources: what is found, kept, refused, and what holds when the source is away. */
#include "agent/job/action_source.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/error.h"
#include "agent/base/fd.h"
#include "agent/base/json.h"
#include "agent/base/spawn.h"

typedef struct Fixture {
	char *root;
	Task task;
} Fixture;

/* Runs a script in the fixture's folder: its first line of output, the caller's. */
static char *sh(Fixture *fixture, const char *script)
{
	g_autofree char *whole = g_strdup_printf("set -e; cd '%s'; export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1 "
	                                         "GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b; %s",
	        fixture->root, script);
	const char *const argv[] = {"/bin/sh", "-c", whole, NULL};
	g_autoptr(GBytes) bytes = NULL;
	SpawnEnd end = {0};
	g_assert_true(spawn_collect(argv, 65536, &bytes, &end, NULL));
	g_assert_cmpint(end.exit_code, ==, 0);
	gsize len = 0;
	const char *text = g_bytes_get_data(bytes, &len);
	g_autofree char *all = g_strndup(text ? text : "", len);
	return g_strndup(all, strcspn(all, "\n"));
}

static void set_up(Fixture *fixture, gconstpointer data)
{
	(void)data;
	fixture->root = g_dir_make_tmp("assay-source-XXXXXX", NULL);
	g_autofree char *none = sh(fixture,
	        "mkdir -p src/acme data work && git init -q -b main src/acme/kit && cd src/acme/kit && mkdir lint && "
	        "echo one > action.yml && echo x > lint/run && chmod +x lint/run && ln -s /etc/passwd farm && git add -A && "
	        "git commit -qm one && git tag v1 && git tag -a -m annotated v1.0 && git branch release/1");
	g_autofree char *data_folder = g_build_filename(fixture->root, "data", NULL);
	g_autofree char *source = g_strdup_printf("file://%s/src/{repo}", fixture->root);
	fixture->task = (Task){.spec = json_pack("{s:s,s:{s:s},s:{s:[s]}}", "data", data_folder, "repo", "name", "acme/digits",
	                               "actions", "sources", source),
	        .folder_fd = -1, .events_fd = -1, .signal_fd = -1};
}

static void tear_down(Fixture *fixture, gconstpointer data)
{
	(void)data;
	json_decref(fixture->task.spec);
	g_assert_true(fd_remove_tree(fixture->root, NULL));
	g_free(fixture->root);
}

static void assert_sha(Fixture *fixture, const char *ref, const char *sha, bool notice)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(ActionSource) source = action_source_open(&fixture->task, "acme/kit", ref, &error);
	g_assert_no_error(error);
	g_assert_cmpstr(action_source_sha(source), ==, sha);
	g_assert_cmpint(action_source_notice(source) != NULL, ==, notice);
}

static void assert_fails(Fixture *fixture, const char *repo, const char *ref, AssayError code, const char *part)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(ActionSource) source = action_source_open(&fixture->task, repo, ref, &error);
	g_assert_null(source);
	g_assert_error(error, ASSAY_ERROR, (int)code);
	if (!strstr(error->message, part))
		g_error("'%s' is not in '%s'", part, error->message);
}

static void takes_names_apart(void)
{
	static const struct {
		const char *uses, *repo, *folder, *ref;
	} good[] = {{"a/b@v1", "a/b", "", "v1"}, {"a/b.c/d/e@release/1", "a/b.c", "d/e", "release/1"},
	        {"a/b/d/@v1", "a/b", "d", "v1"}, {"a/b@refs/heads/x", "a/b", "", "refs/heads/x"}};
	for (size_t i = 0; i < G_N_ELEMENTS(good); i++) {
		ActionName name = {.repo = NULL};
		g_autoptr(GError) error = NULL;
		g_assert_true(action_name_parse(good[i].uses, &name, &error));
		g_assert_no_error(error);
		g_assert_cmpstr(name.repo, ==, good[i].repo);
		g_assert_cmpstr(name.folder, ==, good[i].folder);
		g_assert_cmpstr(name.ref, ==, good[i].ref);
		action_name_clear(&name);
	}
	static const char *const bad[] = {"a@v1", "a/b", "a/b@", "a/b@../x", "a/../b@v1", "../b@v1", "a/b/../c@v1", "a/b/.git@v1",
	        "-a/b@v1", "a/-b@v1", "a/b//c@v1", "a/b@-x", "a/b@x y", "a b/c@v1", "a/b/./c@v1", "", "@", "/", "a/@v1", "/b@v1"};
	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
		ActionName name = {.repo = NULL};
		g_autoptr(GError) error = NULL;
		if (action_name_parse(bad[i], &name, &error))
			g_error("'%s' is read as a name", bad[i]);
		g_assert_error(error, ASSAY_ERROR, ASSAY_ERROR_USER);
	}
}

static void finds_tags_branches_and_commits(Fixture *fixture, gconstpointer data)
{
	(void)data;
	g_autofree char *sha = sh(fixture, "git -C src/acme/kit rev-parse HEAD");
	static const char *const refs[] = {"v1", "v1.0", "main", "release/1", "refs/tags/v1", "refs/heads/main"};
	for (size_t i = 0; i < G_N_ELEMENTS(refs); i++)
		assert_sha(fixture, refs[i], sha, false);
	assert_sha(fixture, sha, sha, false);
}

static void a_moved_tag_is_looked_up_again(Fixture *fixture, gconstpointer data)
{
	(void)data;
	g_autofree char *first = sh(fixture, "git -C src/acme/kit rev-parse HEAD");
	assert_sha(fixture, "v1", first, false);
	g_autofree char *second = sh(fixture, "cd src/acme/kit; echo two > action.yml; git commit -qam two; git tag -f v1 >/dev/null; git rev-parse HEAD");
	assert_sha(fixture, "v1", second, false);
	assert_sha(fixture, first, first, false);
	g_autofree char *none = sh(fixture, "git -C src/acme/kit tag -f v1 v1.0^{} >/dev/null"); /* back: the commit is there, the ref is written */
	assert_sha(fixture, "v1", first, false);
	none = (g_free(none), sh(fixture, "chmod 700 . && mv src/acme/kit/.git/HEAD src/acme/kit/.git/objects src/ && echo broken > src/acme/kit/.git/HEAD"));
	assert_sha(fixture, first, first, false); /* needs nobody */
}

static void what_was_kept_stands_in_when_the_source_is_away(Fixture *fixture, gconstpointer data)
{
	(void)data;
	g_autofree char *sha = sh(fixture, "git -C src/acme/kit rev-parse HEAD");
	/* a port where nobody listens, reached by a rewritten address */
	json_t *sources = json_object_get(json_object_get(fixture->task.spec, "actions"), "sources");
	assert_sha(fixture, "v1", sha, false);
	g_autofree char *file = g_strdup(json_string_value(json_array_get(sources, 0)));
	json_array_set_new(sources, 0, json_string("http://127.0.0.1:9/{repo}"));
	/* another address: what the first one said of v1 does not count */
	assert_fails(fixture, "acme/kit", "v1", ASSAY_ERROR_REMOTE, "127.0.0.1:9");
	assert_sha(fixture, sha, sha, false);
	/* the same address as before, now without an answer */
	g_autofree char *away = g_strdup_printf("cd data/actions/acme/kit.git && for f in $(find refs/sources -type f); do "
	                                        "d=refs/sources/$(printf %%s http://127.0.0.1:9/acme/kit | sha256sum | cut -c1-16)/tags; "
	                                        "mkdir -p $d && cp $f $d/v1; done");
	g_autofree char *none = sh(fixture, away);
	assert_sha(fixture, "v1", sha, true);
	assert_fails(fixture, "acme/kit", "v2", ASSAY_ERROR_REMOTE, "127.0.0.1:9");
	/* the next address is not asked in its place: who owns that one could be somebody else */
	json_array_append_new(sources, json_string(file));
	assert_fails(fixture, "acme/kit", "main", ASSAY_ERROR_REMOTE, "127.0.0.1:9");
}

static void the_next_source_is_asked_for_what_one_has_not(Fixture *fixture, gconstpointer data)
{
	(void)data;
	g_autofree char *sha = sh(fixture, "git -C src/acme/kit rev-parse HEAD");
	json_t *sources = json_object_get(json_object_get(fixture->task.spec, "actions"), "sources");
	g_autofree char *none = g_strdup_printf("file://%s/elsewhere/{repo}.git", fixture->root);
	json_array_insert_new(sources, 0, json_string(none));
	assert_sha(fixture, "v1", sha, false);
	assert_fails(fixture, "acme/other", "v1", ASSAY_ERROR_ABSENT, "no source has the repository acme/other");
	json_array_clear(sources);
	assert_fails(fixture, "acme/kit", sha, ASSAY_ERROR_DENIED, "actions.sources in assay.yml is empty");
}

static void a_missing_ref_is_named_with_those_there_are(Fixture *fixture, gconstpointer data)
{
	(void)data;
	g_autofree char *sha = sh(fixture, "git -C src/acme/kit rev-parse HEAD");
	assert_fails(fixture, "acme/kit", "v9", ASSAY_ERROR_ABSENT, "has no tag or branch 'v9'; among those it has are v1.0, v1");
	g_autofree char *few = g_strndup(sha, 10);
	assert_fails(fixture, "acme/kit", few, ASSAY_ERROR_ABSENT, sha);
	assert_fails(fixture, "acme/kit", "0123456789012345678901234567890123456789", ASSAY_ERROR_ABSENT, "no branch or tag");
	assert_fails(fixture, "acme/../kit", "v1", ASSAY_ERROR_USER, "cannot be the name");
	/* a commit that only a pull request has */
	g_autofree char *impostor = sh(fixture, "cd src/acme/kit; git checkout -q --detach; git commit -q --allow-empty -m x; "
	                                        "git update-ref refs/pull/1/head HEAD; git rev-parse HEAD; git checkout -q main");
	assert_fails(fixture, "acme/kit", impostor, ASSAY_ERROR_ABSENT, "no branch or tag");
}

static void known_repos_come_from_their_mirrors(Fixture *fixture, gconstpointer data)
{
	(void)data;
	g_autofree char *sha = sh(fixture, "git -C src/acme/kit rev-parse HEAD");
	json_t *actions = json_object_get(fixture->task.spec, "actions");
	json_array_clear(json_object_get(actions, "sources"));
	g_autofree char *url = g_strdup_printf("file://%s/src/acme/kit", fixture->root);
	json_set(actions, "repos", json_pack("{s:s}", "Acme/Kit", url));
	assert_sha(fixture, "v1", sha, false);
	assert_sha(fixture, sha, sha, false);
	g_autofree char *none = sh(fixture, "test -d data/repos/Acme/Kit.git && mv src/acme/kit src/acme/gone");
	assert_sha(fixture, "v1", sha, true);
	none = (g_free(none), sh(fixture, "git -C data/repos/Acme/Kit.git update-ref refs/pull/1/head $(git -C data/repos/Acme/Kit.git commit-tree -m x HEAD^{tree}); "
	                                  "git -C data/repos/Acme/Kit.git rev-parse refs/pull/1/head"));
	assert_fails(fixture, "acme/kit", none, ASSAY_ERROR_ABSENT, "no branch or tag");
}

static void reads_and_writes_without_following_links(Fixture *fixture, gconstpointer data)
{
	(void)data;
	g_autoptr(GError) error = NULL;
	g_autoptr(ActionSource) source = action_source_open(&fixture->task, "acme/kit", "v1", &error);
	g_assert_no_error(error);
	g_autoptr(GBytes) bytes = action_source_read(source, "action.yml", 100, &error);
	g_assert_no_error(error);
	g_assert_cmpmem(g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes), "one\n", 4);
	static const struct {
		const char *path;
		AssayError code;
	} bad[] = {{"farm", ASSAY_ERROR_DENIED}, {"none", ASSAY_ERROR_ABSENT}, {"lint", ASSAY_ERROR_ABSENT}, {"farm/x", ASSAY_ERROR_ABSENT}};
	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
		g_assert_null(action_source_read(source, bad[i].path, 100, &error));
		g_assert_error(error, ASSAY_ERROR, (int)bad[i].code);
		g_clear_error(&error);
	}
	g_assert_null(action_source_read(source, "action.yml", 3, &error));
	g_assert_error(error, ASSAY_ERROR, ASSAY_ERROR_USER);
	g_clear_error(&error);
	g_autofree char *work = g_build_filename(fixture->root, "work", NULL);
	autofd int fd = open(work, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	g_assert_true(action_source_write(source, fd, (TreeOwner){.change = false}, &error));
	g_assert_no_error(error);
	g_autofree char *none = sh(fixture, "cd work; test -x lint/run; test ! -x action.yml; test \"$(readlink farm)\" = /etc/passwd; cmp action.yml ../src/acme/kit/action.yml");
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/action_source/takes_names_apart", takes_names_apart);
#define ADD(name) g_test_add("/action_source/" #name, Fixture, NULL, set_up, name, tear_down)
	ADD(finds_tags_branches_and_commits);
	ADD(a_moved_tag_is_looked_up_again);
	ADD(what_was_kept_stands_in_when_the_source_is_away);
	ADD(the_next_source_is_asked_for_what_one_has_not);
	ADD(a_missing_ref_is_named_with_those_there_are);
	ADD(known_repos_come_from_their_mirrors);
	ADD(reads_and_writes_without_following_links);
	return g_test_run();
}
