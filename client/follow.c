#include "client/follow.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "client/exits.h"
#include "client/interrupt.h"
#include "client/progress.h"
#include "client/words.h"
#include "daemon/base/alloc.h"
#include "daemon/base/buffer.h"

#define MAX_EVENT        (1024 * 1024) /* bytes of one line */
#define FIRST_PAUSE_MS   100
#define LONGEST_PAUSE_MS 5000
#define LOOK_EVERY_MS    1000 /* at the counts, while a bar is drawn */

/* One stream of events: what has come of a line, and what was seen. */
struct stream {
	struct follow *follow;
	struct buffer line;
	bool is_over;   /* the last event, or on_event had enough */
	bool has_moved; /* an event came on this connection */
	bool is_there;  /* batchd answered */
};

/* When batchd went out of reach; what its absence has cost so far. */
struct absence {
	int64_t since_ms; /* 0: it is there */
	int64_t pause_ms;
};

static void take_line(struct stream *stream, const char *line, size_t size)
{
	struct follow *follow = stream->follow;
	auto_json *event = json_read(line, size);
	int64_t sequence = json_number(event, "seq", 0);

	/* Blank lines are signs of life; a number seen before is a repeat after a reconnect. */
	if (!event || sequence <= follow->after)
		return;
	follow->after = sequence;
	stream->has_moved = true;
	if (follow->on_event(event, follow->context) ||
	    (follow->is_live && json_is_true(event, "is_last")))
		stream->is_over = true;
}

static int take_bytes(const char *bytes, size_t size, void *context)
{
	struct stream *stream = context;

	while (size && !stream->is_over) {
		const char *end = memchr(bytes, '\n', size);
		size_t length = end ? (size_t)(end - bytes) : size;

		if (stream->line.size + length > MAX_EVENT)
			return -EMSGSIZE;
		buffer_add(&stream->line, bytes, length);
		if (!end)
			return 0;
		take_line(stream, buffer_text(&stream->line), stream->line.size);
		buffer_clear(&stream->line);
		bytes = end + 1;
		size -= length + 1;
	}
	return stream->is_over ? -ECANCELED : 0;
}

static void tick(int64_t sent_bytes, void *context)
{
	struct stream *stream = context;

	(void)sent_bytes;
	if (stream->follow->on_tick)
		stream->follow->on_tick(stream->follow->context);
}

/* One connection's worth of events. */
static int run_once(struct follow *follow, struct stream *stream, struct failure *failure)
{
	auto_free char *suffix = xasprintf("/events?after=%" PRId64 "%s", follow->after,
					   follow->is_live ? "&follow=1" : "");
	auto_free char *path = job_path(follow->job, suffix);
	struct connection_call call = {
		.method = "GET",
		.path = path,
		.on_data = take_bytes,
		.on_tick = tick,
		.context = stream,
		.deadline_ms = follow->deadline_ms,
	};
	auto_reply reply = {0};
	struct error err = {0};
	int result = connection_perform(follow->connection, &call, &reply, &err);

	stream->is_there = reply.status >= 200 && reply.status < 300;
	if (stream->is_over)
		result = 0;
	return failure_read(result, &err, &reply, failure);
}

/* Pauses before another try. Returns false when there shall be none. */
static bool try_again(struct absence *absence, int64_t patience_ms, int64_t deadline_ms,
		      struct failure *failure)
{
	int64_t now_ms = connection_now_ms();
	int64_t pause_ms = absence->pause_ms ? absence->pause_ms : FIRST_PAUSE_MS;
	char patience[WORDS_FIGURE];

	if (!failure->is_passing)
		return false;
	if (!absence->since_ms)
		absence->since_ms = now_ms;
	if (!absence->pause_ms && patience_ms)
		output_say("%s; trying again for %s", failure->text,
			   words_elapsed(patience_ms / 1000, patience));
	if (now_ms - absence->since_ms >= patience_ms)
		return false;
	absence->pause_ms = pause_ms * 2 < LONGEST_PAUSE_MS ? pause_ms * 2 : LONGEST_PAUSE_MS;
	if (pause_ms > patience_ms - (now_ms - absence->since_ms))
		pause_ms = patience_ms - (now_ms - absence->since_ms);
	if (deadline_ms && now_ms + pause_ms > deadline_ms)
		pause_ms = deadline_ms - now_ms;
	if (interrupt_sleep(pause_ms))
		*failure = (struct failure){.status = interrupt_status()};
	else if (deadline_ms && connection_now_ms() >= deadline_ms)
		*failure = (struct failure){.status = EXIT_TIMEOUT};
	return failure->is_passing;
}

/* Whether the job is over and nothing is left to come, though no last event was seen. */
static bool has_all(struct follow *follow)
{
	auto_json *batch = NULL;
	struct failure ignored;

	return job_get(follow->connection, follow->job, follow->deadline_ms, &batch, &ignored) ==
		       0 &&
	       job_is_over(batch) && json_number(batch, "batchd.events", 0) <= follow->after;
}

struct wait {
	struct connection *looking; /* a second connection: the first one streams */
	int64_t job;
	int64_t looked_at_ms;
	size_t held;   /* shards that were told to wait for a person */
	bool is_held;  /* so was the job itself */
	bool has_news; /* something went wrong, and may hold them */
	struct progress progress;
};

static bool pass_event(struct json_object *event, void *context)
{
	struct wait *wait = context;

	if (strcmp(json_text(event, "level", "info"), "info") != 0)
		wait->has_news = true;
	return false;
}

/* A held job does not go on by itself: who waits must hear of it, once for each shard more. */
static void tell_held(struct wait *wait, struct json_object *batch)
{
	bool is_held = json_is_true(batch, "batchd.is_held");
	size_t count, held = job_held(batch);
	struct json_object *shards = job_shards(batch, &count);

	for (size_t i = 0; held > wait->held && i < count; i++) {
		struct json_object *shard = json_object_array_get_idx(shards, i);

		if (job_is_held(shard))
			output_say("job %" PRId64 " waits for a person: shard %" PRId64 ": %s",
				   wait->job, json_number(shard, "shard", 0),
				   json_text(shard, "why", ""));
	}
	if (is_held && !wait->is_held)
		output_say("job %" PRId64 " waits for a person: %s", wait->job,
			   json_text(batch, "batchd.why", ""));
	wait->held = held;
	wait->is_held = is_held;
}

static void show_counts(struct wait *wait, struct json_object *batch, int64_t now_ms)
{
	wait->progress.total = job_total(batch);
	wait->progress.eta_s = json_number(batch, "batchd.eta", -1);
	progress_update(&wait->progress, job_done(batch), job_failed(batch), now_ms);
}

static void look(void *context)
{
	struct wait *wait = context;
	int64_t now_ms = connection_now_ms();
	auto_json *batch = NULL;
	struct failure ignored;

	if (!wait->progress.is_shown && !wait->has_news)
		return;
	if (now_ms - wait->looked_at_ms < LOOK_EVERY_MS)
		return;
	wait->looked_at_ms = now_ms;
	/* If it fails, the stream will notice and say so. */
	if (job_get(wait->looking, wait->job, now_ms + LOOK_EVERY_MS, &batch, &ignored))
		return;
	wait->has_news = false;
	tell_held(wait, batch);
	show_counts(wait, batch, now_ms);
}

int follow_run(struct follow *follow, struct failure *ret_failure)
{
	struct absence absence = {0};

	for (;;) {
		struct stream stream = {.follow = follow};
		int status = run_once(follow, &stream, ret_failure);

		buffer_release(&stream.line);
		if (stream.is_over || (!status && (!follow->is_live || has_all(follow))))
			return 0;
		/* Who answers is not away; but the pauses shrink only when something came. */
		if (stream.has_moved)
			absence = (struct absence){0};
		else if (stream.is_there)
			absence.since_ms = 0;
		/* A stream that ends without the last event: the daemon stops, and will be back. */
		if (!status)
			*ret_failure = (struct failure){
				.status = EXIT_UNREACHABLE,
				.text = "batchd closed the stream of events",
				.is_passing = true,
			};
		if (!try_again(&absence, follow->patience_ms, follow->deadline_ms, ret_failure))
			return ret_failure->status;
	}
}

int follow_get(struct connection *connection, int64_t job, int64_t patience_ms, int64_t deadline_ms,
	       struct json_object **ret_batch, struct failure *ret_failure)
{
	struct absence absence = {0};
	int status;

	do
		status = job_get(connection, job, deadline_ms, ret_batch, ret_failure);
	while (status && try_again(&absence, patience_ms, deadline_ms, ret_failure));
	return status ? ret_failure->status : 0;
}

int follow_tell(const struct failure *failure, int64_t job)
{
	if (failure->status == EXIT_TIMEOUT)
		return output_fail(EXIT_TIMEOUT, NULL, job,
				   "not finished when the time ran out; the job goes on");
	if (interrupt_came()) {
		output_say("job %" PRId64 " goes on", job);
		return failure->status;
	}
	return failure_tell(failure, job);
}

int follow_to_end(struct connection *connection, int64_t job, int64_t patience_ms,
		  int64_t deadline_ms, struct json_object **ret_batch)
{
	auto_free char *label = xasprintf("job %" PRId64, job);
	struct wait wait = {.job = job};
	struct follow follow = {.connection = connection,
				.job = job,
				.is_live = true,
				.patience_ms = patience_ms,
				.deadline_ms = deadline_ms,
				.on_event = pass_event,
				.on_tick = look,
				.context = &wait};
	struct failure failure;
	auto_json *batch = NULL;
	int status;

	progress_init(&wait.progress, label, false, 0, connection_now_ms());
	wait.looking = connection_clone(connection);
	for (;;) {
		status = follow_get(connection, job, patience_ms, deadline_ms, &batch, &failure);
		if (status || job_is_over(batch))
			break;
		tell_held(&wait, batch);
		if (!follow.after)
			follow.after = json_number(batch, "batchd.events", 0);
		json_free(take(batch));
		status = follow_run(&follow, &failure);
		if (status)
			break;
	}
	progress_clear(&wait.progress);
	connection_free(wait.looking);
	if (status)
		return follow_tell(&failure, job);
	*ret_batch = take(batch);
	return 0;
}
