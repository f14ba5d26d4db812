/* SPDX-License-Identifier: Apache-2.0 */
/*
 * try NAME[=ARGUMENT]…: runs attempts one after the other and prints a line for each, "NAME[=ARGUMENT]<tab>OUTCOME<tab>DETAIL".
 * OUTCOME is `ok`, an errno's name, `signal N` or `hangs`. Static, so that it runs in any image.
 */
#include "tests/abuse/attempt.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define SECONDS_MAX 20
#define DETAIL_BYTES 4096

static char *detail; /* shared with the child that writes it */

void say(const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(detail, DETAIL_BYTES, format, arguments);
	va_end(arguments);
}

static const Attempt *find(const char *name, size_t len)
{
	const Attempt *const tables[] = {attempts_files, attempts_processes, attempts_network};
	for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++)
		for (const Attempt *each = tables[i]; each->name; each++)
			if (strlen(each->name) == len && strncmp(each->name, name, len) == 0)
				return each;
	return NULL;
}

static void attempt(const Attempt *what, const char *text, const char *argument)
{
	detail[0] = '\0';
	fflush(stdout);
	pid_t pid = fork();
	if (pid == 0) {
		alarm(SECONDS_MAX);
		_exit(what->run(argument));
	}
	int status = 0;
	if (pid < 0 || waitpid(pid, &status, 0) != pid) {
		printf("%s\tlost\t%s\n", text, strerror(errno));
		return;
	}
	printf("%s\t", text);
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
		printf("hangs");
	else if (WIFSIGNALED(status))
		printf("signal %d", WTERMSIG(status));
	else if (WEXITSTATUS(status) == 0)
		printf("ok");
	else if (strerrorname_np(WEXITSTATUS(status)))
		printf("%s", strerrorname_np(WEXITSTATUS(status)));
	else
		printf("errno %d", WEXITSTATUS(status));
	for (char *each = detail; *each; each++)
		if (*each == '\n' || *each == '\t')
			*each = ' ';
	printf("\t%s\n", detail);
}

int main(int argc, char **argv)
{
	/* `copy euid`: what a set-user-ID copy of this program finds itself to be */
	if (argc == 2 && strcmp(argv[1], "euid") == 0)
		return printf("%d %d\n", (int)geteuid(), (int)getegid()) < 0;
	detail = mmap(NULL, DETAIL_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (detail == MAP_FAILED)
		return 2;
	for (int i = 1; i < argc; i++) {
		const char *equals = strchr(argv[i], '=');
		size_t len = equals ? (size_t)(equals - argv[i]) : strlen(argv[i]);
		const Attempt *what = find(argv[i], len);
		if (!what) {
			fprintf(stderr, "try: there is no attempt '%s'\n", argv[i]);
			return 2;
		}
		attempt(what, argv[i], equals ? equals + 1 : "");
	}
	return 0;
}
