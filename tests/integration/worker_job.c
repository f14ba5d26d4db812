/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A worker and nothing else: a job.json written by hand, `assay-worker task`, and what it left in events and log. The
 * test stands for the agent where a job asks something.
 */
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/base/clock.h"
#include "agent/base/fd.h"
#include "agent/base/json.h"
#include "agent/base/spawn.h"
#include "agent/model/event.h"

typedef struct Fixture {
	char *root;
	char *folder; /* the task's */
	char *log;
	json_t *spec;
	int pidfd;
	pid_t pid;
} Fixture;

static const char *worker(void)
{
	const char *path = g_getenv("ASSAY_WORKER");
	return path ? path : TEST_BINARY_DIR "/assay-worker";
}

static void set_up(Fixture *fixture, gconstpointer data)
{
	(void)data;
	fixture->root = g_dir_make_tmp("assay-worker-XXXXXX", NULL);
	fixture->folder = g_build_filename(fixture->root, "jobs", "17", NULL);
	fixture->log = g_build_filename(fixture->root, "logs", "4", "5.log", NULL);
	g_assert_true(fd_make_folder(fixture->folder, 0755, NULL));
	fixture->spec = json_pack("{s:i,s:i,s:i,s:s,s:s,s:{s:s,s:s,s:s,s:n},s:n,s:{s:i,s:s,s:s,s:s,s:i},s:{s:i,s:i},s:{},"
	                          "s:{s:{s:s,s:s,s:{}},s:{},s:{},s:{}},s:s,s:s,s:{s:I,s:I},s:s}",
	        "version", 1, "task", 17, "fence", 3, "kind", "job", "data", fixture->root, "repo", "name", "acme/digits",
	        "url", "file:///nowhere", "mirror", "/nowhere", "default_branch", "local", "job", "id", 5, "key", "test",
	        "group", "test", "name", "test", "attempt", 1, "run", "id", 4, "number", 42, "resolved", "contexts",
	        "github", "ref", "refs/heads/main", "sha", "abc", "event", "needs", "vars", "inputs", "executor", "host",
	        "log", fixture->log, "limits", "timeout_us", (json_int_t)20000000, "grace_us", (json_int_t)400000,
	        "network", "none");
	g_assert_nonnull(fixture->spec);
	fixture->pidfd = -1;
}

static void tear_down(Fixture *fixture, gconstpointer data)
{
	(void)data;
	json_decref(fixture->spec);
	autofd_close(&fixture->pidfd);
	g_assert_true(fd_remove_tree(fixture->root, NULL));
	g_free(fixture->root);
	g_free(fixture->folder);
	g_free(fixture->log);
}

/* Steps as JSON with single quotes. */
static void set_steps(Fixture *fixture, const char *text)
{
	g_autofree char *json = g_strdelimit(g_strdup(text), "'", '"');
	g_autoptr(GError) error = NULL;
	json_t *steps = json_parse(json, strlen(json), "steps", &error);
	g_assert_no_error(error);
	json_t *definition = json_object();
	json_set(definition, "steps", steps);
	json_set(fixture->spec, "definition", definition);
}

static void start(Fixture *fixture, const char *secrets)
{
	g_autofree char *path = g_build_filename(fixture->folder, "job.json", NULL);
	g_autofree char *text = json_text(fixture->spec);
	g_assert_true(g_file_set_contents(path, text, -1, NULL));
	g_autoptr(GError) error = NULL;
	autofd int fd = fd_sealed("secrets", secrets, strlen(secrets), &error);
	g_assert_no_error(error);
	const char *const argv[] = {worker(), "task", fixture->folder, "3", NULL};
	const int fds[] = {-1, STDERR_FILENO, STDERR_FILENO, fd};
	g_auto(GStrv) environment = g_get_environ();
	const SpawnSpec spec = {.argv = argv, .envp = (const char *const *)environment, .fds = fds, .fds_len = 4};
	fixture->pidfd = spawn(&spec, &fixture->pid, &error);
	g_assert_no_error(error);
}

/* Waits for the worker; reads its events. */
static json_t *finish(Fixture *fixture)
{
	struct pollfd one = {.fd = fixture->pidfd, .events = POLLIN};
	g_assert_cmpint(poll(&one, 1, 30000), ==, 1);
	SpawnEnd end;
	g_assert_true(spawn_wait(fixture->pidfd, &end, NULL));
	g_assert_cmpint(end.exit_code, ==, 0);
	g_autofree char *path = g_build_filename(fixture->folder, "events.jsonl", NULL);
	g_autofree char *text = NULL;
	gsize len = 0;
	g_assert_true(g_file_get_contents(path, &text, &len, NULL));
	json_t *events = json_array();
	size_t used = 0, line_len = 0;
	for (const char *line; (line = event_next_line(text, len, &used, &line_len));) {
		g_autoptr(GError) error = NULL;
		json_t *event = event_parse(line, line_len, &error);
		g_assert_no_error(error);
		json_array_append_new(events, event);
	}
	g_assert_cmpuint(used, ==, len);
	g_assert_cmpint(event_type(json_array_get(events, 0)), ==, EVENT_BEGIN);
	g_assert_cmpint(event_type(json_array_get(events, json_array_size(events) - 1)), ==, EVENT_END);
	return events;
}

static json_t *run(Fixture *fixture, const char *steps)
{
	set_steps(fixture, steps);
	start(fixture, "{\"secrets\":{\"KEY\":\"s3cret-value\"},\"token\":\"tok-abcdef\"}");
	return finish(fixture);
}

static char *read_log(Fixture *fixture)
{
	char *text = NULL;
	g_assert_true(g_file_get_contents(fixture->log, &text, NULL, NULL));
	return text;
}

/* The last event of a step, or of a type when number is 0. */
static const json_t *find(const json_t *events, EventType type, int number)
{
	for (size_t i = json_array_size(events); i > 0; i--) {
		const json_t *event = json_array_get(events, i - 1);
		if (event_type(event) == type && (number == 0 || json_get_int(event, "number", 0) == number))
			return event;
	}
	return NULL;
}

static void assert_end(const json_t *events, const char *status, const char *cause)
{
	const json_t *end = find(events, EVENT_END, 0);
	g_assert_cmpstr(json_get_string(end, "status", ""), ==, status);
	g_assert_cmpstr(json_get_string(end, "cause", NULL), ==, cause);
	if (cause)
		g_assert_cmpuint(strlen(json_get_string(end, "message", "")), >, 5);
}

static void assert_step(const json_t *events, int number, const char *status)
{
	g_assert_cmpstr(json_get_string(find(events, EVENT_STEP, number), "status", ""), ==, status);
}

static void outputs_pass_between_steps_and_out(Fixture *fixture, gconstpointer data)
{
	(void)data;
	set_steps(fixture, "[{'id':'a','run':'echo x=5 >> $GITHUB_OUTPUT; echo B=kept >> $GITHUB_ENV; "
	                   "echo /opt/tool >> $GITHUB_PATH'},"
	                   "{'id':'b','run':'echo got ${{ steps.a.outputs.x }} $B ${PATH%%:*}; echo ::set-output name=y::6'}]");
	json_t *outputs = json_pack("{s:s,s:s}", "sum", "${{ steps.a.outputs.x }}${{ steps.b.outputs.y }}", "leak",
	        "${{ secrets.KEY }}");
	json_set(json_object_get(fixture->spec, "definition"), "outputs", outputs);
	start(fixture, "{\"secrets\":{\"KEY\":\"s3cret-value\"}}");
	g_autoptr(json_t) events = finish(fixture);
	assert_end(events, "success", NULL);
	g_autofree char *log = read_log(fixture);
	g_assert_nonnull(strstr(log, "Z got 5 kept /opt/tool\n"));
	const json_t *out = json_object_get(find(events, EVENT_OUTPUTS, 0), "outputs");
	g_assert_cmpstr(json_get_string(out, "sum", ""), ==, "56");
	g_assert_null(json_object_get(out, "leak"));
}

/* However a text names it: the payload has a file of its own and is read only then. */
static void the_event_is_there_for_who_looks(Fixture *fixture, gconstpointer data)
{
	(void)data;
	g_autofree char *path = g_build_filename(fixture->root, "event.json", NULL);
	g_assert_true(g_file_set_contents(path, "{\"action\": \"opened-here\"}", -1, NULL));
	json_set_string(fixture->spec, "event_file", path);
	g_autoptr(json_t) own = json_incref(json_object_get(json_object_get(fixture->spec, "contexts"), "github"));
	json_object_del(own, "event");
	json_set(fixture->spec, "github", json_incref(own));
	json_set(json_object_get(fixture->spec, "contexts"), "github", json_object());
	static const char *const asking[] = {"${{ github.event.action }}", "${{ GitHub.Event.action }}",
	        "${{ github[format(\\u0027ev{0}\\u0027, \\u0027ent\\u0027)].action }}", "${{ github.*.action }}",
	        "${{ toJSON(github) }}", "$(cat $GITHUB_EVENT_PATH)"};
	for (size_t i = 0; i < G_N_ELEMENTS(asking); i++) {
		g_autofree char *steps = g_strdup_printf("[{'run':'cat <<E\\n%s\\nE'}]", asking[i]);
		g_autoptr(json_t) events = run(fixture, steps);
		assert_end(events, "success", NULL);
		g_autofree char *log = read_log(fixture);
		const char *ran = strstr(log, "##[endgroup]"); /* the command itself stands above it */
		if (!strstr(ran ? ran : "", "opened-here") && !strstr(asking[i], "*"))
			g_error("%s does not see the event: %s", asking[i], log);
		g_assert_true(fd_remove_tree(fixture->folder, NULL));
		g_assert_true(fd_make_folder(fixture->folder, 0755, NULL));
		unlink(fixture->log);
		autofd_close(&fixture->pidfd);
	}
}

static void failure_stops_all_but_who_asked(Fixture *fixture, gconstpointer data)
{
	(void)data;
	g_autoptr(json_t) events = run(fixture,
	        "[{'run':'exit 1','continue-on-error':true,'id':'soft'},{'name':'make','run':'exit 3'},{'run':'true'},"
	        "{'if':'failure()','run':'true'},{'if':'always() && steps.soft.outcome == \\u0027failure\\u0027','run':'true'}]");
	assert_end(events, "failure", "exit");
	g_assert_cmpstr(json_get_string(find(events, EVENT_END, 0), "message", ""), ==,
	        "step 'make': it ended with exit code 3");
	assert_step(events, 1, "failure");
	assert_step(events, 2, "failure");
	g_assert_cmpint(json_get_int(find(events, EVENT_STEP, 2), "exit_code", 0), ==, 3);
	assert_step(events, 3, "skipped");
	assert_step(events, 4, "success");
}

static void signal_is_told_from_exit(Fixture *fixture, gconstpointer data)
{
	(void)data;
	g_autoptr(json_t) events = run(fixture, "[{'run':'kill -KILL $$'}]");
	assert_end(events, "failure", "signal");
}

/* With a limit of none the kernel still pipes cores to the host's handler; with one byte it does not. */
static void no_crash_of_a_step_reaches_the_hosts_handler(Fixture *fixture, gconstpointer data)
{
	(void)data;
	g_autoptr(json_t) events = run(fixture, "[{'run':'grep -qE \\\"core file size +1 +1 \\\" /proc/self/limits'}]");
	assert_end(events, "success", NULL);
}

static void secrets_are_nowhere(Fixture *fixture, gconstpointer data)
{
	(void)data;
	g_autoptr(json_t) events = run(fixture,
	        "[{'name':'say ${{ secrets.KEY }}','env':{'K':'${{ secrets.KEY }}'},'run':'echo $K; echo -n $K | base64; "
	        "echo -n $K | od -An -tx1 | tr -d \\u0027 \\u0027; printf s3cret; sleep 0.05; printf -- -value; "
	        "echo; echo ::error::$K; echo $K >> $GITHUB_STEP_SUMMARY; echo ${{ github.token }}'}]");
	assert_end(events, "success", NULL);
	g_autofree char *log = read_log(fixture);
	g_autofree char *all = json_text(events);
	static const char *const forms[] = {"s3cret-value", "czNjcmV0LXZhbHVl", "7333637265742d76616c7565", "tok-abcdef"};
	for (size_t i = 0; i < G_N_ELEMENTS(forms); i++) {
		g_assert_null(strstr(log, forms[i]));
		g_assert_null(strstr(all, forms[i]));
	}
	g_assert_nonnull(strstr(log, "##[error]***"));
	g_assert_nonnull(find(events, EVENT_SUMMARY, 0));
}

static void step_ends_at_its_time_limit(Fixture *fixture, gconstpointer data)
{
	(void)data;
	int64_t before = monotonic_us();
	g_autoptr(json_t) events = run(fixture,
	        "[{'timeout-minutes':0.005,'run':'trap : INT TERM; while :; do sleep 1; done'},{'if':'failure()','run':'true'}]");
	assert_end(events, "failure", "timeout");
	assert_step(events, 2, "success");
	g_assert_cmpint(monotonic_us() - before, <, 10000000);
}

static void a_time_limit_may_be_forgiven(Fixture *fixture, gconstpointer data)
{
	(void)data;
	g_autoptr(json_t) events = run(fixture,
	        "[{'timeout-minutes':0.005,'continue-on-error':true,'id':'slow','run':'sleep 60'},"
	        "{'run':'test ${{ steps.slow.outcome }}${{ steps.slow.conclusion }} = failuresuccess'}]");
	assert_end(events, "success", NULL);
	assert_step(events, 1, "failure");
	g_assert_cmpstr(json_get_string(find(events, EVENT_STEP, 1), "cause", ""), ==, "timeout");
	assert_step(events, 2, "success");
}

static void job_ends_at_its_time_limit(Fixture *fixture, gconstpointer data)
{
	(void)data;
	json_set_int(json_object_get(fixture->spec, "limits"), "timeout_us", 300000);
	g_autoptr(json_t) events = run(fixture, "[{'run':'sleep 60'},{'run':'true'},{'if':'cancelled()','run':'echo late'}]");
	assert_end(events, "failure", "timeout");
	assert_step(events, 2, "skipped");
	assert_step(events, 3, "success");
}

/* Waits until the log has a text. */
static void wait_for_log(Fixture *fixture, const char *text)
{
	for (int tries = 0; tries < 2000; tries++) {
		g_autofree char *log = NULL;
		if (g_file_get_contents(fixture->log, &log, NULL, NULL) && strstr(log, text))
			return;
		g_usleep(5000);
	}
	g_error("'%s' did not appear in the log", text);
}

static void cancel_ends_the_step_and_runs_what_follows(Fixture *fixture, gconstpointer data)
{
	(void)data;
	set_steps(fixture, "[{'run':'trap \\u0027echo interrupted; exit 1\\u0027 INT; echo ready; while :; do sleep 0.05; done'},"
	                   "{'run':'true'},{'if':'always()','run':'echo cleaned up'}]");
	start(fixture, "{}");
	wait_for_log(fixture, "Z ready\n");
	kill(fixture->pid, SIGTERM);
	g_autoptr(json_t) events = finish(fixture);
	assert_end(events, "cancelled", "cancelled");
	assert_step(events, 1, "cancelled");
	assert_step(events, 2, "skipped");
	assert_step(events, 3, "success");
	g_autofree char *log = read_log(fixture);
	g_assert_nonnull(strstr(log, "interrupted"));
	g_assert_nonnull(strstr(log, "cleaned up"));
}

static void leave(const Fixture *fixture, const char *path)
{
	g_autofree char *whole = g_build_filename(fixture->folder, path, NULL);
	g_autofree char *folder = g_path_get_dirname(whole);
	g_assert_cmpint(g_mkdir_with_parents(folder, 0755), ==, 0);
	g_assert_true(g_file_set_contents(whole, "left", -1, NULL));
}

/* The folder was an earlier task's, whose worker was killed, or lied: nobody has looked into work/ and home/. */
static void what_an_earlier_job_left_is_gone(Fixture *fixture, gconstpointer data)
{
	(void)data;
	static const char *const left[] = {"work/digits/digits/left", "work/_temp/left", "work/other/other/left", "home/.netrc",
	        "home/work/left"};
	for (size_t i = 0; i < G_N_ELEMENTS(left); i++)
		leave(fixture, left[i]);
	g_autoptr(json_t) events = run(fixture, "[{'run':'ls -A; find $HOME ../.. -name le[f]t -o -name .net[r]c; echo end'}]");
	assert_end(events, "success", NULL);
	g_autofree char *log = read_log(fixture);
	g_assert_nonnull(strstr(log, "end"));
	g_assert_null(strstr(log, "left")); /* the command as it is shown has no such word */
	g_assert_null(strstr(log, ".netrc"));
}

static void what_a_job_leaves_is_not_said_to_be_nothing(Fixture *fixture, gconstpointer data)
{
	(void)data;
	g_autoptr(json_t) events = run(fixture, "[{'run':'echo x > left; mkdir -p $HOME/.cache'}]");
	assert_end(events, "success", NULL);
	g_assert_null(json_object_get(find(events, EVENT_END, 0), "emptied"));
	static const char *const gone[] = {"work/digits/digits/left", "home/.cache"};
	for (size_t i = 0; i < G_N_ELEMENTS(gone); i++) {
		g_autofree char *path = g_build_filename(fixture->folder, gone[i], NULL);
		g_assert_false(g_file_test(path, G_FILE_TEST_EXISTS));
	}
}

static void left_behind_process_holds_nothing_up(Fixture *fixture, gconstpointer data)
{
	(void)data;
	int64_t before = monotonic_us();
	g_autoptr(json_t) events = run(fixture, "[{'run':'sleep 30 & echo started'}]");
	assert_end(events, "success", NULL);
	g_assert_cmpint(monotonic_us() - before, <, 10000000);
}

static void ask_waits_for_its_answer(Fixture *fixture, gconstpointer data)
{
	(void)data;
	set_steps(fixture, "[{'id':'got','uses':'actions/download-artifact@v4','with':{'name':'model'}},"
	                   "{'if':'failure()','run':'true'}]");
	start(fixture, "{}");
	g_autofree char *events_path = g_build_filename(fixture->folder, "events.jsonl", NULL);
	for (int tries = 0;; tries++) {
		g_autofree char *text = NULL;
		g_assert_cmpint(tries, <, 2000);
		if (g_file_get_contents(events_path, &text, NULL, NULL) && strstr(text, "\"artifact.get\""))
			break;
		g_usleep(5000);
	}
	g_autofree char *answers = g_build_filename(fixture->folder, "answers.jsonl", NULL);
	static const char first[] = "{\"ask\":7,\"ok\":true,\"result\":{}}\n{\"ask\":1,\"ok\":fa";
	static const char second[] = "lse,\"type\":\"absent\",\"message\":\"no artifact 'model'\"}\n";
	autofd int fd = open(answers, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	g_assert_true(fd_write_all(fd, first, strlen(first), "answers", NULL));
	g_usleep(50000);
	g_assert_true(fd_write_all(fd, second, strlen(second), "answers", NULL));
	g_autoptr(json_t) events = finish(fixture);
	assert_end(events, "failure", "step");
	g_assert_nonnull(strstr(json_get_string(find(events, EVENT_END, 0), "message", ""), "no artifact 'model'"));
	assert_step(events, 2, "success");
}

static void unknown_actions_are_refused_by_name(Fixture *fixture, gconstpointer data)
{
	(void)data;
	g_autoptr(json_t) events = run(fixture, "[{'uses':'someone/something@v3'}]");
	assert_end(events, "failure", "invalid");
	const char *message = json_get_string(find(events, EVENT_END, 0), "message", "");
	g_assert_nonnull(strstr(message, "step 1, 'Run someone/something@v3': "));
	g_assert_nonnull(strstr(message, "actions.sources in assay.yml"));
}

static void stopped_commands_are_text(Fixture *fixture, gconstpointer data)
{
	(void)data;
	g_autoptr(json_t) events = run(fixture,
	        "[{'run':'echo ::stop-commands::tok; echo ::error::not one; echo ::tok::; echo ::error::one'}]");
	assert_end(events, "success", NULL);
	g_autofree char *log = read_log(fixture);
	g_assert_nonnull(strstr(log, "Z ::error::not one\n"));
	g_assert_nonnull(strstr(log, "Z ##[error]one\n"));
	g_assert_cmpstr(json_get_string(find(events, EVENT_ANNOTATION, 0), "message", ""), ==, "one");
}

static void links_for_environment_files_are_not_followed(Fixture *fixture, gconstpointer data)
{
	(void)data;
	g_autoptr(json_t) events = run(fixture, "[{'run':'rm $GITHUB_OUTPUT; ln -s /etc/passwd $GITHUB_OUTPUT'},"
	                                        "{'if':'failure()','run':'rm -rf $RUNNER_TEMP; ln -s /etc $RUNNER_TEMP'},"
	                                        "{'if':'always()','run':'test ! -L $RUNNER_TEMP'}]");
	assert_end(events, "failure", "step");
	g_assert_nonnull(strstr(json_get_string(find(events, EVENT_END, 0), "message", ""), "GITHUB_OUTPUT"));
	assert_step(events, 3, "success");
}

static void zygote_clones_a_worker(Fixture *fixture, gconstpointer data)
{
	(void)data;
	set_steps(fixture, "[{'run':'echo from the zygote'}]");
	g_autofree char *path = g_build_filename(fixture->folder, "job.json", NULL);
	g_autofree char *text = json_text(fixture->spec);
	g_assert_true(g_file_set_contents(path, text, -1, NULL));
	int ends[2];
	g_assert_cmpint(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), ==, 0);
	const char *const argv[] = {worker(), "zygote", NULL};
	const int fds[] = {-1, STDERR_FILENO, STDERR_FILENO, ends[1]};
	g_auto(GStrv) environment = g_get_environ();
	const SpawnSpec spec = {.argv = argv, .envp = (const char *const *)environment, .fds = fds, .fds_len = 4};
	autofd int zygote = spawn(&spec, NULL, NULL);
	g_assert_cmpint(zygote, >=, 0);
	close(ends[1]);
	g_autofree char *request = g_strdup_printf("{\"task\":17,\"folder\":\"%s\"}", fixture->folder);
	g_assert_cmpint(send(ends[0], request, strlen(request), 0), ==, (gssize)strlen(request));
	char reply[512];
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec part = {reply, sizeof reply};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes,
	        .msg_controllen = sizeof control.bytes};
	ssize_t got = recvmsg(ends[0], &message, MSG_CMSG_CLOEXEC);
	g_assert_cmpint(got, >, 0);
	g_autoptr(json_t) answer = json_parse(reply, (size_t)got, "reply", NULL);
	g_assert_cmpint(json_get_int(answer, "task", 0), ==, 17);
	g_assert_cmpint(json_get_int(answer, "pid", 0), >, 0);
	g_assert_cmpint(json_get_int(answer, "start", 0), >, 0);
	memcpy(&fixture->pidfd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof fixture->pidfd);
	struct pollfd one = {.fd = fixture->pidfd, .events = POLLIN};
	g_assert_cmpint(poll(&one, 1, 20000), ==, 1);
	wait_for_log(fixture, "Z from the zygote\n");
	close(ends[0]); /* the zygote ends with its socket */
	SpawnEnd end;
	g_assert_true(spawn_wait(zygote, &end, NULL));
	g_assert_cmpint(end.exit_code, ==, 0);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
#define ADD(name) g_test_add("/worker/" #name, Fixture, NULL, set_up, name, tear_down)
	ADD(outputs_pass_between_steps_and_out);
	ADD(the_event_is_there_for_who_looks);
	ADD(failure_stops_all_but_who_asked);
	ADD(signal_is_told_from_exit);
	ADD(no_crash_of_a_step_reaches_the_hosts_handler);
	ADD(secrets_are_nowhere);
	ADD(step_ends_at_its_time_limit);
	ADD(a_time_limit_may_be_forgiven);
	ADD(job_ends_at_its_time_limit);
	ADD(cancel_ends_the_step_and_runs_what_follows);
	ADD(what_an_earlier_job_left_is_gone);
	ADD(what_a_job_leaves_is_not_said_to_be_nothing);
	ADD(left_behind_process_holds_nothing_up);
	ADD(ask_waits_for_its_answer);
	ADD(unknown_actions_are_refused_by_name);
	ADD(stopped_commands_are_text);
	ADD(links_for_environment_files_are_not_followed);
	ADD(zygote_clones_a_worker);
	return g_test_run();
}
