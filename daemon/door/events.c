/* A job's history as a stream of lines, and those that follow it. */
#include <inttypes.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/alloc.h"
#include "daemon/base/buffer.h"
#include "daemon/door/visit.h"
#include "daemon/io/server.h"
#include "daemon/io/store.h"
#include "daemon/protocol.h"

#define PAGE 100

struct stream {
	struct door *door;
	int64_t job;
	int64_t after;
	bool is_follow;
	bool is_over; /* the job's last event was given */
	struct buffer lines;
};

static void free_stream(void *own)
{
	struct stream *stream = own;

	buffer_release(&stream->lines);
	free(stream);
}

static void add_line(const struct store_event *event, void *context)
{
	struct stream *stream = context;
	struct json_object *object;

	/* What is not committed yet may never have been. */
	if (event->seq > stream->door->committed_seq)
		return;
	alloc_watch();
	object = json_object_new_object();
	json_object_object_add(object, "object", json_object_new_string("batchd.event"));
	json_object_object_add(object, "seq", json_object_new_int64(event->seq));
	json_object_object_add(object, "job", json_object_new_int64(event->job));
	json_object_object_add(object, "shard", event->shard ? json_object_new_int64(event->shard) : NULL);
	json_object_object_add(object, "created_at", json_seconds(event->at));
	json_object_object_add(object, "created_at_ms", json_object_new_int64(event->at));
	json_object_object_add(object, "type", json_text(event->type));
	json_object_object_add(object, "level", json_text(event->level));
	json_object_object_add(object, "message", json_text(event->message));
	if (event->is_last)
		json_object_object_add(object, "is_last", json_object_new_boolean(true));
	buffer_add_text(&stream->lines,
			json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN |
								       JSON_C_TO_STRING_NOSLASHESCAPE));
	alloc_check();
	buffer_add_text(&stream->lines, "\n");
	json_object_put(object);
	stream->after = event->seq;
	stream->is_over = stream->is_over || event->is_last;
}

static int64_t produce_events(char *bytes, size_t size, void *context)
{
	struct stream *stream = context;
	size_t count;

	if (!stream->lines.size && !stream->is_over &&
	    store_event_list(stream->door->parts.store, stream->job, stream->after, PAGE, add_line, stream))
		return SERVER_STREAM_BROKEN;
	if (!stream->lines.size)
		return stream->is_follow && !stream->is_over ? 0 : SERVER_STREAM_END;
	count = stream->lines.size < size ? stream->lines.size : size;
	memcpy(bytes, stream->lines.data, count);
	buffer_drop(&stream->lines, count);
	return (int64_t)count;
}

void events_get(struct visit *visit)
{
	struct door *door = visit->door;
	struct stream *stream;
	auto_job job = { 0 };
	int64_t after;

	if (visit_job(visit, &job) || visit_query_number(visit, "after", 0, INT64_MAX, 0, &after))
		return;
	/* Beyond the last event nothing would ever come. */
	if (after > store_event_last(door->parts.store, job.id))
		after = store_event_last(door->parts.store, job.id);
	stream = xcalloc(1, sizeof(*stream));
	*stream = (struct stream){
		.door = door,
		.job = job.id,
		.after = after,
		.is_follow = visit_query_flag(visit, "follow"),
		/* Whoever has seen the last event already waits for nothing. */
		.is_over = job_is_ended(job.state) && after >= store_event_last(door->parts.store, job.id),
	};
	visit->own = stream;
	visit->own_free = free_stream;
	if (stream->is_follow) {
		visit->next_follower = door->followers;
		door->followers = visit;
	}
	visit->is_answered = true;
	exchange_reply_stream(visit->exchange, 200, PROTOCOL_NDJSON, -1, produce_events, stream);
}

void events_wake(struct door *door, int64_t job)
{
	struct visit *visit = door->followers;

	while (visit) {
		struct visit *next = visit->next_follower;
		const struct stream *stream = visit->own;

		if (stream->job == job)
			exchange_wake(visit->exchange);
		visit = next;
	}
}
