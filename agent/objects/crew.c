/* SPDX-License-Identifier: Apache-2.0 */
/* A stack of tasks under one lock. A stack, not a queue: a tree is walked in depth, so few folders wait at once. */
#include "agent/objects/crew.h"

struct Crew {
	CrewWork work;
	GDestroyNotify drop;
	void *data;
	GMutex lock;
	GCond wake;
	GPtrArray *stack;
	unsigned busy;  /* threads inside work() */
	GError *error;  /* the first */
};

typedef struct Seat {
	Crew *crew;
	unsigned worker;
} Seat;

unsigned crew_size(void)
{
	return CLAMP(g_get_num_processors(), 2U, 8U);
}

Crew *crew_new(CrewWork work, GDestroyNotify drop, void *data)
{
	Crew *crew = g_new0(Crew, 1);
	crew->work = work;
	crew->drop = drop;
	crew->data = data;
	crew->stack = g_ptr_array_new();
	g_mutex_init(&crew->lock);
	g_cond_init(&crew->wake);
	return crew;
}

void crew_push(Crew *crew, void *task)
{
	g_mutex_lock(&crew->lock);
	g_ptr_array_add(crew->stack, task);
	g_cond_signal(&crew->wake);
	g_mutex_unlock(&crew->lock);
}

static void *sit(void *data)
{
	const Seat *seat = data;
	Crew *crew = seat->crew;
	g_mutex_lock(&crew->lock);
	for (;;) {
		while (!crew->error && crew->stack->len == 0 && crew->busy > 0)
			g_cond_wait(&crew->wake, &crew->lock);
		if (crew->error || crew->stack->len == 0)
			break;
		void *task = g_ptr_array_steal_index(crew->stack, crew->stack->len - 1);
		crew->busy++;
		g_mutex_unlock(&crew->lock);
		GError *error = NULL;
		bool done = crew->work(crew, task, seat->worker, crew->data, &error);
		g_mutex_lock(&crew->lock);
		crew->busy--;
		if (!done && !crew->error)
			crew->error = g_steal_pointer(&error);
		g_clear_error(&error);
		if (crew->error || (crew->busy == 0 && crew->stack->len == 0))
			g_cond_broadcast(&crew->wake);
	}
	g_mutex_unlock(&crew->lock);
	return NULL;
}

bool crew_run(Crew *crew, GError **error)
{
	unsigned count = crew_size();
	Seat seats[8];
	GThread *threads[8] = {NULL};
	for (unsigned i = 0; i < count; i++)
		seats[i] = (Seat){crew, i};
	for (unsigned i = 1; i < count; i++) /* where no more threads are to be had, fewer do the work */
		threads[i] = g_thread_try_new("objects", sit, &seats[i], NULL);
	sit(&seats[0]);
	for (unsigned i = 1; i < count; i++)
		if (threads[i])
			g_thread_join(threads[i]);
	if (!crew->error)
		return true;
	g_propagate_error(error, g_steal_pointer(&crew->error));
	return false;
}

void crew_free(Crew *crew)
{
	if (!crew)
		return;
	for (guint i = 0; i < crew->stack->len; i++)
		if (crew->drop)
			crew->drop(crew->stack->pdata[i]);
	g_ptr_array_free(crew->stack, TRUE);
	g_clear_error(&crew->error);
	g_mutex_clear(&crew->lock);
	g_cond_clear(&crew->wake);
	g_free(crew);
}
