/* SPDX-License-Identifier: Apache-2.0 */
/* .gitmodules as strangers write it, and the addresses that may come of it. */
#include "agent/job/submodules.h"

#include <string.h>

#include "agent/base/error.h"

static void what_is_safe_is_read(void)
{
	static const char text[] =
	        "# a comment\n[submodule \"third/inner\"]\n\tpath = third/inner\n\turl = ../inner.git ; why\n"
	        "[core]\n\tpath = x\n[include]\n\tpath = /etc/passwd\n"
	        "[submodule \"../../escape\"]\n\tpath = a\n\turl = ../b\n"
	        "[submodule \"out\"]\n\tpath = ../out\n\turl = ../b\n"
	        "[submodule \"dot\"]\n\tpath = x/.git/hooks\n\turl = ../b\n"
	        "[submodule \"dash\"]\n\tpath = -x\n\turl = ../b\n"
	        "[submodule \"no url\"]\n\tpath = y\n"
	        "[submodule \"quoted\"]\n\tpath = \"with space\"\n\tURL = \"https://h/a\\\"b\"\n";
	g_autoptr(GPtrArray) modules = submodules_read(text, strlen(text));
	g_assert_cmpuint(modules->len, ==, 2);
	const Submodule *first = modules->pdata[0], *second = modules->pdata[1];
	g_assert_cmpstr(first->name, ==, "third/inner");
	g_assert_cmpstr(first->path, ==, "third/inner");
	g_assert_cmpstr(first->url, ==, "../inner.git");
	g_assert_cmpstr(second->path, ==, "with space");
	g_assert_cmpstr(second->url, ==, "https://h/a\"b");
}

static void an_address_stays_with_its_superproject(void)
{
	static const struct {
		const char *super, *url, *want; /* NULL: refused */
	} rows[] = {
	        {"https://h/a/b.git", "../c.git", "https://h/a/c.git"},
	        {"https://h/a/b.git", "./c", "https://h/a/b.git/c"},
	        {"https://h/a/b.git", "../../x/y", "https://h/x/y"},
	        {"https://h/a/b.git", "https://other/x", "https://other/x"},
	        {"https://h/a/b.git", "http://other/x", NULL},
	        {"http://h/a/b.git", "http://other/x", "http://other/x"},
	        {"https://h/a/b.git", "git@other:x/y", "git@other:x/y"},
	        {"git@h:a/b.git", "../c.git", "git@h:a/c.git"},
	        {"ssh://git@h:22/a/b.git", "../c", "ssh://git@h:22/a/c"},
	        {"https://h/a/b.git", "git://other/x", NULL},
	        {"https://h/a/b.git", "file:///etc", NULL},
	        {"https://h/a/b.git", "/etc", NULL},
	        {"https://h/a/b.git", "ext::sh -c true", NULL},
	        {"https://h/a/b.git", "--upload-pack=x", NULL},
	        {"https://h/a/b.git", "https://h/a b", NULL},
	        {"https://h/a/b.git", "ssh://-oProxyCommand=x/y", NULL},
	        {"file:///srv/git/b.git", "../c.git", "file:///srv/git/c.git"},
	        {"/srv/git/b.git", "../c.git", "/srv/git/c.git"},
	        {"file:///srv/git/b.git", "../../secret/c.git", NULL},
	        {"file:///srv/git/b.git", "file:///srv/git/d.git", "file:///srv/git/d.git"},
	        {"file:///srv/git/b.git", "file:///srv/git/../x", NULL},
	        {"file:///srv/git/b.git", "https://h/x", "https://h/x"},
	};
	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
		g_autoptr(GError) error = NULL;
		g_autofree char *got = submodules_address(rows[i].super, rows[i].url, &error);
		if (g_strcmp0(got, rows[i].want) != 0)
			g_error("%s, %s: %s", rows[i].super, rows[i].url, got);
		g_assert_true(rows[i].want ? !error : g_error_matches(error, ASSAY_ERROR, ASSAY_ERROR_DENIED));
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/submodules/what_is_safe_is_read", what_is_safe_is_read);
	g_test_add_func("/submodules/an_address_stays_with_its_superproject", an_address_stays_with_its_superproject);
	return g_test_run();
}
