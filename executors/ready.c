/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one piece of state in this room that outlives a place. It belongs to the process as its descriptors do: a clone
 * has it as it was, and what a clone adds is its own. Whoever has become another user begins anew, for namespaces
 * belong to users.
 */
#include "executors/ready.h"

#include <string.h>
#include <unistd.h>

#include "agent/base/autoptr.h"

#define TEMPLATES_MAX 4

static struct {
	bool begun;
	uid_t owner;
	int user_fd;
	GPtrArray *templates; /* Template *, the one used last at the end */
} shared = {.user_fd = -1};

static void begin(void)
{
	if (shared.begun && shared.owner == geteuid())
		return;
	g_clear_pointer(&shared.templates, g_ptr_array_unref);
	autofd_close(&shared.user_fd);
	shared.begun = true;
	shared.owner = geteuid();
	shared.templates = g_ptr_array_new_with_free_func((GDestroyNotify)template_free);
}

bool ready_user(int *out_fd, Failure *out)
{
	begin();
	if (shared.owner != 0 && shared.user_fd < 0)
		shared.user_fd = template_make_user(out);
	*out_fd = shared.user_fd;
	return shared.owner == 0 || shared.user_fd >= 0;
}

static Template *find(const char *recipe)
{
	for (guint i = 0; i < shared.templates->len; i++) {
		Template *template = shared.templates->pdata[i];
		if (strcmp(template->recipe, recipe) != 0)
			continue;
		if (template_is_fresh(template))
			return template;
		g_ptr_array_remove_index(shared.templates, i);
		break;
	}
	return NULL;
}

const Template *ready_template(const char *recipe, Failure *out)
{
	int user_fd;
	if (!ready_user(&user_fd, out))
		return NULL;
	Template *template = find(recipe);
	if (!template) {
		template = template_make(recipe, user_fd, out);
		if (!template)
			return NULL;
		if (shared.templates->len >= TEMPLATES_MAX)
			g_ptr_array_remove_index(shared.templates, 0);
		g_ptr_array_add(shared.templates, template);
	}
	return template;
}
