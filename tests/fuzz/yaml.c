/* SPDX-License-Identifier: Apache-2.0 */
/* YAML of strangers: no input may crash, hang or blow up; a refused one has a message. */
#include "agent/base/yaml.h"

#include <stdint.h>

#include "agent/base/autoptr.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(YamlDocument) document = yaml_parse((const char *)data, size, "fuzz.yml", &error);
	g_assert((document != NULL) == (error == NULL));
	if (document) {
		g_autoptr(json_t) value = yaml_to_json(document->root);
		g_assert_nonnull(value);
	} else {
		g_assert_true(g_utf8_validate(error->message, -1, NULL));
	}
	return 0;
}
