/* SPDX-License-Identifier: Apache-2.0 */
/* The verbs of the room, each in a process of its own with its stdout in a file. */
#include <fcntl.h>
#include <glib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/base/json.h"
#include "agent/executor.h"
#include "executors/doctor.h"

typedef int Verb(int argc, char **argv);

static int call(Verb *verb, const char *const *words, char **out)
{
	g_autofree char *path = NULL;
	int fd = g_file_open_tmp("assay-verb-XXXXXX", &path, NULL);
	pid_t pid = fork();
	if (pid == 0) {
		char **argv = g_strdupv((char **)(uintptr_t)words);
		dup2(fd, STDOUT_FILENO);
		int status = verb((int)g_strv_length(argv), argv);
		fflush(stdout);
		_exit(status);
	}
	int status;
	g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
	g_assert_true(WIFEXITED(status));
	g_assert_true(g_file_get_contents(path, out, NULL, NULL));
	close(fd);
	unlink(path);
	return WEXITSTATUS(status);
}

#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})

static void test_doctor_json(void)
{
	g_autofree char *text = NULL;
	g_autoptr(GError) error = NULL;
	int status = call(verb_doctor, WORDS("doctor", "--json"), &text);
	g_autoptr(json_t) root = json_parse(text, strlen(text), "doctor", &error);
	g_assert_no_error(error);
	g_assert_cmpint(status, ==, json_get_bool(root, "sandbox", false) ? 0 : 1);
	const json_t *checks = json_object_get(root, "checks");
	g_assert_cmpuint(json_array_size(checks), >=, 18);
	static const char *const wanted[] = {"cgroup", "limit of memory", "limit of CPUs", "limit of processes", "limits of files", "usage",
	        "energy"};
	for (size_t k = 0; k < G_N_ELEMENTS(wanted); k++) {
		bool told = false;
		for (size_t i = 0; i < json_array_size(checks); i++)
			told = told || strcmp(json_get_string(json_array_get(checks, i), "name", ""), wanted[k]) == 0;
		g_assert_true(told);
	}
	/* Said as it is: memory holds for a job where there is a controller, and energy is told where it can be read. */
	bool grouped = false;
	for (size_t i = 0; i < json_array_size(checks); i++) {
		const json_t *check = json_array_get(checks, i);
		const char *name = json_get_string(check, "name", "");
		bool good = strcmp(json_get_string(check, "state", ""), "ok") == 0;
		if (strcmp(name, "cgroup") == 0)
			grouped = strstr(json_get_string(check, "means", ""), "memory") && strstr(json_get_string(check, "means", ""), "usable");
		else if (strcmp(name, "limit of memory") == 0)
			g_assert_true(good == grouped);
		else if (strcmp(name, "energy") == 0)
			g_assert_true(good == (access("/sys/class/powercap/intel-rapl:0/energy_uj", R_OK) == 0));
	}
	for (size_t i = 0; i < json_array_size(checks); i++) {
		const json_t *check = json_array_get(checks, i);
		const char *state = json_get_string(check, "state", "");
		g_assert_true(g_strv_contains(WORDS("ok", "limited", "missing"), state));
		g_assert_true(strcmp(state, "ok") == 0 || json_get_string(check, "change", NULL));
		g_assert_cmpstr(json_get_string(check, "means", ""), !=, "");
	}
}

static void test_doctor_text(void)
{
	g_autofree char *text = NULL;
	call(verb_doctor, WORDS("doctor", "--data", "/"), &text);
	g_assert_nonnull(strstr(text, "sandbox"));
	g_assert_nonnull(strstr(text, "free for /\n"));
	g_autofree char *usage = NULL;
	g_assert_cmpint(call(verb_doctor, WORDS("doctor", "--nonsense"), &usage), ==, 2);
}

static void test_exec_status(gconstpointer name)
{
	g_autofree char *text = NULL;
	g_assert_cmpint(call(verb_exec, WORDS("exec", "--executor", name, "--", "sh", "-c", "pwd; exit 7"), &text), ==, 7);
	g_assert_nonnull(strstr(text, "/work\n"));
	g_autofree char *none = NULL;
	g_assert_cmpint(call(verb_exec, WORDS("exec", "--executor", name, "sh", "-c", "kill -15 $$"), &none), ==, 128 + 15);
	g_autofree char *absent = NULL;
	g_assert_cmpint(call(verb_exec, WORDS("exec", "--executor", name, "--", "no-such-program"), &absent), >, 0);
}

static void test_exec_usage(void)
{
	g_autofree char *a = NULL, *b = NULL, *c = NULL;
	g_assert_cmpint(call(verb_exec, WORDS("exec"), &a), ==, 2);
	g_assert_cmpint(call(verb_exec, WORDS("exec", "--executor", "moon", "--", "true"), &b), ==, 2);
	g_assert_cmpint(call(verb_exec, WORDS("exec", "--network", "fast", "--", "true"), &c), ==, 2);
}

static void test_exec_network(void)
{
	g_autofree char *none = NULL, *loopback = NULL;
	const char *script = "exec 2>/dev/null; cat /proc/net/dev | grep -c lo:; cat /proc/net/fib_trie | grep -c 127.0.0.1";
	call(verb_exec, WORDS("exec", "--", "sh", "-c", script), &none);
	g_assert_cmpstr(none, ==, "1\n0\n");
	call(verb_exec, WORDS("exec", "--network", "loopback", "--", "sh", "-c", script), &loopback);
	g_assert_cmpstr(loopback, !=, none);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/doctor/json_says_what_to_change", test_doctor_json);
	g_test_add_func("/doctor/text_looks_at_the_data_folder", test_doctor_text);
	g_test_add_data_func("/exec/host_passes_the_status_on", "host", test_exec_status);
	g_test_add_func("/exec/refuses_what_it_does_not_know", test_exec_usage);
	if (executor_find("sandbox")->probe(NULL)) {
		g_test_add_data_func("/exec/sandbox_passes_the_status_on", "sandbox", test_exec_status);
		g_test_add_func("/exec/network_is_what_was_asked_for", test_exec_network);
	}
	return g_test_run();
}
