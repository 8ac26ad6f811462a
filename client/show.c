#include "client/show.h"

#include <inttypes.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>

#include "client/job.h"
#include "client/table.h"
#include "client/words.h"
#include "daemon/base/alloc.h"
#include "daemon/base/buffer.h"
#include "daemon/protocol.h"

#define ERRORS_SHOWN 10
#define DEFAULT_PRIORITY 50 /* which need not be said */

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

static const struct table_column digest_columns[] = {
	{ "FAILED", true }, { "CODE", false }, { "LINES", false }, { "MESSAGE", false },
};

static const struct table_column shard_columns[] = {
	/* Only where there are several. */
	{ "PROVIDER", false },
	{ "SHARD", true }, { "STATE", false }, { "REQUESTS", true }, { "DONE", true },
	{ "FAILED", true },
	{ "TRY", true }, { "MODEL", false }, { "REMOTE", false }, { "BATCH", false },
	{ "FOUND", false }, { "WHY", false },
};
/* clang-format on */

static size_t length_of(struct json_object *array)
{
	return json_object_is_type(array, json_type_array) ? json_object_array_length(array) : 0;
}

/* Those members of object that are not 0, each with a name behind it; gap goes before the first of
 * them. */
static void add_numbers(struct buffer *text, struct json_object *object, const char *const *names,
			size_t count, const char *gap)
{
	for (size_t i = 0; i < count; i++) {
		int64_t number = json_number(object, names[i], 0);

		if (!number)
			continue;
		buffer_add_format(text, "%s%" PRId64 " %s", gap, number, names[i]);
		gap = ", ";
	}
}

static void show_counts(struct json_object *batch)
{
	static const char *const ends[] = {"cancelled", "expired"};
	static const char *const failures[] = {"invalid", "missing", "lost"};
	struct json_object *counts = json_at(batch, "batchd.counts");
	int64_t failed = json_number(counts, "failed", 0);
	int64_t resent = json_number(counts, "resent", 0);
	int64_t twice = json_number(counts, "twice", 0);
	char number[WORDS_FIGURE];
	auto_buffer text = {0};

	buffer_add_format(&text, ", %" PRId64 " ok", json_number(counts, "ok", 0));
	if (failed) {
		auto_buffer kinds = {0};

		add_numbers(&kinds, counts, failures, ARRAY_SIZE(failures), " (");
		buffer_add_format(&text, ", %" PRId64 " failed%s%s", failed, buffer_text(&kinds),
				  kinds.size ? ")" : "");
	}
	add_numbers(&text, counts, ends, ARRAY_SIZE(ends), ", ");
	output_field("requests",
		     "%" PRId64 "%s; reported: %" PRId64 " completed, %" PRId64 " failed",
		     job_total(batch), buffer_text(&text),
		     json_number(batch, "request_counts.completed", 0),
		     json_number(batch, "request_counts.failed", 0));
	if (resent)
		output_field("resent", "%s, whose answers may have been paid for before",
			     words_number(resent, "request", number));
	if (twice)
		output_field("twice", "%s beyond the first of a request",
			     words_number(twice, "answer", number));
}

/* Each pair of an object, but for those called except. */
static void show_pairs(const char *label, struct json_object *pairs, const char *except)
{
	if (!json_object_is_type(pairs, json_type_object))
		return;
	json_object_object_foreach(pairs, key, value)
	{
		if (strcmp(key, except) != 0)
			output_field(label, "%s=%s", key, json_object_get_string(value));
	}
}

/* What the job asks for beyond the ordinary. */
static void show_choices(struct json_object *batch)
{
	const char *model = json_text(batch, "batchd.model", NULL);
	int64_t retry_of = json_number(batch, "batchd.retry_of", 0);
	bool is_wrapped = json_is_true(batch, "batchd.wrap");

	if (retry_of)
		output_field("retry of", "job %" PRId64, retry_of);
	if (is_wrapped)
		output_field("lines", "bare bodies%s%s", model ? ", of " : "", model ? model : "");
	if (is_wrapped || strcmp(json_text(batch, "batchd.ids", ""), "line") == 0)
		output_field("ids", "line-N, by the number of the line");
	if (strcmp(json_text(batch, "batchd.on_invalid", ""), "skip") == 0)
		output_field("wrong lines", "fail alone");
}

/* What was said about its order, beyond the ordinary. */
static void show_order(struct json_object *batch)
{
	int64_t priority = json_number(batch, "batchd.priority", DEFAULT_PRIORITY);
	int64_t begin = json_number(batch, "batchd.begin_at", 0);
	int64_t after = json_number(batch, "batchd.after", 0);
	int64_t deadline = json_number(batch, "expires_at", 0);
	char time[WORDS_FIGURE];

	if (priority != DEFAULT_PRIORITY)
		output_field("priority", "%" PRId64, priority);
	if (begin)
		output_field("begin", "%s", words_time(begin, time));
	if (after)
		output_field("after", "job %" PRId64, after);
	if (deadline)
		output_field("deadline", "%s", words_time(deadline, time));
}

static void show_budgets(struct json_object *batch)
{
	int64_t tokens = json_number(batch, "batchd.budget.max_tokens", 0);
	const char *cost = json_text(batch, "batchd.budget.max_cost", NULL);

	if (tokens)
		output_field("budget", "%" PRId64 " of %" PRId64 " tokens used or reserved",
			     json_number(batch, "batchd.budget.tokens", 0), tokens);
	if (cost)
		output_field("budget", "%s of %s %s used or reserved", json_text(batch, "batchd.budget.cost", "-"), cost,
			     json_text(batch, "batchd.currency", ""));
}

static void show_why(struct json_object *batch, const char *why)
{
	int64_t until = json_number(batch, "batchd.until", 0);
	char time[WORDS_FIGURE];

	output_field("why", "%s%s%s", why, until ? ", until " : "", until ? words_time(until, time) : "");
}

static bool has_several_providers(struct json_object *array)
{
	const char *first = json_text(json_object_array_get_idx(array, 0), "provider", "-");

	for (size_t i = 1; i < length_of(array); i++)
		if (strcmp(json_text(json_object_array_get_idx(array, i), "provider", "-"), first) != 0)
			return true;
	return false;
}

static void show_usage(struct json_object *batch)
{
	struct json_object *usage = json_at(batch, "batchd.usage");
	const char *currency = json_text(batch, "batchd.currency", "");
	bool is_wide = has_several_providers(usage);

	for (size_t i = 0; i < length_of(usage); i++) {
		struct json_object *model = json_object_array_get_idx(usage, i);
		const char *cost = json_text(model, "cost", NULL);

		output_field("tokens", "%s%s%s: %" PRId64 " in (%" PRId64 " estimated), %" PRId64 " out%s%s%s%s%s",
			     json_text(model, "model", "-"), is_wide ? " at " : "",
			     is_wide ? json_text(model, "provider", "-") : "",
			     json_number(model, "input_tokens", 0), json_number(model, "estimated_tokens", 0),
			     json_number(model, "output_tokens", 0), cost ? "; " : "",
			     cost ? cost : "", cost && *currency ? " " : "", cost ? currency : "",
			     cost ? " (computed by batchd)" : "");
	}
}

/* "17, 203, ..." where there are more requests than lines. */
static char *digest_lines(struct json_object *entry)
{
	struct json_object *lines = json_at(entry, "lines");
	size_t count = length_of(lines);
	int64_t total = json_number(entry, "count", 0);
	auto_buffer text = {0};

	for (size_t i = 0; i < count; i++)
		buffer_add_format(&text, "%s%" PRId64, i ? ", " : "",
				  json_object_get_int64(json_object_array_get_idx(lines, i)));
	if (count && total > (int64_t)count)
		buffer_add_text(&text, ", ...");
	return xstrdup(buffer_text(&text));
}

/* The messages come last, where they are cut to the width of a terminal. */
static void show_digest(struct json_object *batch)
{
	struct json_object *digest = json_at(batch, "batchd.digest");
	size_t count = length_of(digest);
	struct table *table;

	if (!count)
		return;
	(void)putchar('\n');
	table = table_new(digest_columns, ARRAY_SIZE(digest_columns), stdout,
			  output_columns(stdout));
	for (size_t i = 0; i < count; i++) {
		struct json_object *entry = json_object_array_get_idx(digest, i);
		auto_free char *lines = digest_lines(entry);

		table_add(table, OUTPUT_PLAIN, "%" PRId64, json_number(entry, "count", 0));
		table_add(table, OUTPUT_PLAIN, "%s", json_text(entry, "code", "-"));
		table_add(table, OUTPUT_PLAIN, "%s", *lines ? lines : "-");
		table_add(table, OUTPUT_PLAIN, "%s", json_text(entry, "message", "-"));
	}
	table_finish(table);
}

/* What to look for at the provider, where a person has to. */
static void show_sought(struct json_object *shard)
{
	int64_t at = json_number(shard, "intended_at", 0);
	char time[WORDS_FIGURE];

	if (strcmp(json_text(shard, "state", ""), "uncertain") != 0)
		return;
	output_field("look for", "a batch with metadata batchd=%s", json_text(shard, "marker", "-"));
	output_field("or", "one of the input file %s", json_text(shard, "provider_file_id", "-"));
	output_field("made", "at %s or later", at ? words_time(at, time) : "-");
}

/* The reason names the commands that a person has to choose between. */
static void show_held(struct json_object *batch)
{
	size_t count;
	struct json_object *shards = job_shards(batch, &count);

	for (size_t i = 0; i < count; i++) {
		struct json_object *shard = json_object_array_get_idx(shards, i);

		if (!job_is_held(shard))
			continue;
		output_field("held", "shard %" PRId64 ": %s", json_number(shard, "shard", 0),
			     json_text(shard, "why", "-"));
		show_sought(shard);
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

/* What collect found beyond answers that are ok or failed. */
static char *tally_words(struct json_object *shard)
{
	static const char *const names[] = {"again", "resent", "expired", "cancelled", "missing",
					    "lost",  "twice",  "unknown", "unreadable"};
	auto_buffer text = {0};

	add_numbers(&text, json_at(shard, "tally"), names, ARRAY_SIZE(names), "");
	return xstrdup(buffer_text(&text));
}

static void add_shard(struct table *table, struct json_object *shard, bool with_provider)
{
	const char *refusal = json_text(shard, "refusal", "");
	auto_free char *tally = tally_words(shard);
	int64_t until = json_number(shard, "until", 0);
	char time[WORDS_FIGURE];

	if (with_provider)
		table_add(table, OUTPUT_PLAIN, "%s", json_text(shard, "provider", "-"));
	table_add(table, OUTPUT_PLAIN, "%" PRId64, json_number(shard, "shard", 0));
	table_add(table, OUTPUT_PLAIN, "%s", json_text(shard, "state", "-"));
	table_add(table, OUTPUT_PLAIN, "%" PRId64, json_number(shard, "requests", 0));
	table_add(table, OUTPUT_PLAIN, "%" PRId64, json_number(shard, "completed", 0));
	table_add(table, OUTPUT_PLAIN, "%" PRId64, json_number(shard, "failed", 0));
	table_add(table, OUTPUT_PLAIN, "%" PRId64, json_number(shard, "attempt", 0));
	table_add(table, OUTPUT_PLAIN, "%s", json_text(shard, "model", "-"));
	table_add(table, OUTPUT_PLAIN, "%s", json_text(shard, "remote_status", "-"));
	table_add(table, OUTPUT_PLAIN, "%s", json_text(shard, "batch_id", "-"));
	table_add(table, OUTPUT_PLAIN, "%s", *tally ? tally : "-");
	table_add(table, OUTPUT_PLAIN, "%s%s%s",
		  job_is_held(shard) ? "held for a person" : json_text(shard, "why", refusal),
		  until ? ", until " : "", until ? words_time(until, time) : "");
}

static void show_shards(struct json_object *batch)
{
	struct json_object *shards = json_at(batch, "batchd.shards");
	size_t count = length_of(shards);
	int64_t total = json_number(batch, "batchd.shards_total", (int64_t)count);
	struct table *table;
	bool is_wide;

	if (!count)
		return;
	(void)putchar('\n');
	is_wide = has_several_providers(shards);
	table = table_new(shard_columns + !is_wide, ARRAY_SIZE(shard_columns) - !is_wide, stdout,
			  output_columns(stdout));
	for (size_t i = 0; i < count; i++)
		add_shard(table, json_object_array_get_idx(shards, i), is_wide);
	table_finish(table);
	if (total > (int64_t)count)
		(void)printf("and %" PRId64 " more shards\n", total - (int64_t)count);
}

/* Those that the job names, in their order. */
static void show_providers(struct json_object *batch)
{
	struct json_object *providers = json_at(batch, "batchd.providers");
	auto_buffer text = {0};

	for (size_t i = 0; i < length_of(providers); i++)
		buffer_add_format(&text, "%s%s", i ? ", then " : "",
				  json_object_get_string(json_object_array_get_idx(providers, i)));
	output_field("provider", "%s",
		     text.size ? buffer_text(&text) : json_text(batch, "batchd.provider", "-"));
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
	if (why && !job_held(batch))
		show_why(batch, why);
	if (json_number(batch, "batchd.eta", -1) >= 0)
		output_field("eta", "%s", job_eta(batch, "batchd.eta", figure));
	output_field("owner", "%s (%" PRId64 ")", user ? user->pw_name : "-", uid);
	output_field("input", "%s, %s, %s", file,
		     words_size(json_number(batch, "batchd.input_bytes", 0), figure),
		     json_text(batch, "input_file_id", "-"));
	output_field("endpoint", "%s", json_text(batch, "endpoint", "-"));
	show_providers(batch);
	show_order(batch);
	show_choices(batch);
	show_counts(batch);
	show_budgets(batch);
	show_usage(batch);
	show_pairs("label", json_at(batch, "batchd.labels"), "");
	show_pairs("metadata", json_at(batch, "metadata"), "name");
	for (size_t i = 0; i < ARRAY_SIZE(times); i++) {
		int64_t at = json_number(batch, times[i].member, 0);

		if (at)
			output_field(times[i].label, "%s", words_time(at, figure));
	}
	show_files(batch);
	if (!length_of(json_at(batch, "batchd.digest")))
		show_errors(batch);
	show_held(batch);
	show_digest(batch);
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
