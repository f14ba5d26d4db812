/* SPDX-License-Identifier: Apache-2.0 */
/* Names that git could write, in a file of their own: who only checks them is linked without libgit2. */
#include <string.h>

#include "agent/job/git.h"

bool git_name_is_safe(const char *name)
{
	return name[0] && !strchr(name, '/') && strcmp(name, ".") != 0 && strcmp(name, "..") != 0 &&
	       g_ascii_strcasecmp(name, ".git") != 0;
}
