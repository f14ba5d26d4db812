/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The config file. One table names every key with its reader, so that an unknown key is found, the default file and the
 * manual say the same, and each mistake shows its line with a caret.
 */
#include "agent/daemon/config.h"

#include <errno.h>
#include <string.h>

#include "agent/base/error.h"
#include "agent/base/fd.h"
#include "agent/base/json.h"
#include "agent/base/yaml.h"
#include "agent/model/reach.h"

#define CONFIG_BYTES_MAX (1024 * 1024)
#define MIB (1024 * 1024)
#define CPUS_MIN 0.01 /* the kernel's smallest share of a period */
#define CPUS_MAX 4096
#define RATE_MIN 65536
#define OPEN_FILES_MIN 16
#define MINUTE_US (60LL * G_USEC_PER_SEC)

/* A value being read: where it stands, and what it goes into. */
typedef struct Reading {
	const YamlDocument *document;
	Config *config;
	GError **error;
} Reading;

typedef bool (*KeyReader)(Reading *reading, const YamlNode *value);

static bool complain(const Reading *reading, const YamlNode *node, const char *message)
{
	g_autofree char *shown = yaml_caret(reading->document, node->line, node->column, message);
	return fail(reading->error, ASSAY_ERROR_USER, "%s", shown);
}

static bool read_text(Reading *reading, const YamlNode *value, char **out)
{
	if (value->kind == YAML_SEQUENCE || value->kind == YAML_MAPPING || !value->text || !value->text[0])
		return complain(reading, value, "a text is expected here");
	g_free(*out);
	*out = g_strdup(value->text);
	return true;
}

static bool read_int(Reading *reading, const YamlNode *value, int64_t low, int64_t high, int64_t *out)
{
	if (value->kind != YAML_NUMBER || value->number < (double)low || value->number > (double)high) {
		g_autofree char *message = g_strdup_printf("a number from %" G_GINT64_FORMAT " to %" G_GINT64_FORMAT
		                                           " is expected here", low, high);
		return complain(reading, value, message);
	}
	*out = (int64_t)value->number;
	return true;
}

/* "512 MiB", "2 GiB", "1048576" */
static bool read_bytes(Reading *reading, const YamlNode *value, int64_t *out)
{
	static const struct {
		const char *unit;
		int64_t factor;
	} units[] = {{"", 1}, {"B", 1}, {"KiB", 1024}, {"MiB", MIB}, {"GiB", 1024LL * MIB}, {"TiB", 1048576LL * MIB}};
	char *rest = NULL;
	double number = value->text ? g_ascii_strtod(value->text, &rest) : -1;
	while (rest && *rest == ' ')
		rest++;
	for (size_t i = 0; rest && i < G_N_ELEMENTS(units); i++)
		if (strcmp(rest, units[i].unit) == 0 && number >= 0 && number < 1e9) {
			*out = (int64_t)(number * (double)units[i].factor);
			return true;
		}
	return complain(reading, value, "a size such as 25 MiB is expected here");
}

/* "90s", "30 min", "6 h", "30 d" */
static bool read_duration(Reading *reading, const YamlNode *value, int64_t *out_us)
{
	static const struct {
		const char *unit;
		int64_t seconds;
	} units[] = {{"s", 1}, {"min", 60}, {"h", 3600}, {"d", 86400}};
	char *rest = NULL;
	double number = value->text ? g_ascii_strtod(value->text, &rest) : -1;
	while (rest && *rest == ' ')
		rest++;
	for (size_t i = 0; rest && i < G_N_ELEMENTS(units); i++)
		if (strcmp(rest, units[i].unit) == 0 && number >= 0 && number < 1e7) {
			*out_us = (int64_t)(number * (double)units[i].seconds * (double)G_USEC_PER_SEC);
			return true;
		}
	return complain(reading, value, "a time such as 90 s, 30 min, 6 h or 30 d is expected here");
}

bool config_parse_listen(const char *text, char **out_address, uint16_t *out_port, GError **error)
{
	const char *colon = text ? strrchr(text, ':') : NULL;
	guint64 port = 0;
	if (!colon || colon == text || !g_ascii_string_to_unsigned(colon + 1, 10, 0, 65535, &port, NULL))
		return fail(error, ASSAY_ERROR_USER, "'%s' is not ADDRESS:PORT, such as 127.0.0.1:8080", text ? text : "");
	g_free(*out_address);
	*out_address = text[0] == '[' && colon[-1] == ']' ? g_strndup(text + 1, (gsize)(colon - text) - 2)
	                                                  : g_strndup(text, (gsize)(colon - text));
	*out_port = (uint16_t)port;
	return true;
}

static bool key_data(Reading *r, const YamlNode *v)
{
	return read_text(r, v, &r->config->data);
}

static bool key_listen(Reading *r, const YamlNode *v)
{
	g_autofree char *text = NULL;
	g_autoptr(GError) why = NULL;
	if (!read_text(r, v, &text))
		return false;
	return config_parse_listen(text, &r->config->listen_address, &r->config->listen_port, &why) ||
	       complain(r, v, why->message);
}

static bool key_socket(Reading *r, const YamlNode *v)
{
	return read_text(r, v, &r->config->socket);
}

static bool key_url(Reading *r, const YamlNode *v)
{
	return read_text(r, v, &r->config->url);
}

static bool key_key_file(Reading *r, const YamlNode *v)
{
	return read_text(r, v, &r->config->key_file);
}

static bool key_jobs(Reading *r, const YamlNode *v)
{
	int64_t number = 0;
	if (!read_int(r, v, 0, 1024, &number))
		return false;
	r->config->jobs = (int)number;
	return true;
}

static bool key_log_level(Reading *r, const YamlNode *v)
{
	return read_text(r, v, &r->config->log_level);
}

static bool limit_body(Reading *r, const YamlNode *v)
{
	return read_bytes(r, v, &r->config->body_bytes);
}

static bool limit_job_time(Reading *r, const YamlNode *v)
{
	return read_duration(r, v, &r->config->job_timeout_us);
}

static bool limit_job_memory(Reading *r, const YamlNode *v)
{
	return read_bytes(r, v, &r->config->job_memory_bytes);
}

static bool limit_job_processes(Reading *r, const YamlNode *v)
{
	return read_int(r, v, 1, 4194304, &r->config->job_processes);
}

static bool limit_job_cpus(Reading *r, const YamlNode *v)
{
	char *rest = NULL;
	double number = v->text ? g_ascii_strtod(v->text, &rest) : -1;
	if (!rest || *rest || !(number == 0 || (number >= CPUS_MIN && number <= CPUS_MAX)))
		return complain(r, v, "a number of CPUs is expected here, such as 2 or 0.5; 0 is no limit");
	r->config->job_cpus = number;
	return true;
}

static bool limit_job_open_files(Reading *r, const YamlNode *v)
{
	int64_t number = 0;
	if (!read_int(r, v, 0, INT32_MAX, &number))
		return false;
	if (number > 0 && number < OPEN_FILES_MIN)
		return complain(r, v, "a program needs at least 16 open files to begin; 0 is no limit");
	r->config->job_open_files = number;
	return true;
}

static bool limit_job_file(Reading *r, const YamlNode *v)
{
	return read_bytes(r, v, &r->config->job_file_bytes);
}

static bool limit_job_disk(Reading *r, const YamlNode *v)
{
	return read_bytes(r, v, &r->config->job_disk_bytes);
}

/* With less, a job would hold up what others write for longer than anyone waits. */
static bool read_rate(Reading *r, const YamlNode *v, int64_t *out)
{
	int64_t number = 0;
	if (!read_bytes(r, v, &number))
		return false;
	if (number > 0 && number < RATE_MIN)
		return complain(r, v, "at least 64 KiB in a second are expected here, such as 50 MiB; 0 is no limit");
	*out = number;
	return true;
}

static bool limit_job_read(Reading *r, const YamlNode *v)
{
	return read_rate(r, v, &r->config->job_read_bytes_s);
}

static bool limit_job_write(Reading *r, const YamlNode *v)
{
	return read_rate(r, v, &r->config->job_write_bytes_s);
}

static bool limit_log(Reading *r, const YamlNode *v)
{
	return read_bytes(r, v, &r->config->log_bytes);
}

static bool caches_size(Reading *r, const YamlNode *v)
{
	return read_bytes(r, v, &r->config->cache_bytes);
}

static bool caches_unused(Reading *r, const YamlNode *v)
{
	return read_duration(r, v, &r->config->cache_age_us);
}

static bool artifacts_keep(Reading *r, const YamlNode *v)
{
	return read_duration(r, v, &r->config->artifact_age_us);
}

static bool gates_expire(Reading *r, const YamlNode *v)
{
	return read_duration(r, v, &r->config->gate_expires_us);
}

static bool sandbox_network(Reading *r, const YamlNode *v)
{
	static const char *const words[] = {"none", "loopback", "full", NULL};
	if (!v->text || !g_strv_contains(words, v->text))
		return complain(r, v, "none, loopback or full is expected here");
	return read_text(r, v, &r->config->network);
}

static bool sandbox_full_network(Reading *r, const YamlNode *v)
{
	static const char *const words[] = {"own", "host", NULL};
	if (!v->text || !g_strv_contains(words, v->text))
		return complain(r, v, "own or host is expected here");
	r->config->full_is_host = strcmp(v->text, "host") == 0;
	return true;
}

static bool sandbox_uid(Reading *r, const YamlNode *v)
{
	int64_t number = 0;
	if (!read_int(r, v, 1, UINT32_MAX - 1, &number))
		return false;
	r->config->job_uid = (uid_t)number;
	r->config->job_gid = (gid_t)number;
	return true;
}

/* Which ids the users of an image have: told to workers with what they are told of images. */
static bool sandbox_ids(Reading *r, const YamlNode *v)
{
	guint64 first = 0;
	bool word = v->text && (strcmp(v->text, "auto") == 0 || strcmp(v->text, "none") == 0);
	if (!word && (!v->text || !g_ascii_string_to_unsigned(v->text, 10, 1000, 0x7fff0000, &first, NULL)))
		return complain(r, v, "auto, none, or the first of 65535 ids that nobody has is expected here, such as 100000");
	json_set_string(r->config->images, "ids", v->text);
	return true;
}

static bool mount_absolute(Reading *r, const YamlNode *mount, const char *key, const char **out)
{
	YamlNode *node = yaml_get(mount, key);
	if (!node)
		return complain(r, mount, "a mount has 'source' and 'target'");
	if (!node->text || node->text[0] != '/')
		return complain(r, node, "an absolute path is expected here");
	*out = node->text;
	return true;
}

static bool sandbox_mounts(Reading *r, const YamlNode *v)
{
	if (v->kind != YAML_SEQUENCE)
		return complain(r, v, "a list of mounts is expected here");
	Config *config = r->config;
	config->mounts = g_new0(ConfigMount, v->items_len + 1);
	for (size_t i = 0; i < v->items_len; i++) {
		const YamlNode *mount = v->items[i];
		const char *source = NULL;
		const char *target = NULL;
		if (mount->kind != YAML_MAPPING)
			return complain(r, mount, "a mount is {source: /…, target: /…, writable: false, forks: false}");
		for (size_t k = 0; k + 1 < mount->items_len; k += 2)
			if (strcmp(mount->items[k]->text, "source") != 0 && strcmp(mount->items[k]->text, "target") != 0 &&
			        strcmp(mount->items[k]->text, "writable") != 0 && strcmp(mount->items[k]->text, "forks") != 0)
				return complain(r, mount->items[k], "unknown key; a mount has source, target, writable and forks");
		if (!mount_absolute(r, mount, "source", &source) || !mount_absolute(r, mount, "target", &target))
			return false;
		const YamlNode *writable = yaml_get(mount, "writable"), *forks = yaml_get(mount, "forks");
		if (writable && writable->kind != YAML_BOOLEAN)
			return complain(r, writable, "true or false is expected here");
		if (forks && forks->kind != YAML_BOOLEAN)
			return complain(r, forks, "true or false is expected here");
		config->mounts[config->mounts_len++] = (ConfigMount){.source = g_strdup(source), .target = g_strdup(target),
		        .writable = writable && writable->truth, .forks = forks && forks->truth};
	}
	return true;
}

static bool sandbox_devices(Reading *r, const YamlNode *v)
{
	if (v->kind != YAML_SEQUENCE)
		return complain(r, v, "a list of devices is expected here, such as [/dev/nvidia*, /dev/dri/renderD128]");
	GPtrArray *patterns = g_ptr_array_new_with_free_func(g_free);
	bool good = true;
	for (size_t i = 0; good && i < v->items_len; i++) {
		const char *text = v->items[i]->text;
		if (!text || !g_str_has_prefix(text, "/dev/") || strstr(text, "/../"))
			good = complain(r, v->items[i], "a path below /dev is expected here; * and ? stand for parts of a name");
		else
			g_ptr_array_add(patterns, g_strdup(text));
	}
	g_ptr_array_add(patterns, NULL);
	g_strfreev(r->config->devices);
	r->config->devices = (char **)g_ptr_array_steal(patterns, NULL);
	g_ptr_array_unref(patterns);
	return good;
}

static bool executors_allowed(Reading *r, const YamlNode *v)
{
	if (v->kind != YAML_SEQUENCE || v->items_len == 0)
		return complain(r, v, "a list of executors is expected here, such as [sandbox]");
	GPtrArray *names = g_ptr_array_new();
	bool good = true;
	for (size_t i = 0; good && i < v->items_len; i++) {
		const char *name = v->items[i]->text;
		if (g_strcmp0(name, "sandbox") != 0 && g_strcmp0(name, "host") != 0 && g_strcmp0(name, "null") != 0)
			good = complain(r, v->items[i], "unknown executor; this version has sandbox, host and null");
		else
			g_ptr_array_add(names, g_strdup(name));
	}
	g_ptr_array_add(names, NULL);
	g_strfreev(r->config->executors_allowed);
	r->config->executors_allowed = (char **)g_ptr_array_free(names, FALSE);
	if (good) {
		g_free(r->config->executor_default);
		r->config->executor_default = g_strdup(r->config->executors_allowed[0]);
	}
	return good;
}

/* A list of texts; an empty one is allowed. */
static bool read_texts(Reading *r, const YamlNode *v, const char *what, char ***out)
{
	if (v->kind != YAML_SEQUENCE)
		return complain(r, v, what);
	g_autoptr(GPtrArray) texts = g_ptr_array_new_with_free_func(g_free);
	for (size_t i = 0; i < v->items_len; i++) {
		if (v->items[i]->kind != YAML_STRING || v->items[i]->len == 0)
			return complain(r, v->items[i], what);
		g_ptr_array_add(texts, g_strdup(v->items[i]->text));
	}
	g_ptr_array_add(texts, NULL);
	g_strfreev(*out);
	*out = (char **)g_ptr_array_steal(texts, NULL);
	return true;
}

static bool read_allow(Reading *r, const YamlNode *v, char ***out)
{
	if (!read_texts(r, v, "a list of hosts and ports is expected here, such as [pypi.org:443]", out))
		return false;
	for (size_t i = 0; i < v->items_len; i++) {
		g_auto(Reach) reach = {0};
		g_autoptr(GError) error = NULL;
		if (!reach_parse(v->items[i]->text, &reach, &error))
			return complain(r, v->items[i], error->message);
	}
	return true;
}

static bool sandbox_allow(Reading *r, const YamlNode *v)
{
	return read_allow(r, v, &r->config->allow);
}

/* A list of a repo's own. That a name is known is not asked here: repos come and go while the config stays. */
static bool sandbox_repos(Reading *r, const YamlNode *v)
{
	if (v->kind != YAML_MAPPING)
		return complain(r, v, "repos with their lists are expected here: {acme/digits: {allow: [pypi.org:443]}}");
	for (size_t i = 0; i + 1 < v->items_len; i += 2) {
		const YamlNode *name = v->items[i], *settings = v->items[i + 1];
		g_auto(GStrv) texts = NULL;
		const char *slash = name->text ? strchr(name->text, '/') : NULL;
		if (!slash || slash == name->text || !slash[1])
			return complain(r, name, "a repo is named OWNER/NAME");
		if (settings->kind != YAML_MAPPING || settings->items_len != 2 || strcmp(settings->items[0]->text, "allow") != 0)
			return complain(r, settings, "a repo has one setting here: {allow: [pypi.org:443]}");
		if (!read_allow(r, settings->items[1], &texts))
			return false;
		json_t *list = json_array();
		json_set(r->config->repo_allow, name->text, list);
		for (char **text = texts; *text; text++)
			json_array_append_new(list, json_string(*text));
	}
	return true;
}

static bool actions_sources(Reading *r, const YamlNode *v)
{
	static const char *const what = "a list of addresses with {repo} in them is expected here, such as "
	                                "[https://github.com/{repo}.git]";
	if (!read_texts(r, v, what, &r->config->action_sources))
		return false;
	for (size_t i = 0; i < v->items_len; i++)
		if (!strstr(v->items[i]->text, "{repo}"))
			return complain(r, v->items[i], what);
	return true;
}

static bool actions_fetch(Reading *r, const YamlNode *v)
{
	return read_texts(r, v, "a list of built-in actions is expected here, such as [actions/upload-artifact]",
	        &r->config->action_fetch);
}

static bool images_texts(Reading *r, const YamlNode *v, const char *key)
{
	g_auto(GStrv) texts = NULL;
	if (!read_texts(r, v, "a list is expected here", &texts))
		return false;
	json_t *list = json_array();
	for (char **text = texts; *text; text++)
		json_array_append_new(list, json_string(*text));
	json_set(r->config->images, key, list);
	return true;
}

static bool images_registries(Reading *r, const YamlNode *v)
{
	return images_texts(r, v, "registries");
}

static bool images_plain_http(Reading *r, const YamlNode *v)
{
	return images_texts(r, v, "plain_http");
}

static bool images_local(Reading *r, const YamlNode *v)
{
	return images_texts(r, v, "local");
}

static bool images_ca_file(Reading *r, const YamlNode *v)
{
	g_autofree char *text = NULL;
	if (!read_text(r, v, &text))
		return false;
	json_set_string(r->config->images, "ca_file", text);
	return true;
}

static bool images_keep(Reading *r, const YamlNode *v)
{
	int64_t age = 0;
	if (!read_duration(r, v, &age))
		return false;
	json_set_int(r->config->images, "age_us", age);
	return true;
}

static bool images_size(Reading *r, const YamlNode *v)
{
	int64_t bytes = 0;
	if (!read_bytes(r, v, &bytes))
		return false;
	json_set_int(r->config->images, "bytes", bytes);
	return true;
}

static bool images_stall(Reading *r, const YamlNode *v)
{
	int64_t stall_us = 0;
	if (!read_duration(r, v, &stall_us))
		return false;
	json_set_int(r->config->images, "stall_s", MAX(stall_us / G_USEC_PER_SEC, 1));
	return true;
}

/* {docker.io: [https://mirror.example]} */
static bool images_mirrors(Reading *r, const YamlNode *v)
{
	if (v->kind != YAML_MAPPING)
		return complain(r, v, "registries with their mirrors are expected here: {docker.io: [https://…]}");
	json_t *mirrors = json_object();
	json_set(r->config->images, "mirrors", mirrors);
	for (size_t i = 0; i + 1 < v->items_len; i += 2) {
		g_auto(GStrv) texts = NULL;
		if (!read_texts(r, v->items[i + 1], "a list of addresses is expected here", &texts))
			return false;
		json_t *list = json_array();
		json_set(mirrors, v->items[i]->text, list);
		for (char **text = texts; *text; text++) {
			if (!g_str_has_prefix(*text, "https://") && !g_str_has_prefix(*text, "http://"))
				return complain(r, v->items[i + 1], "a mirror is an address with https:// or http://");
			json_array_append_new(list, json_string(*text));
		}
	}
	return true;
}

/* Paths of the host that workflows may mount: "/srv/data", or {path: /srv/data, writable: true}. */
static bool images_volumes(Reading *r, const YamlNode *v)
{
	if (v->kind != YAML_SEQUENCE)
		return complain(r, v, "a list of paths is expected here");
	json_t *list = json_array();
	json_set(r->config->images, "volumes", list);
	for (size_t i = 0; i < v->items_len; i++) {
		const YamlNode *item = v->items[i];
		const YamlNode *path = item->kind == YAML_MAPPING ? yaml_get(item, "path") : item;
		const YamlNode *writable = item->kind == YAML_MAPPING ? yaml_get(item, "writable") : NULL;
		if (!path || !path->text || path->text[0] != '/' || path->text[1] == '\0' || g_str_has_suffix(path->text, "/"))
			return complain(r, item, "an absolute path is expected here, or {path: /…, writable: true}");
		if (writable && writable->kind != YAML_BOOLEAN)
			return complain(r, writable, "true or false is expected here");
		json_t *one = json_object();
		json_set_string(one, "path", path->text);
		json_set_bool(one, "writable", writable && writable->truth);
		json_array_append_new(list, one);
	}
	return true;
}

static const struct {
	const char *section; /* NULL: at the top */
	const char *key;
	KeyReader reader;
} keys[] = {
        {NULL, "data", key_data},
        {NULL, "listen", key_listen},
        {NULL, "socket", key_socket},
        {NULL, "url", key_url},
        {NULL, "key_file", key_key_file},
        {NULL, "jobs", key_jobs},
        {NULL, "log_level", key_log_level},
        {NULL, "executors", executors_allowed},
        {"limits", "body", limit_body},
        {"limits", "job_time", limit_job_time},
        {"limits", "job_memory", limit_job_memory},
        {"limits", "job_processes", limit_job_processes},
        {"limits", "job_cpus", limit_job_cpus},
        {"limits", "job_open_files", limit_job_open_files},
        {"limits", "job_file", limit_job_file},
        {"limits", "job_disk", limit_job_disk},
        {"limits", "job_read", limit_job_read},
        {"limits", "job_write", limit_job_write},
        {"limits", "log", limit_log},
        {"caches", "size", caches_size},
        {"caches", "unused", caches_unused},
        {"artifacts", "keep", artifacts_keep},
        {"gates", "expire", gates_expire},
        {"sandbox", "network", sandbox_network},
        {"sandbox", "full_network", sandbox_full_network},
        {"sandbox", "allow", sandbox_allow},
        {"sandbox", "repos", sandbox_repos},
        {"sandbox", "uid", sandbox_uid},
        {"sandbox", "ids", sandbox_ids},
        {"sandbox", "mounts", sandbox_mounts},
        {"sandbox", "devices", sandbox_devices},
        {"actions", "sources", actions_sources},
        {"actions", "fetch", actions_fetch},
        {"images", "registries", images_registries},
        {"images", "mirrors", images_mirrors},
        {"images", "plain_http", images_plain_http},
        {"images", "ca_file", images_ca_file},
        {"images", "local", images_local},
        {"images", "volumes", images_volumes},
        {"images", "keep", images_keep},
        {"images", "size", images_size},
        {"images", "stall", images_stall},
};

static bool is_section(const char *name)
{
	for (size_t i = 0; i < G_N_ELEMENTS(keys); i++)
		if (g_strcmp0(keys[i].section, name) == 0)
			return true;
	return false;
}

static bool read_mapping(Reading *reading, const YamlNode *mapping, const char *section)
{
	if (section && mapping->kind == YAML_NULL)
		return true; /* a section whose keys are all commented out, as in the file that is installed */
	if (mapping->kind != YAML_MAPPING)
		return complain(reading, mapping, "a mapping of keys is expected here");
	for (size_t i = 0; i + 1 < mapping->items_len; i += 2) {
		const YamlNode *key = mapping->items[i];
		const YamlNode *value = mapping->items[i + 1];
		const char *name = key->text ? key->text : "";
		if (!section && is_section(name)) {
			if (!read_mapping(reading, value, name))
				return false;
			continue;
		}
		KeyReader reader = NULL;
		for (size_t k = 0; k < G_N_ELEMENTS(keys); k++)
			if (g_strcmp0(keys[k].section, section) == 0 && strcmp(keys[k].key, name) == 0)
				reader = keys[k].reader;
		if (!reader) {
			g_autofree char *message = g_strdup_printf("unknown key '%s'; assay.yml(5) lists those there are", name);
			return complain(reading, key, message);
		}
		if (!reader(reading, value))
			return false;
	}
	return true;
}

static Config *config_defaults(void)
{
	Config *config = g_new0(Config, 1);
	config->data = g_strdup("/var/lib/assay");
	config->listen_address = g_strdup("127.0.0.1");
	config->listen_port = 8080;
	config->socket = g_strdup("/run/assay/assay.sock");
	config->body_bytes = 25 * MIB;
	config->job_timeout_us = 360LL * MINUTE_US;
	config->job_processes = 4096;
	config->log_bytes = 1024LL * MIB;
	config->gate_expires_us = 30LL * 24 * 60 * MINUTE_US;
	config->cache_bytes = 10240LL * MIB;
	config->cache_age_us = 7LL * 24 * 60 * MINUTE_US;
	config->artifact_age_us = 90LL * 24 * 60 * MINUTE_US;
	config->network = g_strdup("none");
	config->executors_allowed = g_strsplit("sandbox", ",", 0);
	config->executor_default = g_strdup("sandbox");
	config->job_uid = 64001;
	config->job_gid = 64001;
	config->action_sources = g_strsplit("https://github.com/{repo}.git", ",", 0);
	config->action_fetch = g_new0(char *, 1);
	config->repo_allow = json_object();
	config->images = json_object();
	json_set_int(config->images, "age_us", 30LL * 24 * 60 * MINUTE_US);
	json_set_int(config->images, "bytes", 20LL * 1024 * MIB);
	config->log_level = g_strdup("info");
	return config;
}

Config *config_load(const char *path, GError **error)
{
	g_autoptr(Config) config = config_defaults();
	if (!path)
		return g_steal_pointer(&config);
	g_autoptr(GBytes) bytes = fd_read_file(path, CONFIG_BYTES_MAX, error);
	if (!bytes)
		return NULL;
	gsize len = 0;
	const char *text = g_bytes_get_data(bytes, &len);
	g_autoptr(YamlDocument) document = yaml_parse(text ? text : "", len, path, error);
	if (!document)
		return NULL;
	Reading reading = {.document = document, .config = config, .error = error};
	if (document->root && document->root->kind != YAML_NULL && !read_mapping(&reading, document->root, NULL))
		return NULL;
	return g_steal_pointer(&config);
}

void config_free(Config *config)
{
	if (!config)
		return;
	for (size_t i = 0; i < config->mounts_len; i++) {
		g_free(config->mounts[i].source);
		g_free(config->mounts[i].target);
	}
	g_free(config->mounts);
	g_strfreev(config->devices);
	g_free(config->data);
	g_free(config->listen_address);
	g_free(config->socket);
	g_free(config->url);
	g_free(config->key_file);
	g_free(config->network);
	g_strfreev(config->allow);
	g_strfreev(config->executors_allowed);
	g_free(config->executor_default);
	g_strfreev(config->action_sources);
	g_strfreev(config->action_fetch);
	json_decref(config->repo_allow);
	json_decref(config->images);
	g_free(config->log_level);
	g_free(config);
}
