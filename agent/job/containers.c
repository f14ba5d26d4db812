/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Order: contexts (an image's name may hold expressions), services one after the other, their readiness all together, the
 * job's place last, in their network. A service is a step of its own place that outlives nothing: its place is closed
 * with the job, and dies with the worker whoever kills it.
 */
#include "agent/job/containers.h"

#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/error.h"
#include "agent/base/fd.h"
#include "agent/base/json.h"
#include "agent/job/container_place.h"
#include "agent/job/container_view.h"
#include "agent/job/contexts.h"
#include "agent/job/neighbour.h"
#include "agent/model/container.h"
#include "agent/model/expr.h"

#define SERVICES_MAX 32

struct Containers {
	const Executor *executor;
	GPtrArray *services; /* Neighbour * */
	GString *hosts;      /* lines for /etc/hosts */
	json_t *env;         /* of the job's container */
	bool job_has_one;
	const Place *job_place; /* when it is one of an image */
	int epoll_fd;
};

/* ---- what is asked for ---- */

static const json_t *asked_container(const Job *job)
{
	const json_t *container = json_object_get(job->definition, "container");
	if (!container || json_is_null(container) || (json_is_string(container) && json_string_length(container) == 0))
		return NULL;
	return container;
}

bool containers_has_job(const Job *job)
{
	return job->containers && job->containers->job_has_one;
}

bool containers_are_asked(const Job *job)
{
	return asked_container(job) || json_object_size(json_object_get(job->definition, "services")) > 0 ||
	       json_is_string(json_object_get(job->definition, "services"));
}

/* A part of the definition with its expressions evaluated; NULL with error. */
static json_t *evaluate(Job *job, const json_t *value, GError **error)
{
	ExprScope scope = contexts_scope(job);
	scope.status = EXPR_STATUS_NONE;
	return expr_template_tree(value, &scope, error);
}

/* A list of texts; absent is an empty one. */
static GPtrArray *list_of(const json_t *object, const char *key)
{
	GPtrArray *out = g_ptr_array_new_with_free_func(g_free);
	size_t i;
	json_t *item;
	json_array_foreach(json_object_get(object, key), i, item)
		g_ptr_array_add(out, expr_to_string(item));
	return out;
}

const Place *containers_network(const Job *job)
{
	if (!job->containers || container_place_network(job, true) == PLACE_NETWORK_HOST)
		return NULL;
	if (job->containers->services->len > 0)
		return ((const Neighbour *)job->containers->services->pdata[0])->place;
	return job->containers->job_has_one ? job->containers->job_place : NULL;
}

const char *containers_hosts(const Job *job)
{
	return job->containers ? job->containers->hosts->str : "";
}

const json_t *containers_env(const Job *job)
{
	return job->containers ? job->containers->env : NULL;
}

/* ---- services ---- */

void containers_drain(Job *job)
{
	for (guint i = 0; job->containers && i < job->containers->services->len; i++)
		neighbour_drain(job->containers->services->pdata[i]);
}

/* Ports are those of the job's own network: the service's, whatever number it should have outside. */
static bool read_ports(Job *job, Neighbour *service, const json_t *asked, GError **error)
{
	g_autoptr(GPtrArray) ports = list_of(asked, "ports");
	service->ports = json_object();
	for (guint i = 0; i < ports->len; i++) {
		int outside = 0, inside = 0;
		bool udp = false;
		if (!container_port_parse(ports->pdata[i], &outside, &inside, &udp, error))
			return false;
		if (outside != 0 && outside != inside)
			return fail(error, ASSAY_ERROR_USER,
			        "ports: '%s': service and steps share one network here, so the number outside is the one inside; write %d",
			        (const char *)ports->pdata[i], inside);
		g_autofree char *text = g_strdup_printf("%d%s", inside, udp ? "/udp" : "");
		for (guint k = 0; k < job->containers->services->len; k++) {
			const Neighbour *other = job->containers->services->pdata[k];
			if (other != service && json_object_get(other->ports, text))
				return fail(error, ASSAY_ERROR_USER,
				        "ports: services '%s' and '%s' both listen on %s, and share one network here; tell one of them "
				        "another port by its env or command",
				        other->id, service->id, text);
		}
		json_set_string(service->ports, text, text);
	}
	return true;
}

static bool read_credentials(Job *job, const json_t *asked, char **username, char **password)
{
	const json_t *credentials = json_object_get(asked, "credentials");
	*username = expr_text_of(credentials, "username");
	*password = expr_text_of(credentials, "password");
	if (*password && **password)
		mask_add(job->task->mask, *password, strlen(*password));
	return true;
}

static void wipe(char *text)
{
	if (text)
		explicit_bzero(text, strlen(text));
	g_free(text);
}

/* A mapping with `image`, or the image's name alone; NULL: none is asked for. */
static json_t *settle_asked(json_t *value)
{
	if (json_is_object(value)) {
		g_autofree char *image = expr_text_of(value, "image");
		return image && *image ? json_incref(value) : NULL;
	}
	g_autofree char *image = expr_to_string(value);
	return *image ? json_pack("{s:s}", "image", image) : NULL;
}

static bool open_service(Job *job, const char *id, json_t *value, GError **error)
{
	Containers *containers = job->containers;
	g_autoptr(json_t) asked = settle_asked(value);
	if (!asked)
		return true; /* an expression has switched it off */
	if (containers->services->len >= SERVICES_MAX)
		return fail(error, ASSAY_ERROR_USER, "the job has more than %d services", SERVICES_MAX);
	Neighbour *service = neighbour_new(id, containers->executor, containers->epoll_fd);
	g_ptr_array_add(containers->services, service);
	g_autofree char *options = expr_text_of(asked, "options");
	g_autofree char *image = expr_text_of(asked, "image");
	g_autoptr(GPtrArray) volumes = list_of(asked, "volumes");
	if (!container_options_parse(options, &service->options, error) || !read_ports(job, service, asked, error))
		return false;
	g_string_append_printf(containers->hosts, "127.0.0.1 %s\n", id);
	for (guint i = 0; i < service->options.names->len; i++)
		g_string_append_printf(containers->hosts, "127.0.0.1 %s\n", (const char *)service->options.names->pdata[i]);
	char *username = NULL;
	char *password = NULL;
	read_credentials(job, asked, &username, &password);
	const Neighbour *first = containers->services->pdata[0];
	g_autofree char *name = g_strconcat("service-", id, NULL);
	g_autofree char *work = g_build_filename(job->task->folder, "work", NULL);
	const ContainerSpec spec = {.image = image,
	        .username = username,
	        .password = password,
	        .name = name,
	        .options = &service->options,
	        .volumes = volumes,
	        .work_folder = work,
	        .work_inside = CONTAINER_WORK_INSIDE,
	        .hosts = containers->hosts->str,
	        .shares_network = first == service,
	        .network_of = first == service ? NULL : first->place};
	bool good = container_place_open(job, &spec, &service->place, error) && neighbour_start(service, asked, error);
	g_free(username);
	wipe(password);
	return good;
}

static bool open_services(Job *job, GError **error)
{
	const json_t *definition = json_object_get(job->definition, "services");
	if (!definition || json_is_null(definition))
		return true;
	g_autoptr(json_t) services = evaluate(job, definition, error);
	const char *id;
	json_t *value;
	if (!services)
		return false;
	if (!json_is_object(services) && !json_is_null(services))
		return fail(error, ASSAY_ERROR_USER, "'services' is no mapping");
	if (json_object_size(services) > 0 && container_place_network(job, true) == PLACE_NETWORK_HOST)
		joblog_say(job->log, "##[warning]",
		        "services share this machine's network with the job (full_network: host): what they listen on is in reach of others");
	json_object_foreach(services, id, value)
		if (!open_service(job, id, value, error)) {
			g_prefix_error(error, "service '%s': ", id);
			return false;
		}
	for (guint i = 0; i < job->containers->services->len; i++)
		if (!neighbour_wait_ready(job, job->containers->services->pdata[i], error))
			return false;
	return true;
}

/* ---- the job's own ---- */

static bool open_job_container(Job *job, const json_t *asked, GError **error)
{
	Containers *containers = job->containers;
	g_auto(ContainerOptions) options = {.env = NULL};
	g_autofree char *text = expr_text_of(asked, "options");
	g_autofree char *image = expr_text_of(asked, "image");
	g_autoptr(GPtrArray) volumes = list_of(asked, "volumes");
	if (!container_options_parse(text, &options, error))
		return false;
	if (options.entrypoint)
		return fail(error, ASSAY_ERROR_USER, "options: --entrypoint is for services; in the job's container only its steps run");
	if (options.health_command)
		return fail(error, ASSAY_ERROR_USER, "options: --health-cmd is for services; in the job's container only its steps run");
	char *username = NULL;
	char *password = NULL;
	read_credentials(job, asked, &username, &password);
	const Neighbour *first = containers->services->len > 0 ? containers->services->pdata[0] : NULL;
	g_autofree char *work = g_build_filename(job->task->folder, "work", NULL);
	const ContainerSpec spec = {.image = image,
	        .username = username,
	        .password = password,
	        .name = "job",
	        .runner_service = true,
	        .options = &options,
	        .volumes = volumes,
	        .work_folder = work,
	        .work_inside = CONTAINER_WORK_INSIDE,
	        .hosts = containers->hosts->str,
	        .shares_network = !first,
	        .network_of = first ? first->place : NULL};
	bool good = container_place_open(job, &spec, &job->place, error);
	g_free(username);
	wipe(password);
	if (!good)
		return false;
	containers->job_has_one = true;
	containers->job_place = job->place;
	containers->env = container_place_env(job->place, json_object_get(asked, "env"), &options);
	job->executor = containers->executor;
	return true;
}

/* The job's place as it would be, but in the services' network. */
static bool open_plain(Job *job, const PlaceSpec *spec, GError **error)
{
	PlaceSpec own = *spec;
	bool neighbours = job->containers->services->len > 0;
	bool shared = container_place_network(job, true) == PLACE_NETWORK_HOST;
	bool on_host = strcmp(job->executor->name, "host") == 0;
	if (neighbours && on_host && !shared)
		return fail(error, ASSAY_ERROR_USER,
		        "services have a network of their own, which steps on the host do not see; run the job in the sandbox");
	own.hosts = neighbours ? job->containers->hosts->str : NULL;
	own.network = container_place_network(job, neighbours);
	if (neighbours && !shared)
		own.network_of = ((const Neighbour *)job->containers->services->pdata[0])->place;
	mode_t ours = umask(022);
	bool opened = job->executor->open(&own, &job->place, error);
	umask(ours);
	return opened;
}

bool containers_open(Job *job, const PlaceSpec *spec, GError **error)
{
	job->containers = g_new0(Containers, 1);
	*job->containers = (Containers){.executor = executor_find("container"),
	        .services = g_ptr_array_new_with_free_func((GDestroyNotify)neighbour_free),
	        .hosts = g_string_new(NULL),
	        .epoll_fd = epoll_create1(EPOLL_CLOEXEC)};
	job->printed_fd = job->containers->epoll_fd;
	if (!job->containers->executor || job->printed_fd < 0)
		return fail(error, ASSAY_ERROR_SYSTEM, "this worker cannot run containers");
	/* As it will be: `volumes` are often written with it. */
	g_autofree char *workspace = g_build_filename(CONTAINER_WORK_INSIDE, job->workspace, NULL);
	json_set_string(json_object_get(job->contexts, "github"), "workspace", workspace);
	if (!open_services(job, error))
		return false;
	const json_t *container = asked_container(job);
	g_autoptr(json_t) value = container ? evaluate(job, container, error) : json_null();
	if (!value)
		return false;
	g_autoptr(json_t) asked = container ? settle_asked(value) : NULL;
	if (asked) {
		bool good = open_job_container(job, asked, error);
		if (!good)
			g_prefix_error(error, "container: ");
		return good;
	}
	return open_plain(job, spec, error);
}

void containers_fill_contexts(Job *job, json_t *job_context)
{
	json_t *container = json_object();
	json_t *services = json_object();
	if (containers_has_job(job)) {
		json_set_string(container, "id", "job");
		json_set_string(container, "network", "job");
	}
	for (guint i = 0; job->containers && i < job->containers->services->len; i++) {
		const Neighbour *service = job->containers->services->pdata[i];
		json_set(services, service->id, json_pack("{s:s,s:s,s:O}", "id", service->id, "network", "job", "ports", service->ports));
	}
	json_set(job_context, "container", container);
	json_set(job_context, "services", services);
}

void containers_close(Job *job)
{
	Containers *containers = job->containers;
	if (!containers)
		return;
	for (guint i = containers->services->len; i > 0; i--) {
		Neighbour *service = containers->services->pdata[i - 1];
		bool early = service->place && service->running && neighbour_has_ended(service);
		neighbour_drain(service);
		if (job->log && (early || job->state == RUN_FAILURE) && service->printed->len > 0)
			neighbour_print(job, service);
		if (service->place)
			containers->executor->close(service->place);
		autofd_close(&service->child.fd);
	}
	g_ptr_array_unref(containers->services);
	g_string_free(containers->hosts, TRUE);
	json_decref(containers->env);
	autofd_close(&containers->epoll_fd);
	g_clear_pointer(&job->containers, g_free);
	job->printed_fd = -1;
}
