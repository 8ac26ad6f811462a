#include "tests/sim/serve.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/base/alloc.h"
#include "daemon/base/cleanup.h"
#include "daemon/io/loop.h"
#include "daemon/io/server.h"
#include "tests/sim/blob.h"
#include "tests/sim/model.h"

enum { MAX_BODY = 4 << 20, CONNECTION_MEMORY = 1 << 20 };

struct visit;

struct serve {
	struct loop *loop;
	struct sim *sim;
	struct server *server;
	struct visit *waiting; /* GET /sim/wait, not answered yet; linked by next_waiting */
	struct visit *held;    /* calls that are delayed or stall; linked by next_held */
};

/* One exchange. */
struct visit {
	struct serve *serve;
	struct exchange *exchange;
	struct loop_timer *timer; /* a delay, a stall, or the end of a wait */
	bool is_form, is_too_long, is_answered, has_stalled;
	struct sim_form form;
	struct buffer body;
	struct sim_answer answer;
	size_t sent;
	struct visit *next_waiting;
	struct visit *next_held;
	int64_t calls_wanted;
};

static void hold(struct visit *visit, int64_t wait_ms)
{
	visit->next_held = visit->serve->held;
	visit->serve->held = visit;
	loop_timer_set(visit->timer, wait_ms);
}

static void let_go(struct visit *visit)
{
	struct visit **link = &visit->serve->held;

	while (*link && *link != visit)
		link = &(*link)->next_held;
	if (*link)
		*link = visit->next_held;
}

/* Nobody may be there any more to take them, and each holds one of the server's places. */
static void hurry_held(struct serve *serve)
{
	for (struct visit *visit = serve->held; visit; visit = visit->next_held)
		loop_timer_set(visit->timer, 0);
}

static void release_blob(void *blob)
{
	blob_unref(blob);
}

/* How many bytes of the body may go out in the next piece, all oddities considered. */
static size_t next_size(const struct visit *visit, size_t room)
{
	const struct sim_answer *answer = &visit->answer;
	size_t end = answer->body->size;

	if (answer->length >= 0 && (size_t)answer->length < end)
		end = (size_t)answer->length;
	if (answer->cut_at < end)
		end = answer->cut_at;
	if (!visit->has_stalled && answer->stall_at < end)
		end = answer->stall_at;
	if (end - visit->sent < room)
		room = end - visit->sent;
	return answer->piece && answer->piece < room ? answer->piece : room;
}

static int64_t produce(char *bytes, size_t size, void *context)
{
	struct visit *visit = context;
	const struct sim_answer *answer = &visit->answer;

	size = next_size(visit, size);
	if (size) {
		memcpy(bytes, answer->body->data + visit->sent, size);
		visit->sent += size;
		return (int64_t)size;
	}
	if (visit->sent == answer->stall_at && !visit->has_stalled) {
		visit->has_stalled = true;
		hold(visit, answer->stall_ms);
		return 0;
	}
	if (visit->sent == answer->cut_at || answer->length > (int64_t)answer->body->size)
		return SERVER_STREAM_BROKEN;
	return SERVER_STREAM_END;
}

static void answer_now(struct visit *visit)
{
	struct exchange *exchange = visit->exchange;
	const struct sim_answer *answer = &visit->answer;

	visit->is_answered = true;
	if (answer->transport == SIM_DROP) {
		exchange_drop(exchange);
		return;
	}
	for (size_t i = 0; i < answer->header_count; i++)
		exchange_add_header(exchange, answer->headers[i].name, answer->headers[i].value);
	if (answer->transport == SIM_STREAM)
		exchange_reply_stream(exchange, answer->status, answer->content_type,
				      answer->length, produce, visit);
	else
		exchange_reply_owned(exchange, answer->status, answer->content_type,
				     answer->body->data, answer->body->size, release_blob,
				     blob_ref(answer->body));
}

static void stop_waiting(struct visit *visit)
{
	struct visit **link = &visit->serve->waiting;

	while (*link && *link != visit)
		link = &(*link)->next_waiting;
	if (*link)
		*link = visit->next_waiting;
	visit->calls_wanted = 0;
	loop_timer_clear(visit->timer);
}

static void answer_wait(struct visit *visit, int status, const char *text)
{
	stop_waiting(visit);
	visit->is_answered = true;
	exchange_reply(visit->exchange, status, "application/json", text, strlen(text));
}

/* Answers those whose calls have come. */
static void look_after_waiting(struct serve *serve)
{
	struct visit *next;

	for (struct visit *visit = serve->waiting; visit; visit = next) {
		next = visit->next_waiting;
		if (sim_calls(serve->sim, exchange_query(visit->exchange, "call")) >= visit->calls_wanted)
			answer_wait(visit, 200, "{\"ok\":true}");
	}
}

static int64_t query_number(const struct visit *visit, const char *name, int64_t otherwise)
{
	const char *text = exchange_query(visit->exchange, name);

	return text ? strtoll(text, NULL, 10) : otherwise;
}

/* A test waits here until a call has come so often, and needs no sleep. */
static void begin_wait(struct visit *visit)
{
	const char *call = exchange_query(visit->exchange, "call");

	if (!call || sim_calls(visit->serve->sim, call) < 0) {
		answer_wait(visit, 400, "{\"error\":{\"message\":\"There is no such call.\"}}");
		return;
	}
	visit->calls_wanted = query_number(visit, "count", 1);
	visit->next_waiting = visit->serve->waiting;
	visit->serve->waiting = visit;
	loop_timer_set(visit->timer, query_number(visit, "timeout_ms", 10000));
	look_after_waiting(visit->serve);
}

static void on_due(void *context)
{
	struct visit *visit = context;

	let_go(visit);
	if (visit->calls_wanted)
		answer_wait(visit, 504, "{\"error\":{\"message\":\"The call did not come.\"}}");
	else if (visit->is_answered)
		exchange_wake(visit->exchange);
	else
		answer_now(visit);
}

static void on_headers(struct exchange *exchange, void *context)
{
	struct visit *visit = xcalloc(1, sizeof(*visit));

	visit->serve = context;
	visit->exchange = exchange;
	visit->timer = loop_timer_new(visit->serve->loop, on_due, visit);
	exchange_set_state(exchange, visit);
	if (sim_is_upload(visit->serve->sim, exchange_method(exchange), exchange_path(exchange)))
		visit->is_form = !exchange_expect_form(exchange);
}

static void on_part(struct exchange *exchange, const struct server_part *part, void *context)
{
	struct visit *visit = exchange_state(exchange);

	(void)context;
	sim_form_add(&visit->form, part->name, part->file_name, part->data, part->size,
		     part->offset);
}

static void on_body(struct exchange *exchange, const char *data, size_t size, void *context)
{
	struct visit *visit = exchange_state(exchange);

	(void)context;
	if (visit->body.size + size > MAX_BODY)
		visit->is_too_long = true;
	else
		buffer_add(&visit->body, data, size);
}

static const char *query(const char *name, void *context)
{
	return exchange_query(context, name);
}

static const char *header(const char *name, void *context)
{
	return exchange_header(context, name);
}

static void on_complete(struct exchange *exchange, void *context)
{
	static const char too_long[] = "{\"error\":{\"message\":\"The body is too long.\","
				       "\"type\":\"invalid_request_error\",\"param\":null,"
				       "\"code\":null}}";
	struct visit *visit = exchange_state(exchange);
	struct sim_request request = {
		.method = exchange_method(exchange),
		.path = exchange_path(exchange),
		.query = query,
		.header = header,
		.context = exchange,
		.body = visit->body.data,
		.size = visit->body.size,
		.form = visit->is_form ? &visit->form : NULL,
	};

	(void)context;
	if (visit->is_too_long) {
		exchange_reply(exchange, 413, "application/json", too_long, sizeof(too_long) - 1);
		return;
	}
	if (!strcmp(request.path, "/sim/wait")) {
		begin_wait(visit);
		return;
	}
	sim_call(visit->serve->sim, &request, &visit->answer);
	look_after_waiting(visit->serve);
	if (!strcmp(request.path, "/sim/reset"))
		hurry_held(visit->serve);
	if (visit->answer.delay_ms > 0)
		hold(visit, visit->answer.delay_ms);
	else
		answer_now(visit);
}

static void on_close(struct exchange *exchange, bool is_delivered, void *context)
{
	struct visit *visit = exchange_state(exchange);

	(void)is_delivered;
	(void)context;
	if (!visit)
		return;
	if (visit->calls_wanted)
		stop_waiting(visit);
	let_go(visit);
	loop_timer_free(visit->timer);
	sim_form_release(&visit->form);
	buffer_release(&visit->body);
	sim_answer_release(&visit->answer);
	free(visit);
}

int serve_new(struct loop *loop, struct sim *sim, const int *fds, size_t count,
	      struct serve **ret_serve, struct error *err)
{
	auto_free struct serve *serve = xcalloc(1, sizeof(*serve));
	const struct server_callbacks callbacks = {
		.on_headers = on_headers,
		.on_part = on_part,
		.on_body = on_body,
		.on_complete = on_complete,
		.on_close = on_close,
		.context = serve,
	};
	const struct server_limits limits = {.memory_per_connection = CONNECTION_MEMORY};
	int error;

	serve->loop = loop;
	serve->sim = sim;
	error = server_new(loop, fds, count, &callbacks, &limits, &serve->server, err);
	if (error)
		return error;
	*ret_serve = take(serve);
	return 0;
}

void serve_free(struct serve *serve)
{
	if (!serve)
		return;
	server_free(serve->server);
	free(serve);
}

void serve_turn(struct serve *serve)
{
	server_release(serve->server, 0, NULL);
}
