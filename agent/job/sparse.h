/* SPDX-License-Identifier: Apache-2.0 */
/* Which files of a commit a sparse checkout writes, as git decides it. Pure. */
#pragma once

#include <glib.h>
#include <stdbool.h>

typedef struct Sparse Sparse;

/**
 * @patterns   one a line: folders with `cone`, else patterns as of .gitignore, where the last that fits decides
 * Returns     NULL with USER for what cannot be a folder of the commit
 */
Sparse *sparse_new(const char *patterns, bool cone, GError **error);
void sparse_free(Sparse *sparse);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Sparse, sparse_free)
/** Is the file written? */
bool sparse_wants(const Sparse *sparse, const char *path);
/** What .git/info/sparse-checkout says; borrowed. */
const char *sparse_text(const Sparse *sparse);
