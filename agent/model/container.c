/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Docker's options, one row each: how it is read, or why it is refused. Silence would be worse than a refusal: a workflow
 * that asks for a limit or a right would run without it.
 */
#include "agent/model/container.h"

#include <string.h>

#include "agent/base/error.h"
#include "agent/base/json.h"

#define LIST_MAX 256

typedef bool (*OptionReader)(ContainerOptions *options, const char *value, GError **error);

static bool set_text(char **to, const char *value)
{
	g_free(*to);
	*to = g_strdup(value);
	return true;
}

static bool add_text(GPtrArray *to, const char *value, GError **error)
{
	if (to->len >= LIST_MAX)
		return fail(error, ASSAY_ERROR_USER, "it is given more than %d times", LIST_MAX);
	g_ptr_array_add(to, g_strdup(value));
	return true;
}

/* "512m", "1g", "1048576" */
static bool read_size(const char *value, int64_t *out, GError **error)
{
	static const struct {
		const char *unit;
		int64_t factor;
	} units[] = {{"", 1}, {"b", 1}, {"k", 1024}, {"kb", 1024}, {"m", 1048576}, {"mb", 1048576}, {"g", 1073741824},
	        {"gb", 1073741824}};
	char *rest = NULL;
	double number = g_ascii_strtod(value, &rest);
	g_autofree char *unit = g_ascii_strdown(rest, -1);
	for (size_t i = 0; rest != value && i < G_N_ELEMENTS(units); i++)
		if (strcmp(unit, units[i].unit) == 0 && number > 0 && number < 1e12 && number * (double)units[i].factor < 1e15) {
			*out = (int64_t)(number * (double)units[i].factor);
			return true;
		}
	return fail(error, ASSAY_ERROR_USER, "'%s' is no size such as 512m", value);
}

/* "1m30s", "500ms", "10s" */
static bool read_duration(const char *value, int64_t *out, GError **error)
{
	static const struct {
		const char *unit;
		double us;
	} units[] = {{"us", 1}, {"ms", 1e3}, {"s", 1e6}, {"m", 6e7}, {"h", 3.6e9}};
	double sum = 0;
	const char *at = value;
	while (*at) {
		char *rest = NULL;
		double number = g_ascii_strtod(at, &rest);
		size_t len = strspn(rest, "abcdefghijklmnopqrstuvwxyz");
		bool known = false;
		for (size_t i = 0; rest != at && i < G_N_ELEMENTS(units); i++)
			if (strlen(units[i].unit) == len && strncmp(rest, units[i].unit, len) == 0 && number >= 0) {
				sum += number * units[i].us;
				known = true;
			}
		if (!known || !(sum < 1e14))
			break;
		at = rest + len;
	}
	if (*at || at == value)
		return fail(error, ASSAY_ERROR_USER, "'%s' is no time such as 10s", value);
	*out = (int64_t)sum;
	return true;
}

static bool read_count(const char *value, int64_t *out, GError **error)
{
	gint64 number = 0;
	if (!g_ascii_string_to_signed(value, 10, 1, 1000000000, &number, NULL))
		return fail(error, ASSAY_ERROR_USER, "'%s' is no number above 0", value);
	*out = number;
	return true;
}

static bool take_user(ContainerOptions *o, const char *v, GError **error)
{
	(void)error;
	return set_text(&o->user, v);
}
static bool take_folder(ContainerOptions *o, const char *v, GError **error)
{
	if (v[0] != '/')
		return fail(error, ASSAY_ERROR_USER, "'%s' is not an absolute path", v);
	return set_text(&o->folder, v);
}
static bool take_entrypoint(ContainerOptions *o, const char *v, GError **error)
{
	(void)error;
	return set_text(&o->entrypoint, v);
}

static bool is_host_name(const char *name)
{
	size_t len = strlen(name);
	return len > 0 && len <= 63 &&
	       strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") == len && name[0] != '-';
}

static bool take_hostname(ContainerOptions *o, const char *v, GError **error)
{
	return is_host_name(v) ? set_text(&o->hostname, v) : fail(error, ASSAY_ERROR_USER, "'%s' is no host name", v);
}
static bool take_name(ContainerOptions *o, const char *v, GError **error)
{
	return is_host_name(v) ? add_text(o->names, v, error) : fail(error, ASSAY_ERROR_USER, "'%s' is no host name", v);
}

static bool take_env(ContainerOptions *o, const char *v, GError **error)
{
	const char *equals = strchr(v, '=');
	if (!equals || equals == v)
		return fail(error, ASSAY_ERROR_USER, "'%s' is not NAME=value; there is no environment to take it from", v);
	g_autofree char *name = g_strndup(v, (gsize)(equals - v));
	json_set_string(o->env, name, equals + 1);
	return true;
}

static bool take_cpus(ContainerOptions *o, const char *v, GError **error)
{
	char *rest = NULL;
	o->cpus = g_ascii_strtod(v, &rest);
	return (*rest == '\0' && o->cpus > 0 && o->cpus <= 4096) ||
	       fail(error, ASSAY_ERROR_USER, "'%s' is no number of processors", v);
}
static bool take_memory(ContainerOptions *o, const char *v, GError **error)
{
	return read_size(v, &o->memory_bytes, error);
}
static bool take_shm(ContainerOptions *o, const char *v, GError **error)
{
	return read_size(v, &o->shm_bytes, error);
}
static bool take_processes(ContainerOptions *o, const char *v, GError **error)
{
	return read_count(v, &o->processes, error);
}
static bool take_health(ContainerOptions *o, const char *v, GError **error)
{
	(void)error;
	return set_text(&o->health_command, v);
}
static bool take_interval(ContainerOptions *o, const char *v, GError **error)
{
	return read_duration(v, &o->health_interval_us, error);
}
static bool take_timeout(ContainerOptions *o, const char *v, GError **error)
{
	return read_duration(v, &o->health_timeout_us, error);
}
static bool take_start(ContainerOptions *o, const char *v, GError **error)
{
	return read_duration(v, &o->health_start_us, error);
}
static bool take_retries(ContainerOptions *o, const char *v, GError **error)
{
	return read_count(v, &o->health_retries, error);
}

/* "name:address" of Docker is "address name" in /etc/hosts. */
static bool take_host(ContainerOptions *o, const char *v, GError **error)
{
	size_t at = strcspn(v, ":=");
	g_autofree char *name = g_strndup(v, at);
	const char *address = v[at] ? v + at + 1 : "";
	if (!is_host_name(name) || !g_hostname_is_ip_address(address))
		return fail(error, ASSAY_ERROR_USER, "'%s' is not NAME:ADDRESS", v);
	g_autofree char *line = g_strconcat(address, " ", name, NULL);
	return add_text(o->hosts, line, error);
}

static bool take_ulimit(ContainerOptions *o, const char *v, GError **error)
{
	const char *equals = strchr(v, '=');
	const char *colon = equals ? strchr(equals, ':') : NULL;
	g_autofree char *hard = equals ? g_strdup(colon ? colon + 1 : equals + 1) : NULL;
	int64_t *to = NULL;
	if (g_str_has_prefix(v, "nofile="))
		to = &o->open_files;
	else if (g_str_has_prefix(v, "nproc="))
		to = &o->processes;
	else if (g_str_has_prefix(v, "fsize="))
		to = &o->file_bytes;
	else if (g_str_has_prefix(v, "core="))
		return true; /* there are none anyway */
	if (!to)
		return fail(error, ASSAY_ERROR_USER, "'%s' cannot be set here; nofile, nproc and fsize can", v);
	return read_count(hard, to, error);
}

static bool take_tmpfs(ContainerOptions *o, const char *v, GError **error)
{
	const char *colon = strchr(v, ':');
	g_auto(GStrv) words = g_strsplit(colon ? colon + 1 : "", ",", LIST_MAX);
	for (char **word = words; *word; word++) {
		static const char *const passed_over[] = {"rw", "nosuid", "nodev", "exec", "noexec", NULL};
		if (**word && !g_strv_contains(passed_over, *word) && !g_str_has_prefix(*word, "size=") && !g_str_has_prefix(*word, "mode="))
			return fail(error, ASSAY_ERROR_USER, "'%s' of '%s' cannot be set here; size and mode can", *word, v);
	}
	g_autoptr(GString) kept = g_string_new(NULL);
	g_string_append_len(kept, v, colon ? colon - v : (gssize)strlen(v));
	const char *separator = ":";
	for (char **word = words; *word; word++)
		if (g_str_has_prefix(*word, "size=") || g_str_has_prefix(*word, "mode=")) {
			if (strspn(strchr(*word, '=') + 1, "0123456789kmgKMG%") != strlen(strchr(*word, '=') + 1))
				return fail(error, ASSAY_ERROR_USER, "'%s' is no size or mode", *word);
			g_string_append_printf(kept, "%s%s", separator, *word);
			separator = ",";
		}
	return add_text(o->tmpfs, kept->str, error);
}
static bool take_volume(ContainerOptions *o, const char *v, GError **error)
{
	return add_text(o->volumes, v, error);
}
/* By the same name on both sides; the agent's config says which there are. */
static bool take_device(ContainerOptions *o, const char *v, GError **error)
{
	g_auto(GStrv) parts = g_strsplit(v, ":", 3);
	bool same = parts[0] && (!parts[1] || parts[1][0] != '/' || strcmp(parts[0], parts[1]) == 0);
	if (!same || !g_str_has_prefix(parts[0], "/dev/") || strstr(parts[0], ".."))
		return fail(error, ASSAY_ERROR_USER, "'%s' is no device that can be had: a path below /dev, by the same name inside", v);
	g_ptr_array_add(o->devices, g_strdup(parts[0]));
	return true;
}
static bool take_gpus(ContainerOptions *o, const char *v, GError **error)
{
	(void)v; /* all of those that the agent gives */
	(void)error;
	g_ptr_array_add(o->devices, g_strdup(CONTAINER_GPUS));
	return true;
}
static bool take_read_only(ContainerOptions *o, const char *v, GError **error)
{
	(void)error;
	o->read_only = !v || strcmp(v, "false") != 0;
	return true;
}
static bool take_no_health(ContainerOptions *o, const char *v, GError **error)
{
	(void)error;
	o->no_health = !v || strcmp(v, "false") != 0;
	return true;
}
static bool take_nothing(ContainerOptions *o, const char *v, GError **error)
{
	(void)o;
	(void)v;
	(void)error;
	return true;
}
static bool take_security(ContainerOptions *o, const char *v, GError **error)
{
	(void)o;
	return g_str_has_prefix(v, "no-new-privileges") ||
	       fail(error, ASSAY_ERROR_USER, "'%s' would weaken the place's walls; only no-new-privileges can be said, and is so anyway", v);
}

static const struct {
	const char *name;
	char letter;      /* 0: none */
	bool is_flag;     /* it stands alone */
	OptionReader read; /* NULL: refused */
	const char *why;
} options_known[] = {
        {"add-host", 0, false, take_host, NULL},
        {"cap-add", 0, false, NULL, "steps and services have no capabilities here"},
        {"cap-drop", 0, false, take_nothing, NULL},
        {"cpus", 0, false, take_cpus, NULL},
        {"device", 0, false, take_device, NULL},
        {"entrypoint", 0, false, take_entrypoint, NULL},
        {"env", 'e', false, take_env, NULL},
        {"gpus", 0, false, take_gpus, NULL},
        {"health-cmd", 0, false, take_health, NULL},
        {"health-interval", 0, false, take_interval, NULL},
        {"health-retries", 0, false, take_retries, NULL},
        {"health-start-period", 0, false, take_start, NULL},
        {"health-timeout", 0, false, take_timeout, NULL},
        {"hostname", 'h', false, take_hostname, NULL},
        {"init", 0, true, take_nothing, NULL},
        {"interactive", 'i', true, take_nothing, NULL},
        {"label", 'l', false, take_nothing, NULL},
        {"memory", 'm', false, take_memory, NULL},
        {"mount", 0, false, NULL, "write it as a volume: NAME:/folder"},
        {"name", 0, false, take_name, NULL},
        {"network", 0, false, NULL, "the network is the job's own, and the agent's config says how far it goes (sandbox.network)"},
        {"network-alias", 0, false, take_name, NULL},
        {"no-healthcheck", 0, true, take_no_health, NULL},
        {"pid", 0, false, NULL, "each container has processes of its own"},
        {"pids-limit", 0, false, take_processes, NULL},
        {"privileged", 0, true, NULL, "nothing is privileged here; say what it is needed for as an issue"},
        {"publish", 'p', false, NULL, "write it as 'ports'"},
        {"read-only", 0, true, take_read_only, NULL},
        {"rm", 0, true, take_nothing, NULL},
        {"security-opt", 0, false, take_security, NULL},
        {"shm-size", 0, false, take_shm, NULL},
        {"tmpfs", 0, false, take_tmpfs, NULL},
        {"tty", 't', true, take_nothing, NULL},
        {"ulimit", 0, false, take_ulimit, NULL},
        {"user", 'u', false, take_user, NULL},
        {"volume", 'v', false, take_volume, NULL},
        {"workdir", 'w', false, take_folder, NULL},
};

/* Takes one option, and its value from the words behind it; returns how many words that were, 0 on error. */
static size_t take_option(ContainerOptions *options, char **words, GError **error)
{
	const char *word = words[0];
	bool is_long = g_str_has_prefix(word, "--");
	const char *equals = is_long ? strchr(word, '=') : NULL;
	g_autofree char *name = is_long ? g_strndup(word + 2, equals ? (gsize)(equals - word - 2) : strlen(word + 2)) : NULL;
	for (size_t i = 0; i < G_N_ELEMENTS(options_known); i++) {
		bool fits = is_long ? strcmp(name, options_known[i].name) == 0
		                    : word[0] == '-' && word[1] && word[1] == options_known[i].letter;
		if (!fits)
			continue;
		if (!options_known[i].read) {
			fail(error, ASSAY_ERROR_USER, "options: --%s cannot be given: %s", options_known[i].name, options_known[i].why);
			return 0;
		}
		const char *value = equals ? equals + 1 : !is_long && word[2] ? word + 2 + (word[2] == '=') : NULL;
		size_t used = 1;
		if (!value && !options_known[i].is_flag) {
			value = words[1];
			used = 2;
		}
		if (!value && !options_known[i].is_flag) {
			fail(error, ASSAY_ERROR_USER, "options: --%s needs a value", options_known[i].name);
			return 0;
		}
		if (options_known[i].read(options, value, error))
			return used;
		g_prefix_error(error, "options: --%s: ", options_known[i].name);
		return 0;
	}
	fail(error, ASSAY_ERROR_USER, "options: '%s' is not known here; docs/workflows.md lists those that are", word);
	return 0;
}

bool container_options_parse(const char *text, ContainerOptions *out, GError **error)
{
	g_auto(ContainerOptions) options = {.env = json_object(),
	        .names = g_ptr_array_new_with_free_func(g_free),
	        .hosts = g_ptr_array_new_with_free_func(g_free),
	        .tmpfs = g_ptr_array_new_with_free_func(g_free),
	        .volumes = g_ptr_array_new_with_free_func(g_free),
	        .devices = g_ptr_array_new_with_free_func(g_free)};
	g_auto(GStrv) words = NULL;
	g_autoptr(GError) why = NULL;
	if (text && !g_shell_parse_argv(text, NULL, &words, &why) && !g_error_matches(why, G_SHELL_ERROR, G_SHELL_ERROR_EMPTY_STRING))
		return fail(error, ASSAY_ERROR_USER, "options: %s", why->message);
	for (char **word = words; word && *word;) {
		size_t used = take_option(&options, word, error);
		if (used == 0)
			return false;
		word += used;
	}
	*out = options;
	options = (ContainerOptions){.env = NULL};
	return true;
}

static void free_list(GPtrArray **list)
{
	g_clear_pointer(list, g_ptr_array_unref);
}

void container_options_clear(ContainerOptions *options)
{
	g_free(options->user);
	g_free(options->folder);
	g_free(options->entrypoint);
	g_free(options->hostname);
	g_free(options->health_command);
	json_decref(options->env);
	free_list(&options->names);
	free_list(&options->hosts);
	free_list(&options->tmpfs);
	free_list(&options->volumes);
	free_list(&options->devices);
	*options = (ContainerOptions){.env = NULL};
}

static bool read_port(const char *text, int *out)
{
	guint64 port = 0;
	if (!g_ascii_string_to_unsigned(text, 10, 1, 65535, &port, NULL))
		return false;
	*out = (int)port;
	return true;
}

bool container_port_parse(const char *text, int *out_outside, int *out_inside, bool *out_udp, GError **error)
{
	g_autofree char *copy = g_strdup(text);
	char *slash = strchr(copy, '/');
	int outside = 0, inside = 0;
	if (slash)
		*slash = '\0';
	char *colon = strrchr(copy, ':');
	bool udp = slash && strcmp(slash + 1, "udp") == 0;
	bool good = !slash || udp || strcmp(slash + 1, "tcp") == 0;
	if (colon)
		*colon = '\0';
	/* An address in front of both says on which of the machine's it is seen: here it is only the job's own. */
	const char *first = colon && strrchr(copy, ':') ? strrchr(copy, ':') + 1 : copy;
	good = good && read_port(colon ? colon + 1 : copy, &inside) && (!colon || read_port(first, &outside));
	if (!good)
		return fail(error, ASSAY_ERROR_USER, "ports: '%s' is not PORT or PORT:PORT; ranges cannot be given", text);
	*out_outside = outside;
	*out_inside = inside;
	*out_udp = udp;
	return true;
}

bool container_volume_parse(const char *text, ContainerVolume *out, GError **error)
{
	g_auto(GStrv) parts = g_strsplit(text, ":", 4);
	guint count = g_strv_length(parts);
	const char *target = count == 1 ? parts[0] : count > 1 ? parts[1] : "";
	const char *mode = count == 3 ? parts[2] : "rw";
	bool climbs = false;
	for (guint i = 0; i < count; i++) {
		g_auto(GStrv) names = g_strsplit(parts[i], "/", -1);
		climbs = climbs || g_strv_contains((const char *const *)names, "..");
	}
	if (climbs)
		return fail(error, ASSAY_ERROR_USER, "volumes: '%s' climbs out by '..'; write the path it means", text);
	static const char *const modes[] = {"rw", "ro", "z", "Z", "rw,z", "ro,z", NULL};
	if (count == 0 || count > 3 || target[0] != '/' || !g_strv_contains(modes, mode) || (count > 1 && !parts[0][0]))
		return fail(error, ASSAY_ERROR_USER, "volumes: '%s' is not NAME:/folder, /outside:/inside or /folder, with :ro behind it or not",
		        text);
	*out = (ContainerVolume){.source = count > 1 ? g_strdup(parts[0]) : NULL, .target = g_strdup(target),
	        .read_only = g_str_has_prefix(mode, "ro")};
	return true;
}

void container_volume_clear(ContainerVolume *volume)
{
	g_clear_pointer(&volume->source, g_free);
	g_clear_pointer(&volume->target, g_free);
}
