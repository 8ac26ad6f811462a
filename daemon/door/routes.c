#include "daemon/door/routes.h"

#include <errno.h>
#include <grp.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/alloc.h"
#include "daemon/base/buffer.h"
#include "daemon/base/cleanup.h"
#include "daemon/base/error.h"
#include "daemon/base/log.h"
#include "daemon/door/accept.h"
#include "daemon/door/decode.h"
#include "daemon/door/visit.h"
#include "daemon/io/child.h"
#include "daemon/io/config.h"
#include "daemon/io/loop.h"
#include "daemon/io/server.h"
#include "daemon/io/store.h"
#include "daemon/protocol.h"

#define MAX_JSON_BYTES (8 << 20)
#define MAX_IGNORED (64 * 1024) /* of a body that nobody asked for */

/* The first row that fits is taken; a path without the method is 405, a method without the type of body 415. */
/* clang-format off */
static const struct route routes[] = {
	{ "POST",   "/v1/batches",           PROTOCOL_JSONL,  BODY_STREAM, false, submit_begin, submit_data, NULL, submit_answer },
	{ "POST",   "/v1/batches",           PROTOCOL_NDJSON, BODY_STREAM, false, submit_begin, submit_data, NULL, submit_answer },
	{ "POST",   "/v1/batches",           PROTOCOL_JSON,   BODY_JSON, false, batches_create_begin, NULL, NULL, batches_create },
	{ "GET",    "/v1/batches",           NULL, BODY_NONE, false, NULL, NULL, NULL, batches_list },
	{ "GET",    "/v1/batches/*",         NULL, BODY_NONE, false, NULL, NULL, NULL, batches_get },
	{ "POST",   "/v1/batches/*/cancel",  NULL, BODY_NONE, false, NULL, NULL, NULL, batches_cancel },
	{ "POST",   "/v1/batches/*/hold",    NULL, BODY_NONE, false, NULL, NULL, NULL, batches_hold },
	{ "POST",   "/v1/batches/*/release", NULL, BODY_NONE, false, NULL, NULL, NULL, batches_release },
	{ "POST",   "/v1/batches/*/set",     NULL, BODY_NONE, false, NULL, NULL, NULL, batches_set },
	{ "POST",   "/v1/batches/*/retry",   NULL, BODY_NONE, false, NULL, NULL, NULL, batches_retry },
	{ "POST",   "/v1/batches/*/resolve", NULL, BODY_NONE, false, NULL, NULL, NULL, batches_resolve },
	{ "GET",    "/v1/batches/*/results", NULL, BODY_NONE, false, NULL, NULL, NULL, batches_results },
	{ "GET",    "/v1/batches/*/events",  NULL, BODY_NONE, false, NULL, NULL, NULL, events_get },
	{ "POST",   "/v1/files",             NULL, BODY_FORM, false, files_upload_begin, NULL, files_upload_part, files_upload },
	{ "GET",    "/v1/files",             NULL, BODY_NONE, false, NULL, NULL, NULL, files_list },
	{ "GET",    "/v1/files/*",           NULL, BODY_NONE, false, NULL, NULL, NULL, files_get },
	{ "DELETE", "/v1/files/*",           NULL, BODY_NONE, false, NULL, NULL, NULL, files_delete },
	{ "GET",    "/v1/files/*/content",   NULL, BODY_NONE, false, NULL, NULL, NULL, files_content },
	{ "GET",    "/v1/daemon",            NULL, BODY_NONE, false, NULL, NULL, NULL, service_daemon },
	{ "POST",   "/v1/daemon/pause",      NULL, BODY_NONE, false, NULL, NULL, NULL, daemon_pause },
	{ "POST",   "/v1/daemon/resume",     NULL, BODY_NONE, false, NULL, NULL, NULL, daemon_resume },
	{ "GET",    "/v1/daemon/backup",     NULL, BODY_NONE, false, NULL, NULL, NULL, daemon_backup },
	{ "GET",    "/v1/daemon/verify",     NULL, BODY_NONE, false, NULL, NULL, NULL, daemon_verify },
	{ "GET",    "/healthz",              NULL, BODY_NONE, true,  NULL, NULL, NULL, service_health },
};
/* clang-format on */

/* Whether path fits pattern; "*" takes one segment that is not empty. */
static bool path_fits(const char *pattern, const char *path, char **ret_segment)
{
	auto_free char *segment = NULL;

	for (; *pattern; pattern++) {
		size_t length;

		if (*pattern != '*') {
			if (*path++ != *pattern)
				return false;
			continue;
		}
		length = strcspn(path, "/");
		if (!length || segment)
			return false;
		segment = xmemdup0(path, length);
		path += length;
	}
	if (*path)
		return false;
	*ret_segment = take(segment);
	return true;
}

static bool type_fits(const struct route *route, const struct exchange *exchange)
{
	const char *type = exchange_header(exchange, "Content-Type");
	size_t size = route->content_type ? strlen(route->content_type) : 0;

	return !route->content_type || (type && strncasecmp(type, route->content_type, size) == 0 &&
					(!type[size] || strchr("; \t", type[size])));
}

static bool method_fits(const struct route *route, const char *method)
{
	return strcmp(method, route->method) == 0 ||
	       (strcmp(method, "HEAD") == 0 && strcmp(route->method, "GET") == 0);
}

/* What was found of a request: its route, or how far it fitted. */
struct finding {
	const struct route *route;
	char *segment;
	bool is_path, is_method;
	struct buffer methods; /* that the path has */
};

static void note_method(struct finding *finding, const char *method)
{
	if (strstr(buffer_text(&finding->methods), method))
		return;
	buffer_add_format(&finding->methods, "%s%s%s", finding->methods.size ? ", " : "", method,
			  strcmp(method, "GET") == 0 ? ", HEAD" : "");
}

static void find_route(const struct exchange *exchange, struct finding *finding)
{
	const char *method = exchange_method(exchange);

	for (size_t i = 0; i < ARRAY_SIZE(routes); i++) {
		auto_free char *segment = NULL;

		if (!path_fits(routes[i].path, exchange_path(exchange), &segment))
			continue;
		finding->is_path = true;
		note_method(finding, routes[i].method);
		if (!method_fits(&routes[i], method))
			continue;
		finding->is_method = true;
		if (!type_fits(&routes[i], exchange))
			continue;
		finding->route = &routes[i];
		finding->segment = take(segment);
		return;
	}
}

static void refuse(struct visit *visit, struct finding *finding)
{
	const char *method = exchange_method(visit->exchange);
	const char *path = exchange_path(visit->exchange);

	if (finding->is_method) {
		visit_error(visit, 415, NULL, NULL, "The Content-Type must be %s, or %s where the body is the input.",
			    PROTOCOL_JSON, PROTOCOL_JSONL);
	} else if (finding->is_path) {
		exchange_add_header(visit->exchange, "Allow", buffer_text(&finding->methods));
		visit_error(visit, 405, NULL, NULL, "%s is not allowed here: %.200s", method, path);
	} else {
		visit_error(visit, 404, NULL, NULL, "Invalid URL (%s %.200s)", method, path);
	}
}

static void visit_free(struct visit *visit)
{
	if (visit->own)
		visit->own_free(visit->own);
	visit->door->json_bytes -= visit->body.size;
	buffer_release(&visit->body);
	free(visit->id);
	free(visit);
}

static void identify(struct visit *visit)
{
	const struct door *door = visit->door;
	gid_t gid;
	pid_t pid;

	/* Without a peer nobody is an operator, and no uid has that number. */
	visit->uid = (uid_t)-1;
	if (!exchange_peer(visit->exchange, &visit->uid, &gid, &pid))
		return;
	visit->is_operator = visit->uid == 0 ||
			     (door->has_operators && exchange_peer_in_group(visit->exchange, door->operators));
}

static void begin_body(struct visit *visit)
{
	int64_t length = exchange_content_length(visit->exchange);

	if (visit->route->body == BODY_NONE && (length > MAX_IGNORED || exchange_header(visit->exchange, "Transfer-Encoding")))
		visit_error(visit, 413, PROTOCOL_CODE_TOO_LARGE, NULL, "A body is not expected here.");
	else if (visit->route->body == BODY_JSON && length > PROTOCOL_MAX_JSON_BODY)
		visit_error(visit, 413, PROTOCOL_CODE_TOO_LARGE, NULL,
			    "The body is larger than %d bytes.", PROTOCOL_MAX_JSON_BODY);
	else if (visit->route->body == BODY_FORM && exchange_expect_form(visit->exchange))
		visit_error(visit, 400, NULL, NULL, "The body must be multipart/form-data.");
	if (!visit->is_answered && visit->route->begin)
		visit->route->begin(visit);
}

static void on_headers(struct exchange *exchange, void *context)
{
	struct visit *visit = xcalloc(1, sizeof(*visit));
	struct finding finding = { 0 };

	visit->door = context;
	visit->exchange = exchange;
	exchange_set_state(exchange, visit);
	find_route(exchange, &finding);
	visit->route = finding.route;
	visit->id = finding.segment;
	identify(visit);
	if (!visit->route)
		refuse(visit, &finding);
	else if (visit->uid == (uid_t)-1 && !visit->route->is_open)
		visit_error(visit, 401, NULL, NULL, "It is not known who is asking.");
	else
		begin_body(visit);
	buffer_release(&finding.methods);
}

/* JSON bodies are bounded one by one, and all that are under way together. */
static void add_json(struct visit *visit, const char *data, size_t size)
{
	if (visit->body.size + size > PROTOCOL_MAX_JSON_BODY) {
		visit_error(visit, 413, PROTOCOL_CODE_TOO_LARGE, NULL, "The body is larger than %d bytes.",
			    PROTOCOL_MAX_JSON_BODY);
	} else if (visit->door->json_bytes + size > MAX_JSON_BYTES) {
		exchange_add_header(visit->exchange, "Retry-After", "1");
		visit_error(visit, 429, PROTOCOL_CODE_TOO_MANY, NULL, "Too many requests are being received.");
	} else {
		buffer_add(&visit->body, data, size);
		visit->door->json_bytes += size;
	}
}

static void on_body(struct exchange *exchange, const char *data, size_t size, void *context)
{
	struct visit *visit = exchange_state(exchange);

	(void)context;
	if (visit->is_answered)
		return;
	if (visit->route->body == BODY_STREAM) {
		visit->route->on_data(visit, data, size);
	} else if (visit->route->body == BODY_JSON) {
		add_json(visit, data, size);
	}
}

static void on_part(struct exchange *exchange, const struct server_part *part, void *context)
{
	struct visit *visit = exchange_state(exchange);

	(void)context;
	if (!visit->is_answered && visit->route->on_part)
		visit->route->on_part(visit, part);
}

static void on_complete(struct exchange *exchange, void *context)
{
	struct visit *visit = exchange_state(exchange);

	(void)context;
	alloc_watch();
	if (!visit->is_answered)
		visit->route->answer(visit);
}

static void unfollow(struct visit *visit)
{
	struct visit **link = &visit->door->followers;

	while (*link && *link != visit)
		link = &(*link)->next_follower;
	if (*link)
		*link = visit->next_follower;
}

static void on_close(struct exchange *exchange, bool is_delivered, void *context)
{
	struct visit *visit = exchange_state(exchange);

	(void)context;
	if (!visit)
		return;
	unfollow(visit);
	if (!is_delivered && visit->on_undelivered)
		visit->on_undelivered(visit);
	exchange_set_state(exchange, NULL);
	visit_free(visit);
}

static int find_operators(struct door *door, struct error *err)
{
	const char *name = door->parts.config->operators;
	const struct group *group;

	if (!name)
		return 0;
	group = getgrnam(name);
	if (!group)
		return error_set(err, -ENOENT, "operators: there is no group \"%s\"", name);
	door->operators = group->gr_gid;
	door->has_operators = true;
	return 0;
}

void door_free(struct door *door)
{
	if (!door)
		return;
	decode_stop(door);
	children_free(door->children);
	accept_forget(door);
	free(door);
}

int door_new(const struct door_parts *parts, struct door **ret_door, struct error *err)
{
	struct door *door = xcalloc(1, sizeof(*door));
	int r;

	door->parts = *parts;
	door->started_at = loop_now_ms(parts->loop);
	door->committed_seq = store_event_newest(parts->store);
	door->children = children_new(parts->loop);
	decode_start(door);
	r = find_operators(door, err);
	if (r) {
		door_free(door);
		return r;
	}
	*ret_door = door;
	return 0;
}

struct server_callbacks door_callbacks(struct door *door)
{
	return (struct server_callbacks){
		.on_headers = on_headers,
		.on_part = on_part,
		.on_body = on_body,
		.on_complete = on_complete,
		.on_close = on_close,
		.context = door,
	};
}

void door_on_failed(struct exchange *exchange, int commit)
{
	struct visit *visit = exchange_state(exchange);
	bool is_full = commit == -ENOSPC;

	/* Its job was rolled back, and with it the number, which is another's soon. */
	visit->on_undelivered = NULL;
	visit_error(visit, is_full ? 507 : 503, is_full ? PROTOCOL_CODE_DISK : PROTOCOL_CODE_UNKNOWN, NULL,
		    "%s Repeat with the same Idempotency-Key.",
		    is_full ? "The disk is full; nothing was stored." :
			      "The store could not be written; whether the request counts is not known.");
}

void door_on_event(struct door *door, int64_t job, int64_t seq)
{
	if (seq > door->committed_seq)
		door->committed_seq = seq;
	events_wake(door, job);
}

void door_drain(struct door *door)
{
	door->is_draining = true;
}
