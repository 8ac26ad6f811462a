#include "tests/world/http_late.h"

#include <stdlib.h>
#include <strings.h>

#include "daemon/base/alloc.h"
#include "tests/sim/model.h"
#include "tests/world/http.h"

struct http_late {
	struct http_late *next;
	struct sim *sim;
	char *method, *path, *body, *authorization;
	size_t size;
};

static void late_free(struct http_late *late)
{
	free(late->method);
	free(late->path);
	free(late->body);
	free(late->authorization);
	free(late);
}

static const char *late_header(const char *name, void *context)
{
	return strcasecmp(name, "Authorization") ? NULL : ((struct http_late *)context)->authorization;
}

static const char *late_query(const char *name, void *context)
{
	(void)name, (void)context;
	return NULL;
}

static void deliver(struct http_network *network, struct http_late *late)
{
	const struct sim_request request = {
		.method = late->method,
		.path = late->path,
		.query = late_query,
		.header = late_header,
		.context = late,
		.body = late->body,
		.size = late->size,
	};
	struct sim_answer answer;

	sim_call(late->sim, &request, &answer);
	if (network->post.on_arrived)
		network->post.on_arrived(late->method, late->path, &answer, network->post.context);
	sim_answer_release(&answer);
}

void http_late_add(struct http_network *network, struct sim *sim, const char *method, const char *path, const char *body,
		   size_t size, const char *authorization)
{
	struct http_late *late = xcalloc(1, sizeof(*late));

	late->sim = sim;
	late->method = xstrdup(method);
	late->path = xstrdup(path);
	late->body = body ? xmemdup0(body, size) : NULL;
	late->size = size;
	late->authorization = xstrdup(authorization);
	late->next = network->late;
	network->late = late;
}

void http_deliver_late(struct http_network *network)
{
	while (network->late) {
		struct http_late *late = network->late;

		network->late = late->next;
		deliver(network, late);
		late_free(late);
	}
}

void http_forget_late(struct http_network *network)
{
	while (network->late) {
		struct http_late *late = network->late;

		network->late = late->next;
		late_free(late);
	}
}
