#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/alloc.h"
#include "daemon/base/cleanup.h"
#include "tests/sim/blob.h"
#include "tests/sim/dialects.h"
#include "tests/sim/line.h"
#include "tests/sim/state.h"

/* The rows of one result file, by their place in the input, and its bytes. */
struct result {
	uint32_t *rows;
	size_t count;
	struct buffer text;
};

struct writing {
	struct sim *sim;
	struct batch *batch;
	struct result output, error;
	struct buffer scratch;
	bool has_rules;
	bool is_expired;
};

static void read_row(const struct batch *batch, size_t row, struct line *ret_line)
{
	(void)line_parse(batch->input->data + batch->rows[row].offset, batch->rows[row].size,
			 ret_line);
}

static unsigned attempt_of(const struct writing *writing, size_t row)
{
	return writing->sim->request_counts[writing->batch->rows[row].request].answered + 1;
}

/* The documents promise no order, so there is none that anybody could rely on by mistake. */
static void spoil_order(struct result *result)
{
	uint32_t first;

	for (size_t i = 1; i < result->count; i++)
		if (result->rows[i - 1] > result->rows[i])
			return;
	if (result->count < 2)
		return;
	first = result->rows[0];
	result->rows[0] = result->rows[1];
	result->rows[1] = first;
}

/* Two ways to put it into a string, and a server may choose either. */
static char *escaped(const char *text)
{
	struct buffer out = {0};

	for (; *text; text++) {
		if ((unsigned char)*text < 0x80)
			buffer_add_format(&out, "\\u%04x", (unsigned)*text);
		else
			buffer_add(&out, text, 1);
	}
	(void)buffer_text(&out);
	return out.data;
}

static void add_row_view(struct writing *writing, struct row_view *view)
{
	struct result *result = view->in_error_file ? &writing->error : &writing->output;
	auto_buffer text = {0};
	auto_free char *id = NULL;

	if (view->raw) {
		buffer_add_text(&text, view->raw);
	} else if (view->is_escaped) {
		id = escaped(
			json_object_get_string(json_object_object_get(view->line, "custom_id")));
		json_object_object_del(view->line, "custom_id");
		buffer_add_format(
			&text, "{\"custom_id\":\"%s\",%s", id,
			json_object_to_json_string_ext(view->line, JSON_C_TO_STRING_PLAIN) + 1);
	} else {
		buffer_add_text(&text, json_object_to_json_string_ext(
					       view->line, JSON_C_TO_STRING_PLAIN |
								   JSON_C_TO_STRING_NOSLASHESCAPE));
	}
	buffer_add_text(&text, "\n");
	for (int64_t i = 0; i < view->copies; i++)
		buffer_add(&result->text, text.data, text.size);
}

/* The line in scratch goes to its file, unless a rule makes something else of it. */
static void add_line(struct writing *writing, size_t row, const struct line *line, bool is_error)
{
	struct result *result = is_error ? &writing->error : &writing->output;
	const char *text = writing->scratch.data;
	struct row_view view = {.in_error_file = is_error, .copies = 1};
	const struct rule *rule = NULL;
	auto_free char *custom_id = writing->has_rules ? line_text(&line->custom_id) : NULL;
	const struct subject subject = {
		.batch = writing->batch->id,
		.file = writing->batch->input_file_id,
		.file_name = writing->batch->input_name,
		.custom_id = custom_id,
		.row = (int64_t)row + 1,
		.age_ms = -1,
		.ended_ms = -1,
		.size = -1,
	};

	while (writing->has_rules &&
	       (rule = script_next(writing->sim->script, STAGE_ROW, &subject, rule))) {
		if (!view.line)
			view.line = json_tokener_parse(buffer_text(&writing->scratch));
		rule_action(rule)->run.row(rule, &view);
	}
	if (view.line)
		add_row_view(writing, &view);
	else
		buffer_add(&result->text, text, writing->scratch.size);
	json_object_put(view.line);
	free(view.raw);
}

static void write_answered(struct writing *writing, const struct result *result, bool is_error)
{
	struct batch *batch = writing->batch;

	for (size_t i = 0; i < result->count; i++) {
		size_t row = result->rows[i];
		struct line line;

		read_row(batch, row, &line);
		buffer_clear(&writing->scratch);
		(void)answers_add(&writing->sim->config.answers, &line, attempt_of(writing, row),
				  &writing->scratch, &batch->usage);
		add_line(writing, row, &line, is_error);
	}
}

static void write_unasked(struct writing *writing, size_t done)
{
	struct batch *batch = writing->batch;

	for (size_t i = done; i < batch->count; i++) {
		struct line line;

		read_row(batch, batch->order[i], &line);
		buffer_clear(&writing->scratch);
		answers_add_unasked(
			&line, writing->is_expired ? "batch_expired" : "batch_cancelled",
			writing->is_expired
				? "This request could not be executed before the completion window "
				  "expired."
				: "This request was not executed because the batch was cancelled.",
			&writing->scratch);
		add_line(writing, batch->order[i], &line, true);
	}
}

/* Which file each row goes to must be known before any is written, for the order's sake. */
static void sort_rows(struct writing *writing, size_t done)
{
	struct batch *batch = writing->batch;

	writing->output.rows = xcalloc(done + 1, sizeof(uint32_t));
	writing->error.rows = xcalloc(done + 1, sizeof(uint32_t));
	for (size_t i = 0; i < done; i++) {
		uint32_t row = batch->order[i];
		struct result *result;
		struct line line;

		read_row(batch, row, &line);
		result = answers_status(&writing->sim->config.answers, &line,
					attempt_of(writing, row)) == ANSWER_OK
				 ? &writing->output
				 : &writing->error;
		result->rows[result->count++] = row;
	}
	writing->sim->requests_succeeded += (int64_t)writing->output.count;
	spoil_order(&writing->output);
	spoil_order(&writing->error);
}

static char *keep(struct writing *writing, struct result *result, const char *suffix, int64_t at_ms)
{
	struct batch *batch = writing->batch;
	auto_free char *name = NULL;
	struct file *file;

	free(result->rows);
	if (!result->text.size && !(writing->sim->dialect->has_empty_errors && result == &writing->error))
		return NULL;
	name = xasprintf("%s_%s.jsonl", batch->id, suffix);
	file = files_add(writing->sim, "batch_output", name, blob_take(&result->text), at_ms,
			 batch->output_lifetime_s);
	return xstrdup(file->id);
}

static void count_answers(struct sim *sim, const struct batch *batch)
{
	for (size_t i = 0; i < batch->done; i++)
		sim->request_counts[batch->rows[batch->order[i]].request].answered++;
	sim->requests_answered += (int64_t)batch->done;
}

void results_shuffle(struct sim *sim, struct batch *batch)
{
	batch->order = xcalloc(batch->count + 1, sizeof(*batch->order));
	for (size_t i = 0; i < batch->count; i++)
		batch->order[i] = (uint32_t)i;
	for (size_t i = batch->count; i > 1; i--) {
		size_t other = (size_t)(sim_random(sim) % i);
		uint32_t row = batch->order[i - 1];

		batch->order[i - 1] = batch->order[other];
		batch->order[other] = row;
	}
}

void results_write(struct sim *sim, struct batch *batch, size_t done, int64_t at_ms)
{
	struct writing writing = {
		.sim = sim,
		.batch = batch,
		.has_rules = script_has(sim->script, STAGE_ROW),
		.is_expired = !batch->since_ms[STATUS_CANCELLING],
	};

	sort_rows(&writing, done);
	write_answered(&writing, &writing.output, false);
	write_answered(&writing, &writing.error, true);
	write_unasked(&writing, done);
	batch->done = done;
	batch->failed = writing.error.count;
	batch->output_file_id = keep(&writing, &writing.output, "output", at_ms);
	batch->error_file_id = keep(&writing, &writing.error, "error", at_ms);
	count_answers(sim, batch);
	buffer_release(&writing.scratch);
}
