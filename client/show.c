#include "client/show.h"

#include <inttypes.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>

#include "client/job.h"
#include "client/table.h"
#include "client/words.h"
#include "daemon/base/buffer.h"
#include "daemon/protocol.h"

#define ERRORS_SHOWN 10

/* clang-format off */
static const struct {
	const char *member;
	const char *label;
} times[] = {
	{ "created_at",     "accepted" },
	{ "in_progress_at", "in progress" },
	{ "finalizing_at",  "finalizing" },
	{ "completed_at",   "completed" },
	{ "failed_at",      "failed" },
	{ "cancelling_at",  "cancelling" },
	{ "cancelled_at",   "cancelled" },
	{ "expired_at",     "expired" },
};

static const struct table_column shard_columns[] = {
	{ "SHARD", true }, { "STATE", false }, { "REQUESTS", true }, { "DONE", true },
	{ "FAILED", true },
	{ "TRY", true }, { "MODEL", false }, { "REMOTE", false }, { "BATCH", false },
	{ "WHY", false },
};
/* clang-format on */

static size_t length_of(struct json_object *array)
{
	return json_object_is_type(array, json_type_array) ? json_object_array_length(array) : 0;
}

static void show_counts(struct json_object *batch)
{
	static const char *const names[] = {"ok", "failed", "cancelled", "expired", "missing"};
	struct json_object *counts = json_at(batch, "batchd.counts");
	auto_buffer text = {0};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		int64_t count = json_number(counts, names[i], 0);

		if (count || i == 0)
			buffer_add_format(&text, ", %" PRId64 " %s", count, names[i]);
	}
	output_field("requests",
		     "%" PRId64 "%s; reported: %" PRId64 " completed, %" PRId64 " failed",
		     job_total(batch), buffer_text(&text),
		     json_number(batch, "request_counts.completed", 0),
		     json_number(batch, "request_counts.failed", 0));
}

static void show_metadata(struct json_object *metadata)
{
	if (!json_object_is_type(metadata, json_type_object))
		return;
	json_object_object_foreach(metadata, key, value)
	{
		if (strcmp(key, "name") != 0)
			output_field("metadata", "%s=%s", key, json_object_get_string(value));
	}
}

static void show_errors(struct json_object *batch)
{
	struct json_object *errors = json_at(batch, "errors.data");
	size_t count = length_of(errors);
	int64_t total = json_number(batch, "batchd.errors_total", (int64_t)count);

	for (size_t i = 0; i < count && i < ERRORS_SHOWN; i++) {
		struct json_object *error = json_object_array_get_idx(errors, i);
		int64_t line = json_number(error, "line", 0);

		if (line)
			output_field("error", "line %" PRId64 ": %s", line,
				     json_text(error, "message", "-"));
		else
			output_field("error", "%s", json_text(error, "message", "-"));
	}
	if (total > ERRORS_SHOWN)
		output_field("error",
			     "and %" PRId64 " more (batchctl -j show has up to %d of them)",
			     total - ERRORS_SHOWN, PROTOCOL_MAX_ERRORS);
}

static void add_shard(struct table *table, struct json_object *shard)
{
	table_add(table, OUTPUT_PLAIN, "%" PRId64, json_number(shard, "shard", 0));
	table_add(table, OUTPUT_PLAIN, "%s", json_text(shard, "state", "-"));
	table_add(table, OUTPUT_PLAIN, "%" PRId64, json_number(shard, "requests", 0));
	table_add(table, OUTPUT_PLAIN, "%" PRId64, json_number(shard, "completed", 0));
	table_add(table, OUTPUT_PLAIN, "%" PRId64, json_number(shard, "failed", 0));
	table_add(table, OUTPUT_PLAIN, "%" PRId64, json_number(shard, "attempt", 0));
	table_add(table, OUTPUT_PLAIN, "%s", json_text(shard, "model", "-"));
	table_add(table, OUTPUT_PLAIN, "%s", json_text(shard, "remote_status", "-"));
	table_add(table, OUTPUT_PLAIN, "%s", json_text(shard, "batch_id", "-"));
	table_add(table, OUTPUT_PLAIN, "%s", json_text(shard, "why", ""));
}

static void show_shards(struct json_object *batch)
{
	struct json_object *shards = json_at(batch, "batchd.shards");
	size_t count = length_of(shards);
	int64_t total = json_number(batch, "batchd.shards_total", (int64_t)count);
	struct table *table;

	if (!count)
		return;
	(void)putchar('\n');
	table = table_new(shard_columns, ARRAY_SIZE(shard_columns), stdout, output_columns(stdout));
	for (size_t i = 0; i < count; i++)
		add_shard(table, json_object_array_get_idx(shards, i));
	table_finish(table);
	if (total > (int64_t)count)
		(void)printf("and %" PRId64 " more shards\n", total - (int64_t)count);
}

static void show_files(struct json_object *batch)
{
	const char *output = json_text(batch, "output_file_id", "");
	const char *errors = json_text(batch, "error_file_id", "");

	if (*output)
		output_field("successes", "%s", output);
	if (*errors)
		output_field("failures", "%s", errors);
}

void show_batch(struct json_object *batch)
{
	const char *name = json_text(batch, "metadata.name", NULL);
	const char *why = json_text(batch, "batchd.why", NULL);
	const char *file = json_text(batch, "batchd.file_name", "no name");
	int64_t uid = json_number(batch, "batchd.owner.uid", -1);
	const struct passwd *user = uid < 0 ? NULL : getpwuid((uid_t)uid);
	char figure[WORDS_FIGURE];

	output_field("job", "%" PRId64 "%s%s%s", job_number(batch), name ? " (" : "",
		     name ? name : "", name ? ")" : "");
	output_field("state", "%s (%s)", job_status(batch), json_text(batch, "batchd.state", "-"));
	if (why)
		output_field("why", "%s", why);
	output_field("owner", "%s (%" PRId64 ")", user ? user->pw_name : "-", uid);
	output_field("input", "%s, %s, %s", file,
		     words_size(json_number(batch, "batchd.input_bytes", 0), figure),
		     json_text(batch, "input_file_id", "-"));
	output_field("endpoint", "%s", json_text(batch, "endpoint", "-"));
	output_field("provider", "%s", json_text(batch, "batchd.provider", "-"));
	show_counts(batch);
	show_metadata(json_at(batch, "metadata"));
	for (size_t i = 0; i < ARRAY_SIZE(times); i++) {
		int64_t at = json_number(batch, times[i].member, 0);

		if (at)
			output_field(times[i].label, "%s", words_time(at, figure));
	}
	show_files(batch);
	show_errors(batch);
	show_shards(batch);
}

void show_event(struct json_object *event)
{
	const char *level = json_text(event, "level", "info");
	bool is_info = strcmp(level, "info") == 0;
	enum output_colour colour = is_info                       ? OUTPUT_PLAIN
				    : strcmp(level, "error") == 0 ? OUTPUT_BAD
								  : OUTPUT_BUSY;
	int64_t shard = json_number(event, "shard", 0);
	const char *message = json_text(event, "message", "");
	const char *type = json_text(event, "type", "-");
	auto_buffer text = {0};
	char at[WORDS_FIGURE];

	output_escape(&text, type, strlen(type), output_is_utf8());
	while (text.size < 16)
		buffer_add_text(&text, " ");
	buffer_add_text(&text, "  ");
	if (shard)
		buffer_add_format(&text, "shard %" PRId64 ": ", shard);
	if (!is_info) {
		output_escape(&text, level, strlen(level), output_is_utf8());
		buffer_add_text(&text, ": ");
	}
	output_escape(&text, message, strlen(message), output_is_utf8());
	(void)printf("%s  %s%s%s\n", words_time(json_number(event, "created_at", 0), at),
		     output_colour_on(colour), buffer_text(&text), output_colour_off(colour));
}
