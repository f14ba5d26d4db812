/* SPDX-License-Identifier: Apache-2.0 */
/* `assay runs download`: artifacts as zips. A file has its name only when all of it is there. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/error.h"
#include "agent/base/json.h"
#include "agent/cli/cli.h"
#include "agent/cli/client.h"
#include "agent/cli/verbs_agent.h"

static FILE *open_new(const char *path, GError **error)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0666);
	FILE *file = fd >= 0 ? fdopen(fd, "w") : NULL;
	if (!file) {
		fail_errno(error, errno, "cannot create %s", path);
		if (fd >= 0)
			close(fd);
	}
	return file;
}

static bool save(const char *base, const char *attempt, const char *name, const char *folder, GError **error)
{
	if (!name[0] || strchr(name, '/'))
		return fail(error, ASSAY_ERROR_USER, "'%s' is no name for a file", name);
	g_autofree char *escaped = client_escape(name);
	g_autofree char *address = g_strdup_printf("%s/%s%s%s", base, escaped, attempt ? "?attempt=" : "", attempt ? attempt : "");
	g_autofree char *path = g_strdup_printf("%s/%s.zip", folder, name);
	g_autofree char *unfinished = g_strconcat(path, ".part", NULL);
	FILE *file = open_new(unfinished, error);
	if (!file)
		return false;
	bool good = client_save(address, file, error);
	if (fclose(file) != 0 && good)
		good = fail_errno(error, errno, "cannot write %s", unfinished);
	if (good && rename(unfinished, path) < 0)
		good = fail_errno(error, errno, "cannot name %s", path);
	if (good)
		puts(path);
	else
		unlink(unfinished);
	return good;
}

int verb_runs_download(int argc, char **argv)
{
	g_autofree char *folder = NULL, *attempt = NULL;
	const GOptionEntry options[] = {
	        {"dir", 0, 0, G_OPTION_ARG_FILENAME, &folder, "where to (here)", "DIR"},
	        {"attempt", 0, 0, G_OPTION_ARG_STRING, &attempt, "as this attempt had them (the newest)", "N"},
	        {0},
	};
	if (!cli_parse(options, "RUN [NAME]", 1, 2, &argc, &argv))
		return 2;
	g_autoptr(GError) error = NULL;
	g_autoptr(json_t) list = NULL;
	g_autofree char *run = client_escape(argv[1]), *number = attempt ? client_escape(attempt) : NULL;
	g_autofree char *base = g_strdup_printf("/api/v1/runs/%s/artifacts", run);
	g_autofree char *all = g_strdup_printf("%s%s%s", base, number ? "?attempt=" : "", number ? number : "");
	const char *to = folder ? folder : ".";
	if (!client_request("GET", all, NULL, &list, &error))
		return error_print(error);
	const json_t *artifacts = json_object_get(list, "artifacts");
	if (argc == 2 && json_array_size(artifacts) == 0) {
		fprintf(stderr, "assay: run %s has no artifacts, or they have expired\n", argv[1]);
		return 3;
	}
	if (mkdir(to, 0777) < 0 && errno != EEXIST) {
		fail_errno(&error, errno, "cannot make the folder %s", to);
		return error_print(error);
	}
	if (argc == 3)
		return save(base, number, argv[2], to, &error) ? 0 : error_print(error);
	size_t i;
	json_t *one;
	json_array_foreach(artifacts, i, one) {
		const char *name = json_get_string(one, "name", "");
		if (!save(base, number, name, to, &error)) {
			g_prefix_error(&error, "artifact '%s': ", name);
			return error_print(error);
		}
	}
	return 0;
}
