#include "client/commands.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "client/exits.h"
#include "client/interrupt.h"
#include "client/job.h"
#include "client/options.h"
#include "client/words.h"
#include "daemon/base/buffer.h"
#include "daemon/protocol.h"

#define PING_EVERY_MS 100

static void add_count(struct buffer *buffer, const char *name, int64_t count)
{
	if (count)
		buffer_add_format(buffer, "%s%" PRId64 " %s", buffer->size ? ", " : "", count,
				  name);
}

static void show_provider(struct json_object *provider)
{
	auto_buffer words = {0};

	provider_describe(provider, &words);
	output_field("provider", "%s (%s), %s, %" PRId64 " batches in flight", json_text(provider, "name", "-"),
		     json_text(provider, "dialect", "-"), buffer_text(&words),
		     json_number(provider, "shards_in_flight", 0));
}

/* What it takes at once and how fast, as far as that is known. */
static void show_allowance(struct json_object *provider)
{
	/* clang-format off */
	static const struct { const char *member, *noun; } limits[] = {
		{ "max_batches",           "batches in flight" },
		{ "max_enqueued_tokens",   "enqueued tokens" },
		{ "max_enqueued_requests", "enqueued requests" },
		{ "uploads_per_minute",    "uploads a minute" },
		{ "batches_per_hour",      "batches an hour" },
		{ "lists_per_minute",      "lists a minute" },
	};
	/* clang-format on */
	auto_buffer text = {0};

	for (size_t i = 0; i < ARRAY_SIZE(limits); i++)
		add_count(&text, limits[i].noun, json_number(json_at(provider, "allowance"), limits[i].member, 0));
	if (text.size)
		output_field("at most", "%s: %s", json_text(provider, "name", "-"), buffer_text(&text));
}

/* What the headers of its answers said last. */
static void show_rates(struct json_object *provider)
{
	static const char *const names[] = {"requests", "tokens"};
	char time[WORDS_FIGURE];

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		struct json_object *rate = json_at(json_at(provider, "rates"), names[i]);
		int64_t left = json_number(rate, "remaining", -1), limit = json_number(rate, "limit", -1),
			reset_at = json_number(rate, "reset_at", 0);
		auto_buffer text = {0};

		if (left >= 0)
			buffer_add_format(&text, "%" PRId64 " ", left);
		if (left >= 0 && limit >= 0)
			buffer_add_text(&text, "of ");
		if (limit >= 0)
			buffer_add_format(&text, "%" PRId64 " ", limit);
		if (text.size)
			output_field("rate", "%s: %s%s%s%s%s", json_text(provider, "name", "-"), buffer_text(&text),
				     names[i], left >= 0 ? " left" : "", reset_at ? ", anew at " : "",
				     reset_at ? words_time(reset_at, time) : "");
	}
}

static void show_waiting(struct json_object *provider)
{
	int64_t count = json_number(provider, "shards_waiting", 0), until = json_number(provider, "waiting_until", 0);
	const char *why = json_text(provider, "waiting_why", NULL);
	char time[WORDS_FIGURE];

	if (count)
		output_field("waiting", "%s: %" PRId64 "%s%s%s%s%s", json_text(provider, "name", "-"), count,
			     count == PROTOCOL_MAX_WAITING ? " shards or more" : count == 1 ? " shard" : " shards",
			     why ? "; one of the first: " : "", why ? why : "", until ? ", until " : "", until ? words_time(until, time) : "");
}

/* "3 batches, 120 requests, 1900000 of 2000000 tokens (learned)" */
static void add_use(struct buffer *text, struct json_object *model, const char *name, const char *limit_name)
{
	int64_t limit = json_number(model, limit_name, 0);

	buffer_add_format(text, "%s%" PRId64, text->size ? ", " : "", json_number(model, name, 0));
	if (limit)
		buffer_add_format(text, " of %" PRId64, limit);
	buffer_add_format(text, " %s", name);
}

/* What is under way of each model, beside its limits. */
static void show_in_flight(struct json_object *provider)
{
	struct json_object *models = json_at(provider, "in_flight");
	size_t count = json_object_is_type(models, json_type_array) ? json_object_array_length(models) : 0;

	for (size_t i = 0; i < count; i++) {
		struct json_object *model = json_object_array_get_idx(models, i);
		auto_buffer text = {0};

		add_use(&text, model, "batches", "max_batches");
		add_use(&text, model, "requests", "max_requests");
		add_use(&text, model, "tokens", "max_tokens");
		output_field("in flight", "%s, %s: %s%s", json_text(provider, "name", "-"), json_text(model, "model", "-"),
			     buffer_text(&text), json_is_true(model, "is_learned") ? " (learned)" : "");
	}
}

static void show_daemon(struct json_object *daemon)
{
	struct json_object *jobs = json_at(daemon, "jobs"),
			   *providers = json_at(daemon, "providers");
	int64_t started_at = json_number(daemon, "started_at", 0);
	char since[WORDS_FIGURE], elapsed[WORDS_FIGURE], size[WORDS_FIGURE];
	bool is_accepting = json_is_true(daemon, "accepting");
	auto_buffer counts = {0};

	output_field("batchd", "%s, pid %" PRId64 ", since %s (%s)",
		     json_text(daemon, "version", "-"), json_number(daemon, "pid", 0),
		     words_time(started_at, since),
		     words_elapsed((int64_t)time(NULL) - started_at, elapsed));
	output_field("accepting", "%s%s", is_accepting ? "yes" : "NO: ",
		     is_accepting ? "" : json_text(daemon, "why", "it does not say why"));
	if (json_object_is_type(jobs, json_type_object)) {
		json_object_object_foreach(jobs, name, count)
			add_count(&counts, name, json_object_get_int64(count));
	}
	output_field("jobs", "%s", counts.size ? buffer_text(&counts) : "none");
	if (json_object_is_type(providers, json_type_array))
		for (size_t i = 0; i < json_object_array_length(providers); i++) {
			struct json_object *provider = json_object_array_get_idx(providers, i);

			show_provider(provider);
			show_allowance(provider);
			show_rates(provider);
			show_in_flight(provider);
			show_waiting(provider);
		}
	output_field("state", "%s, %s free", json_text(daemon, "state_folder", "-"),
		     words_size(json_number(daemon, "disk_free_bytes", 0), size));
}

static int check_job(struct session *session, const char *word)
{
	auto_json *batch = NULL;
	struct failure failure;
	int64_t job = 0;
	int status = job_read_id(word, &job);

	if (status)
		return status;
	if (job_get(session->connection, job, 0, &batch, &failure))
		return failure_tell(&failure, job);
	status = job_outcome(batch);
	if (output_is_json())
		output_json(batch);
	else
		output_field("job", "%" PRId64 " %s", job, job_status(batch));
	return status;
}

/* 0: it accepts jobs. Else the exit status and why. */
static int ping_once(struct session *session, int64_t deadline_ms, struct failure *failure)
{
	struct connection_call call = {
		.method = "GET", .path = PROTOCOL_HEALTH, .deadline_ms = deadline_ms};
	auto_reply reply = {0};
	auto_json *daemon = NULL;
	struct error err = {0};
	struct failure ignored;
	int result = connection_perform(session->connection, &call, &reply, &err);
	int status = failure_read(result, &err, &reply, failure);

	if (result == 0 && status) {
		*failure = (struct failure){.status = EXIT_OTHER};
		if (service_get(session->connection, PROTOCOL_DAEMON, deadline_ms, &daemon,
				&ignored) != 0)
			daemon = NULL;
		(void)snprintf(failure->text, sizeof(failure->text), "batchd accepts no jobs: %s",
			       json_text(daemon, "why", "it does not say why"));
	} else if (failure->status == EXIT_TIMEOUT) {
		failure->status = EXIT_UNREACHABLE;
		(void)snprintf(failure->text, sizeof(failure->text), "batchd does not answer");
	}
	return failure->status;
}

int command_status(struct session *session)
{
	const struct options *options = session->options;
	auto_json *daemon = NULL;
	struct failure failure;
	int worst = EXIT_DONE;

	if (options->checks != (options->operand_count > 0))
		return output_fail(EXIT_USAGE, NULL, 0, "job ids and --check belong together");
	if (options->checks) {
		for (size_t i = 0; i < options->operand_count && !interrupt_came(); i++)
			worst = exits_worse(worst, check_job(session, options->operands[i]));
		return worst;
	}
	if (service_get(session->connection, PROTOCOL_DAEMON, 0, &daemon, &failure))
		return failure_tell(&failure, 0);
	if (output_is_json())
		output_json(daemon);
	else
		show_daemon(daemon);
	return EXIT_DONE;
}

int command_ping(struct session *session)
{
	int64_t limit_ms = session->options->wait_ms > 0 ? session->options->wait_ms : 10000;
	int64_t deadline_ms = connection_now_ms() + limit_ms;
	struct failure failure;

	for (;;) {
		int status = ping_once(session, deadline_ms, &failure);

		if (!status || !session->options->wait_ms || interrupt_came() ||
		    connection_now_ms() + PING_EVERY_MS >= deadline_ms)
			break;
		(void)interrupt_sleep(PING_EVERY_MS);
	}
	if (failure.status)
		return failure_tell(&failure, 0);
	if (output_is_json())
		(void)puts("{\"v\":1,\"ready\":true}");
	else if (!session->options->is_quiet)
		(void)puts("batchd is ready");
	return EXIT_DONE;
}
