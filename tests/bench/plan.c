/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A workflow with a matrix of 1,000 jobs (four calls of 250, since one matrix has at most 256): read, planned and
 * resolved, in CPU time, beside libyaml's own event loop over the same bytes. Run by hand; prints milliseconds.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <yaml.h>

#include "agent/base/autoptr.h"
#include "agent/job/planner.h"
#include "agent/job/reader.h"

#define ROUNDS 50
#define MATRICES 4
#define VALUES 250

static double cpu_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static GString *make_workflow(void)
{
	GString *text = g_string_new("name: Matrix\non: push\nenv: {A: '${{ github.ref }}'}\njobs:\n");
	for (int i = 0; i < MATRICES; i++) {
		g_string_append_printf(text, "  test%d:\n    strategy:\n      fail-fast: false\n      matrix:\n        value:\n", i);
		for (int j = 0; j < VALUES; j++)
			g_string_append_printf(text, "        - 'python-3.%d'\n", j);
		g_string_append(text, "        os: [ubuntu-latest]\n    name: test ${{ matrix.value }} on ${{ matrix.os }}\n"
		                      "    runs-on: ${{ matrix.os }}\n    if: github.event_name == 'push'\n    steps:\n"
		                      "    - uses: actions/checkout@v4\n    - uses: actions/setup-python@v5\n      with:\n"
		                      "        python-version: ${{ matrix.value }}\n    - run: |\n        python -m pip install -e .\n"
		                      "        pytest -q\n");
	}
	return text;
}

static size_t count_events(const GString *text)
{
	yaml_parser_t parser;
	size_t count = 0;
	yaml_parser_initialize(&parser);
	yaml_parser_set_input_string(&parser, (const unsigned char *)text->str, text->len);
	for (bool more = true; more; count++) {
		yaml_event_t event;
		if (!yaml_parser_parse(&parser, &event))
			break;
		more = event.type != YAML_STREAM_END_EVENT;
		yaml_event_delete(&event);
	}
	yaml_parser_delete(&parser);
	return count;
}

static size_t plan(const GString *text)
{
	g_autoptr(json_t) errors = NULL;
	g_autoptr(Workflow) workflow = reader_read(text->str, text->len, "m.yml", &errors);
	g_autoptr(json_t) contexts = json_pack("{s:{s:s,s:s},s:{},s:{}}", "github", "event_name", "push", "ref",
	        "refs/heads/main", "vars", "inputs");
	g_autoptr(GError) error = NULL;
	g_autoptr(json_t) jobs = planner_jobs(workflow, contexts, NULL, &error);
	if (!jobs)
		g_error("%s", error->message);
	return json_array_size(jobs);
}

int main(void)
{
	g_autoptr(GString) text = make_workflow();
	double start = cpu_ms();
	size_t events = 0;
	for (int i = 0; i < ROUNDS; i++)
		events = count_events(text);
	double libyaml = (cpu_ms() - start) / ROUNDS;
	start = cpu_ms();
	for (int i = 0; i < ROUNDS; i++) {
		g_autoptr(json_t) errors = NULL;
		g_autoptr(Workflow) workflow = reader_read(text->str, text->len, "m.yml", &errors);
	}
	double read = (cpu_ms() - start) / ROUNDS;
	size_t jobs = 0;
	start = cpu_ms();
	for (int i = 0; i < ROUNDS; i++)
		jobs = plan(text);
	double planned = (cpu_ms() - start) / ROUNDS;
	printf("%zu bytes, %zu events, %zu jobs\nlibyaml's events: %.2f ms\nread: %.2f ms\nread and planned: %.2f ms of CPU\n",
	        text->len, events, jobs, libyaml, read, planned);
	return 0;
}
