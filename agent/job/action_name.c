/* SPDX-License-Identifier: Apache-2.0 */
/* Names become paths and addresses: what could lead elsewhere is none. */
#include "agent/job/action_name.h"

#include <string.h>

#include "agent/base/error.h"
#include "agent/job/git.h"

#define NAME_BYTES_MAX 100
#define REF_BYTES_MAX 250

static bool is_name(const char *text, size_t len)
{
	if (len == 0 || len > NAME_BYTES_MAX || text[0] == '.' || text[0] == '-')
		return false;
	for (size_t i = 0; i < len; i++)
		if (!g_ascii_isalnum(text[i]) && !strchr("._-", text[i]))
			return false;
	return true;
}

static bool is_folder(const char *folder)
{
	g_auto(GStrv) parts = g_strsplit(folder, "/", -1);
	for (char **part = parts; *part; part++)
		if (!git_name_is_safe(*part))
			return false;
	return true;
}

/* What git takes for the name of a branch or tag. libgit2 says so too, but only after its start. */
bool action_name_is_ref(const char *ref)
{
	size_t len = strlen(ref);
	if (len == 0 || len > REF_BYTES_MAX || ref[0] == '-' || strcmp(ref, "@") == 0 || strstr(ref, "..") || strstr(ref, "@{") ||
	        strpbrk(ref, " ~^:?*[\\\177") || ref[len - 1] == '.')
		return false;
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)ref[i] < ' ')
			return false;
	g_auto(GStrv) parts = g_strsplit(ref, "/", -1);
	for (char **part = parts; *part; part++)
		if (!(*part)[0] || (*part)[0] == '.' || g_str_has_suffix(*part, ".lock"))
			return false;
	return true;
}

bool action_name_is_repo(const char *text)
{
	const char *slash = strchr(text, '/');
	return slash && is_name(text, (size_t)(slash - text)) && is_name(slash + 1, strlen(slash + 1));
}

bool action_name_parse(const char *uses, ActionName *out, GError **error)
{
	const char *at = strrchr(uses, '@');
	const char *slash = strchr(uses, '/');
	if (!at || !slash || slash > at)
		return fail(error, ASSAY_ERROR_USER, "%s: expected owner/repo@ref, owner/repo/path@ref or ./path", uses);
	const char *end = memchr(slash + 1, '/', (size_t)(at - slash - 1));
	const char *repo_end = end ? end : at;
	g_autofree char *repo = g_strndup(uses, (size_t)(repo_end - uses));
	g_autofree char *folder = end ? g_strndup(end + 1, (size_t)(at - end - 1)) : g_strdup("");
	while (g_str_has_suffix(folder, "/"))
		folder[strlen(folder) - 1] = '\0';
	if (!is_name(uses, (size_t)(slash - uses)) || !is_name(slash + 1, (size_t)(repo_end - slash - 1)))
		return fail(error, ASSAY_ERROR_USER, "%s: '%s' is no owner/repo", uses, repo);
	if (folder[0] && !is_folder(folder))
		return fail(error, ASSAY_ERROR_USER, "%s: '%s' is no folder of a repository", uses, folder);
	if (!at[1] || !action_name_is_ref(at + 1))
		return fail(error, ASSAY_ERROR_USER, "%s: '%s' is no name of a branch, tag or commit", uses, at + 1);
	*out = (ActionName){.repo = g_steal_pointer(&repo), .folder = g_steal_pointer(&folder), .ref = g_strdup(at + 1)};
	return true;
}

void action_name_clear(ActionName *name)
{
	g_free(name->repo);
	g_free(name->folder);
	g_free(name->ref);
	*name = (ActionName){.repo = NULL};
}
