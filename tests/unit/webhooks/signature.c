/* SPDX-License-Identifier: Apache-2.0 */
#include "webhooks/signature.h"

#include <glib.h>
#include <string.h>

#define SECRET "It's a Secret to Everybody"
#define BODY "Hello, World!"
#define HEX "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"

static bool check(const char *given, const char *prefix, const char *body, const char *secret)
{
	return signature_hmac_sha256(given, prefix, body, strlen(body), secret, strlen(secret));
}

static void test_vector(void)
{
	g_assert_true(check("sha256=" HEX, "sha256=", BODY, SECRET));
	g_assert_true(check(HEX, "", BODY, SECRET));
}

static void test_refuses(void)
{
	g_assert_false(check(NULL, "sha256=", BODY, SECRET));
	g_assert_false(check("", "sha256=", BODY, SECRET));
	g_assert_false(check(HEX, "sha256=", BODY, SECRET));
	g_assert_false(check("sha1=" HEX, "sha256=", BODY, SECRET));
	g_assert_false(check("sha256=" HEX "0", "sha256=", BODY, SECRET));
	g_assert_false(check("sha256=057107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17", "sha256=", BODY, SECRET));
	g_assert_false(check("sha256=z57107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17", "sha256=", BODY, SECRET));
	g_assert_false(check("sha256=" HEX, "sha256=", "Hello, World?", SECRET));
	g_assert_false(check("sha256=" HEX, "sha256=", BODY, "It's a secret to everybody"));
}

static void test_empty_secret(void)
{
	/* HMAC of "" under "": a hook whose secret was never set must not be open to all. */
	g_assert_false(check("sha256=b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad", "sha256=", "", ""));
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/signature/accepts_githubs_own_test_vector", test_vector);
	g_test_add_func("/signature/refuses_whatever_differs", test_refuses);
	g_test_add_func("/signature/refuses_an_empty_secret", test_empty_secret);
	return g_test_run();
}
