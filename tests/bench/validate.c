/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `assay validate` over 200 files beside a bare loop that only reads their events by libyaml: the whole process of ours
 * against a fork that runs the loop and has no program to load; wall and CPU time, the best of several rounds.
 * `bench-validate PATH-OF-ASSAY`; run by hand.
 */
#include <fcntl.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <yaml.h>

#define FILES 200
#define ROUNDS 15

typedef struct Took {
	double wall_ms;
	double cpu_ms;
} Took;

/** About the size and the shape of the workflow files that projects have: 70 lines. */
static void write_files(const char *folder, char **paths)
{
	for (int i = 0; i < FILES; i++) {
		g_autoptr(GString) text = g_string_new(NULL);
		g_string_append_printf(text, "name: CI %d\non:\n  push:\n    branches: [main, 'release/**']\n  pull_request:\n"
		                             "    paths-ignore: ['docs/**']\npermissions:\n  contents: read\nconcurrency:\n"
		                             "  group: ${{ github.workflow }}-${{ github.ref }}\n  cancel-in-progress: true\njobs:\n", i);
		for (int j = 0; j < 3; j++)
			g_string_append_printf(text,
			        "  job%d:\n    name: Test ${{ matrix.python }}\n    runs-on: ubuntu-latest\n    timeout-minutes: 30\n"
			        "    strategy:\n      fail-fast: false\n      matrix:\n        python: ['3.10', '3.11', '3.12']\n"
			        "    steps:\n      - uses: actions/checkout@v4\n        with:\n          persist-credentials: false\n"
			        "      - uses: actions/setup-python@v5\n        with:\n          python-version: ${{ matrix.python }}\n"
			        "      - name: Install\n        run: |\n          python -m pip install --upgrade pip\n"
			        "          pip install -e '.[test]'\n      - name: Test\n        if: github.event_name != 'schedule'\n"
			        "        run: pytest -q --cov\n        env:\n          CI: true\n", j);
		paths[i] = g_strdup_printf("%s/w%03d.yml", folder, i);
		g_file_set_contents(paths[i], text->str, (gssize)text->len, NULL);
	}
}

static int read_events(int count, char **paths)
{
	for (int i = 0; i < count; i++) {
		FILE *file = fopen(paths[i], "re");
		yaml_parser_t parser;
		if (!file || !yaml_parser_initialize(&parser))
			return 1;
		yaml_parser_set_input_file(&parser, file);
		for (bool more = true; more;) {
			yaml_event_t event;
			if (!yaml_parser_parse(&parser, &event))
				return 1;
			more = event.type != YAML_STREAM_END_EVENT;
			yaml_event_delete(&event);
		}
		yaml_parser_delete(&parser);
		fclose(file);
	}
	return 0;
}

/** Runs a program, or the bare loop over `paths`. */
static Took run(char **argv, char **paths)
{
	gint64 start = g_get_monotonic_time();
	pid_t pid = fork();
	if (pid == 0) {
		if (!argv)
			_exit(read_events(FILES, paths));
		int null = open("/dev/null", O_WRONLY);
		dup2(null, STDOUT_FILENO);
		execv(argv[0], argv);
		_exit(127);
	}
	int status = 0;
	struct rusage used;
	wait4(pid, &status, 0, &used);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		g_error("%s ended with %d", argv ? argv[0] : "the loop", status);
	return (Took){.wall_ms = (double)(g_get_monotonic_time() - start) / 1e3,
	        .cpu_ms = (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1e3 +
	                  (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e3};
}

static void keep_best(Took *best, Took one)
{
	if (best->wall_ms == 0 || one.wall_ms < best->wall_ms)
		best->wall_ms = one.wall_ms;
	if (best->cpu_ms == 0 || one.cpu_ms < best->cpu_ms)
		best->cpu_ms = one.cpu_ms;
}

int main(int argc, char **argv)
{
	if (argc < 2)
		g_error("bench-validate PATH-OF-ASSAY");
	g_autofree char *folder = g_dir_make_tmp("bench-validate-XXXXXX", NULL);
	char *paths[FILES + 1] = {NULL};
	write_files(folder, paths);
	g_autoptr(GPtrArray) assay = g_ptr_array_new();
	g_autoptr(GPtrArray) linted = g_ptr_array_new();
	const char *const words[] = {argv[1], "validate", "--format", "json"};
	for (size_t i = 0; i < G_N_ELEMENTS(words); i++) {
		g_ptr_array_add(assay, (void *)words[i]);
		g_ptr_array_add(linted, (void *)words[i]);
	}
	g_ptr_array_add(linted, (void *)"--lint");
	for (int i = 0; i <= FILES; i++) {
		g_ptr_array_add(assay, paths[i]);
		g_ptr_array_add(linted, paths[i]);
	}
	Took events = {0};
	Took validated = {0};
	Took with_lint = {0};
	for (int i = 0; i < ROUNDS; i++) {
		keep_best(&events, run(NULL, paths));
		keep_best(&validated, run((char **)assay->pdata, NULL));
		keep_best(&with_lint, run((char **)linted->pdata, NULL));
	}
	printf("%d files\n", FILES);
	printf("libyaml's events: %6.2f ms wall, %6.2f ms CPU\n", events.wall_ms, events.cpu_ms);
	printf("validate:         %6.2f ms wall, %6.2f ms CPU: %.2f and %.2f times\n", validated.wall_ms, validated.cpu_ms,
	        validated.wall_ms / events.wall_ms, validated.cpu_ms / events.cpu_ms);
	printf("validate --lint:  %6.2f ms wall, %6.2f ms CPU: %.2f and %.2f times\n", with_lint.wall_ms, with_lint.cpu_ms,
	        with_lint.wall_ms / events.wall_ms, with_lint.cpu_ms / events.cpu_ms);
	for (int i = 0; i < FILES; i++) {
		g_unlink(paths[i]);
		g_free(paths[i]);
	}
	g_rmdir(folder);
	return 0;
}
