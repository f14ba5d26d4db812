/* SPDX-License-Identifier: Apache-2.0 */
/* A tree of the content store as a zip on standard output: `assay-worker export`, which the agent starts for a download. */
#pragma once

/** `export OBJECTS DIGEST SECONDS`: the store's folder, the tree, and the time that its files get. Returns an exit status. */
int export_main(int argc, char **argv);
