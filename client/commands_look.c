#include "client/commands.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "client/exits.h"
#include "client/follow.h"
#include "client/interrupt.h"
#include "client/options.h"
#include "client/show.h"
#include "client/table.h"
#include "client/words.h"
#include "daemon/base/alloc.h"
#include "daemon/base/buffer.h"
#include "daemon/protocol.h"

/* clang-format off */
static const struct table_column list_columns[] = {
	{ "ID", true }, { "STATE", false }, { "DONE/TOTAL", true }, { "FAILED", true },
	{ "AGE", true }, { "ETA", true }, { "MODEL/PROVIDER", false }, { "NAME", false }, { "WHY", false },
};
/* clang-format on */

/* Where its requests may be: the one that is named, or all of several. */
static char *providers_of(struct json_object *batch)
{
	struct json_object *list = json_at(batch, "batchd.providers");
	size_t count = json_object_is_type(list, json_type_array) ? json_object_array_length(list) : 0;
	auto_buffer text = {0};

	for (size_t i = 0; i < count; i++)
		buffer_add_format(&text, "%s%s", i ? "," : "", json_object_get_string(json_object_array_get_idx(list, i)));
	return xstrdup(count ? buffer_text(&text) : json_text(batch, "batchd.provider", "-"));
}

static void add_row(struct table *table, struct json_object *batch)
{
	int64_t age_s = (int64_t)time(NULL) - json_number(batch, "created_at", 0);
	auto_free char *providers = providers_of(batch);
	const char *file = json_text(batch, "batchd.file_name", "");
	int64_t until = json_number(batch, "batchd.until", 0);
	char age[WORDS_FIGURE], eta[WORDS_FIGURE], time_text[WORDS_FIGURE];

	table_add(table, OUTPUT_PLAIN, "%" PRId64, job_number(batch));
	table_add(table, job_colour(batch), "%s",
		  json_is_true(batch, "batchd.is_on_hold") ? "on hold" : job_status(batch));
	table_add(table, OUTPUT_PLAIN, "%" PRId64 "/%" PRId64, job_done(batch), job_total(batch));
	table_add(table, job_failed(batch) ? OUTPUT_BAD : OUTPUT_PLAIN, "%" PRId64,
		  job_failed(batch));
	table_add(table, OUTPUT_PLAIN, "%s", words_elapsed(age_s, age));
	table_add(table, OUTPUT_PLAIN, "%s", job_eta(batch, "batchd.eta", eta));
	table_add(table, OUTPUT_PLAIN, "%s", json_text(batch, "model", providers));
	table_add(table, OUTPUT_PLAIN, "%s", json_text(batch, "metadata.name", file));
	table_add(table, OUTPUT_PLAIN, "%s%s%s", json_text(batch, "batchd.why", ""), until ? ", until " : "",
		  until ? words_time(until, time_text) : "");
}

/* A page of the door's list behind a job; the caller puts it. */
static int get_page(struct session *session, int64_t after, int64_t limit,
		    struct json_object **ret_page, struct failure *failure)
{
	const struct options *options = session->options;
	auto_free char *path = xasprintf("%s?limit=%" PRId64, PROTOCOL_BATCHES, limit);

	if (options->states || !options->wants_all)
		connection_query(&path, "state", options->states ? options->states : "open");
	if (after) {
		auto_free char *id = xasprintf("%s%" PRId64, PROTOCOL_BATCH_PREFIX, after);

		connection_query(&path, "after", id);
	}
	return service_get(session->connection, path, 0, ret_page, failure);
}

/* Every batch of a page. Returns the number of the last; 0 where the list ends or does not go on
 * downward. */
static int64_t take_page(struct json_object *page, struct table *table, int64_t after)
{
	struct json_object *data = json_at(page, "data");
	size_t count =
		json_object_is_type(data, json_type_array) ? json_object_array_length(data) : 0;
	int64_t last = 0;

	for (size_t i = 0; i < count; i++) {
		struct json_object *batch = json_object_array_get_idx(data, i);

		last = job_number(batch);
		if (after && last >= after)
			return 0;
		if (table)
			add_row(table, batch);
		else
			output_json(batch);
	}
	return json_is_true(page, "has_more") ? last : 0;
}

/* The table is begun with the first page: where there is none, a header would look like an empty
 * list. */
static int list(struct session *session, struct table **table)
{
	int64_t left = session->options->count ? session->options->count : INT64_MAX;
	struct failure failure;
	int64_t after = 0;

	do {
		int64_t limit = left < PROTOCOL_LIST_MAX ? left : PROTOCOL_LIST_MAX;
		auto_json *page = NULL;

		if (get_page(session, after, limit, &page, &failure))
			return failure_tell(&failure, 0);
		if (!*table && !output_is_json())
			*table = table_new(list_columns, ARRAY_SIZE(list_columns), stdout,
					   output_columns(stdout));
		after = take_page(page, *table, after);
		left -= limit;
	} while (after && left > 0 && !interrupt_came());
	return interrupt_came() ? interrupt_status() : EXIT_DONE;
}

int command_list(struct session *session)
{
	const char *states = session->options->states;
	struct table *table = NULL;
	int status;

	if (states && !words_states(states))
		return output_fail(EXIT_USAGE, NULL, 0,
				   "%s is not a list of states (a socket goes before the command)",
				   states);
	status = list(session, &table);
	if (table)
		table_finish(table);
	return status;
}

int command_show(struct session *session)
{
	const struct options *options = session->options;
	int worst = EXIT_DONE;

	for (size_t i = 0; i < options->operand_count && !interrupt_came(); i++) {
		auto_json *batch = NULL;
		struct failure failure;
		int64_t job = 0;
		int status = job_read_id(options->operands[i], &job);

		if (!status && job_get(session->connection, job, 0, &batch, &failure))
			status = failure_tell(&failure, job);
		worst = exits_worse(worst, status);
		if (status)
			continue;
		if (output_is_json()) {
			output_json(batch);
			continue;
		}
		if (i)
			(void)putchar('\n');
		show_batch(batch);
	}
	return worst;
}

static bool print_event(struct json_object *event, void *context)
{
	(void)context;
	if (output_is_json())
		output_json(event);
	else
		show_event(event);
	/* Who follows wants it now, and a reader that has left ends it. */
	return fflush(stdout) != 0;
}

int command_log(struct session *session)
{
	const struct options *options = session->options;
	struct follow follow = {
		.connection = session->connection,
		.is_live = options->follows,
		.patience_ms = options->patience_ms,
		.on_event = print_event,
	};
	struct failure failure;
	int status = job_read_id(options->operands[0], &follow.job);

	if (!status && follow_run(&follow, &failure))
		status = failure_tell(&failure, follow.job);
	return status;
}
