/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/model/container.h"

#include <string.h>

#include "agent/base/error.h"
#include "agent/base/json.h"

static void options_are_read_as_docker_does(void)
{
	g_autoptr(GError) error = NULL;
	g_auto(ContainerOptions) o = {.env = NULL};
	g_assert_true(container_options_parse("--user 5:6 -w /here -e A=b=c --env=D= --cpus 1.5 -m 512m --shm-size=1g --health-cmd "
	        "\"pg_isready -U 'x y'\" --health-interval 1m30s --health-timeout 500ms --health-retries 4 --health-start-period 2s "
	        "--hostname box --network-alias db --add-host a:10.0.0.1 --ulimit nofile=64:128 --tmpfs /t:rw,size=1m,mode=700 --read-only "
	        "-v x:/y:ro --entrypoint /bin/sh --cap-drop ALL --init -it --label a=b",
	        &o, &error));
	g_assert_no_error(error);
	g_assert_cmpstr(o.user, ==, "5:6");
	g_assert_cmpstr(o.folder, ==, "/here");
	g_assert_cmpstr(json_get_string(o.env, "A", NULL), ==, "b=c");
	g_assert_cmpstr(json_get_string(o.env, "D", NULL), ==, "");
	g_assert_cmpfloat(o.cpus, ==, 1.5);
	g_assert_cmpint(o.memory_bytes, ==, 512 << 20);
	g_assert_cmpint(o.shm_bytes, ==, 1 << 30);
	g_assert_cmpstr(o.health_command, ==, "pg_isready -U 'x y'");
	g_assert_cmpint(o.health_interval_us, ==, 90000000);
	g_assert_cmpint(o.health_timeout_us, ==, 500000);
	g_assert_cmpint(o.health_retries, ==, 4);
	g_assert_cmpint(o.health_start_us, ==, 2000000);
	g_assert_cmpstr(o.names->pdata[0], ==, "db");
	g_assert_cmpstr(o.hosts->pdata[0], ==, "10.0.0.1 a");
	g_assert_cmpint(o.open_files, ==, 128);
	g_assert_cmpstr(o.tmpfs->pdata[0], ==, "/t:size=1m,mode=700");
	g_assert_cmpstr(o.volumes->pdata[0], ==, "x:/y:ro");
	g_assert_true(o.read_only);
}

static void nothing_is_nothing(void)
{
	static const char *const texts[] = {NULL, "", "   ", "\n"};
	for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
		g_auto(ContainerOptions) o = {.env = NULL};
		g_assert_true(container_options_parse(texts[i], &o, NULL));
		g_assert_cmpuint(json_object_size(o.env), ==, 0);
	}
}

static void devices_are_wishes(void)
{
	g_auto(ContainerOptions) o = {.env = NULL};
	g_assert_true(container_options_parse("--device=/dev/dri:/dev/dri:rw --gpus all --device /dev/kfd:rwm", &o, NULL));
	g_assert_cmpuint(o.devices->len, ==, 3);
	g_assert_cmpstr(o.devices->pdata[0], ==, "/dev/dri");
	g_assert_cmpstr(o.devices->pdata[1], ==, CONTAINER_GPUS);
	g_assert_cmpstr(o.devices->pdata[2], ==, "/dev/kfd");
}

static void what_is_not_understood_is_named(void)
{
	static const char *const wrong[][2] = {{"--privileged", "--privileged cannot be given"}, {"--network host", "--network cannot"},
	        {"--cap-add SYS_ADMIN", "--cap-add cannot"}, {"--device /etc/passwd", "no device that can be had"},
	        {"--device /dev/kvm:/dev/other", "no device that can be had"}, {"--device /dev/../etc", "no device that can be had"},
	        {"-p 80:80", "--publish cannot"}, {"--pid=host", "--pid cannot"}, {"--security-opt seccomp=unconfined", "weaken"},
	        {"--unknown", "'--unknown' is not known"}, {"word", "'word' is not known"}, {"--user", "needs a value"},
	        {"--memory lots", "no size"}, {"--health-interval soon", "no time"}, {"--cpus -1", "no number"}, {"--env NAME", "NAME=value"},
	        {"--hostname a/b", "no host name"}, {"--add-host a:b", "NAME:ADDRESS"}, {"--ulimit rss=5", "cannot be set"},
	        {"--tmpfs /t:uid=0", "cannot be set"}, {"--tmpfs /t:size=1;x", "no size"}, {"--workdir rel", "absolute"}, {"'open", "options: "}};
	for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++) {
		g_autoptr(GError) error = NULL;
		g_auto(ContainerOptions) o = {.env = NULL};
		g_assert_false(container_options_parse(wrong[i][0], &o, &error));
		if (!strstr(error->message, wrong[i][1]))
			g_error("'%s' is not in '%s'", wrong[i][1], error->message);
	}
}

static void ports(void)
{
	int outside = -1, inside = -1;
	bool udp = false;
	g_assert_true(container_port_parse("8080:80/udp", &outside, &inside, &udp, NULL));
	g_assert_true(outside == 8080 && inside == 80 && udp);
	g_assert_true(container_port_parse("127.0.0.1:8080:80", &outside, &inside, &udp, NULL));
	g_assert_true(outside == 8080 && inside == 80 && !udp);
	g_assert_true(container_port_parse("5432", &outside, &inside, &udp, NULL));
	g_assert_true(outside == 0 && inside == 5432);
	static const char *const wrong[] = {"", "0", "65536", "a", "1-5", "80/sctp", ":80", "80:"};
	for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++)
		g_assert_false(container_port_parse(wrong[i], &outside, &inside, &udp, NULL));
}

static void volumes(void)
{
	ContainerVolume volume = {.source = NULL};
	g_assert_true(container_volume_parse("name:/in:ro", &volume, NULL));
	g_assert_cmpstr(volume.source, ==, "name");
	g_assert_cmpstr(volume.target, ==, "/in");
	g_assert_true(volume.read_only);
	container_volume_clear(&volume);
	g_assert_true(container_volume_parse("/in", &volume, NULL));
	g_assert_null(volume.source);
	container_volume_clear(&volume);
	static const char *const wrong[] = {"", "name", "a:b", "a:/b:x", ":/b", "a:/b:ro:z", "/w/../..:/x", "a:/b/../c", "..:/x"};
	for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++)
		g_assert_false(container_volume_parse(wrong[i], &volume, NULL));
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
#define ADD(name) g_test_add_func("/container/" #name, name)
	ADD(options_are_read_as_docker_does);
	ADD(nothing_is_nothing);
	ADD(devices_are_wishes);
	ADD(what_is_not_understood_is_named);
	ADD(ports);
	ADD(volumes);
	return g_test_run();
}
