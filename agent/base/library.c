/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/base/library.h"

#include <dlfcn.h>
#include <string.h>

#include "agent/base/error.h"

bool library_load(const char *soname, const char *package, const LibrarySymbol *symbols, size_t count, GError **error)
{
	void *library = dlopen(soname, RTLD_NOW | RTLD_LOCAL);
	if (!library)
		return fail(error, ASSAY_ERROR_SYSTEM, "cannot load %s: %s; install the package %s", soname, dlerror(), package);
	for (size_t i = 0; i < count; i++) {
		void *found = dlsym(library, symbols[i].name);
		if (!found)
			return fail(error, ASSAY_ERROR_SYSTEM, "%s has no %s; install %s of Debian 12 or newer", soname,
			        symbols[i].name, package);
		memcpy(symbols[i].slot, &found, sizeof found); /* ISO C has no cast between the two kinds of pointers */
	}
	return true;
}
