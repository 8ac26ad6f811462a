#include "daemon/work/skipped.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/alloc.h"
#include "daemon/base/buffer.h"
#include "daemon/base/cleanup.h"
#include "daemon/base/error.h"
#include "daemon/base/hash.h"
#include "daemon/io/vault.h"
#include "daemon/model/request.h"
#include "daemon/work/digest.h"
#include "daemon/work/form.h"
#include "daemon/work/rows.h"
#include "daemon/work/screen.h"
#include "daemon/work/sorter.h"
#include "daemon/work/uniqueness.h"

#define SLICE              (1 << 20)  /* bytes of lines that are read */
#define COST_OF_A_ROW      16         /* in the same measure */
#define COST_OF_A_LINE     512        /* of the input's wrong ones, beside its bytes */
#define RUN                (32 << 10) /* repeats that are sorted in memory */
#define LEAST_LINE         64         /* bytes of one that has an id to be repeated */
#define TOO_LONG           (REQUEST_MAX_LINE + 1)
#define READ_OF_A_LONG_ONE ((size_t)64 << 10) /* an id mostly stands first */

/* What is wrong with a line. */
struct fault {
	int64_t line;
	struct row_id id; /* size 0: it has none that can be told */
	const char *code;
	const char *param;
	struct buffer message; /* inside of a JSON string, escapes and all */
};

struct skipped {
	struct vault *vault;
	int64_t job;
	const struct vault_reader *input;
	struct screen *screen;
	const struct form *form;
	struct sorter *repeats; /* by line; NULL: there are none */
	struct sorter_entry repeat;
	bool has_repeat; /* repeat is the next one */
	bool is_begun;
	int64_t next_row;
	struct rows_reader rows;
	struct rows_writer marked; /* the rows again, where there are repeats */
	struct rows_writer members;
	struct rows_writer outcomes;
	struct vault_writer *lines;
	struct fault fault; /* of the line in hand */
	struct buffer made;
	struct digest *digest;
};

/* Adds what a flaw says: printable ASCII. */
static void add_message(struct buffer *buffer, const char *text)
{
	while (*text) {
		size_t plain = strcspn(text, "\"\\");

		buffer_add(buffer, text, plain);
		text += plain;
		if (*text) {
			buffer_add_text(buffer, "\\");
			buffer_add(buffer, text++, 1);
		}
	}
}

static int damaged(const struct skipped *skipped, struct error *err)
{
	return error_set(err, -EUCLEAN,
			 "the input of job %" PRId64 " is not what it was at line %" PRId64,
			 skipped->job, skipped->next_row + 1);
}

static void keep_id(const char *line, struct scan_span span, struct row_id *ret_id)
{
	ret_id->size = span.size + 2;
	memcpy(ret_id->quoted, line + span.at - 1, ret_id->size);
}

/* Judges the line of a row anew, and finds its id. */
static int judge(struct skipped *skipped, const struct record_row *row, struct error *err)
{
	struct fault *fault = &skipped->fault;
	size_t size = row->length < TOO_LONG ? row->length : READ_OF_A_LONG_ONE;
	auto_free char *line = xmalloc(size);
	int64_t got = vault_read(skipped->input, (int64_t)row->offset, line, size);
	struct request_flaw flaw;
	struct request request;
	struct scan_span id;
	int group;

	if (got < 0)
		return error_set(err, (int)got, "cannot read the input at line %" PRId64 ": %s",
				 fault->line, error_name((int)got));
	if ((size_t)got < size ||
	    !screen_line(skipped->screen, line, row->length, &request, &group, &flaw))
		return damaged(skipped, err);
	fault->code = flaw.code;
	fault->param = flaw.param;
	add_message(&fault->message, flaw.message);
	digest_add(skipped->digest, flaw.code, strlen(flaw.code), flaw.message,
		   strlen(flaw.message), skipped->next_row);
	if (skipped->form->has_line_ids)
		return form_row_id(skipped->form, skipped->input, row, &fault->id, err);
	if (!request_find_id(line, size, &id))
		keep_id(line, id, &fault->id);
	return 0;
}

static int next_repeat(struct skipped *skipped, struct error *err)
{
	int r = sorter_next(skipped->repeats, &skipped->repeat, err);

	skipped->has_repeat = r > 0;
	return r < 0 ? r : 0;
}

/* Takes a right row for wrong, because its id is used before. */
static int turn_row(struct skipped *skipped, struct record_row *row, struct error *err)
{
	/* The ids differ from one to the next, and would hide that all of it is one fault. */
	static const char gist[] =
		"The custom_id for this request is a duplicate of another request.";
	struct fault *fault = &skipped->fault;
	struct intake_group *group;
	int r = form_row_id(skipped->form, skipped->input, row, &fault->id, err);

	if (r)
		return r;
	if (!row->wire_length || row->group >= skipped->screen->groups.count)
		return damaged(skipped, err);
	group = &skipped->screen->groups.list[row->group];
	group->requests--;
	group->bytes -= row->wire_length;
	fault->code = "duplicate_custom_id";
	fault->param = "custom_id";
	uniqueness_words(&fault->message, fault->id.quoted + 1, fault->id.size - 2,
			 skipped->repeat.line);
	digest_add(skipped->digest, fault->code, strlen(fault->code), gist, sizeof(gist) - 1,
		   skipped->next_row);
	*row = skipped_row(skipped->form, (int64_t)row->offset, row->length, fault->line);
	return next_repeat(skipped, err);
}

static void make_line(const struct fault *fault, struct buffer *buffer)
{
	buffer_clear(buffer);
	buffer_add_text(buffer, "{\"id\":null,\"custom_id\":");
	if (fault->id.size)
		buffer_add(buffer, fault->id.quoted, fault->id.size);
	else
		buffer_add_text(buffer, "null");
	buffer_add_format(buffer, ",\"response\":null,\"error\":{\"code\":\"%s\",\"message\":\"",
			  fault->code);
	buffer_add(buffer, fault->message.data, fault->message.size);
	if (fault->param)
		buffer_add_format(buffer, "\",\"param\":\"%s\"}", fault->param);
	else
		buffer_add_text(buffer, "\",\"param\":null}");
	buffer_add_format(buffer, ",\"line\":%" PRId64 "}\n", fault->line);
}

/* Writes the error line, the outcome and the member of the next row. */
static int write_fault(struct skipped *skipped, const struct fault *fault, struct error *err)
{
	const struct record_member member = {.row = (uint32_t)skipped->next_row};
	struct record_outcome outcome = {
		.offset = (uint64_t)vault_writer_size(skipped->lines),
		.shard = SKIPPED_SHARD,
		.kind = OUTCOME_FAILED,
		.source = 'e',
	};
	int r;

	make_line(fault, &skipped->made);
	outcome.length = (uint32_t)skipped->made.size - 1;
	outcome.line_check = record_answer_check(hash_digest(skipped->made.data, outcome.length));
	r = vault_write(skipped->lines, skipped->made.data, skipped->made.size, err);
	if (!r)
		r = rows_write(&skipped->outcomes, &outcome, err);
	return r ? r : rows_write(&skipped->members, &member, err);
}

/* Opens what is read and begins what is written. 1: there is more to prepare. */
static int begin(struct skipped *skipped, struct error *err)
{
	int r = skipped->repeats ? sorter_prepare(skipped->repeats, err) : 0;

	if (!r && skipped->repeats)
		r = next_repeat(skipped, err);
	if (!r)
		r = rows_open(&skipped->rows, skipped->vault, skipped->job, ROWS_NAME, RECORD_ROWS,
			      err);
	if (r)
		return r;
	if (skipped->repeats)
		rows_writer_init(&skipped->marked, skipped->vault, RECORD_ROWS);
	rows_writer_init(&skipped->members, skipped->vault, RECORD_MEMBERS);
	rows_writer_init(&skipped->outcomes, skipped->vault, RECORD_OUTCOMES);
	skipped->lines = vault_writer_new(skipped->vault, VAULT_RECORD_LIMIT);
	skipped->is_begun = true;
	return 0;
}

/* The next row, which is wrong: by itself, or because it is a repeat. */
static int take_fault(struct skipped *skipped, struct record_row *row, bool is_repeat,
		      struct error *err)
{
	struct fault *fault = &skipped->fault;
	int r;

	fault->line = skipped->next_row + 1;
	fault->id.size = 0;
	buffer_clear(&fault->message);
	r = is_repeat ? turn_row(skipped, row, err) : judge(skipped, row, err);
	return r ? r : write_fault(skipped, fault, err);
}

/* Does what is to be done about the next row, and takes its cost from *left. */
static int take_row(struct skipped *skipped, int64_t *left, struct error *err)
{
	uint64_t line = (uint64_t)skipped->next_row + 1;
	bool is_repeat = skipped->has_repeat && skipped->repeat.hash == line;
	struct record_row row;
	int r = rows_read(&skipped->rows, skipped->next_row, &row, err);

	*left -= COST_OF_A_ROW;
	if (!r && (is_repeat || !row.wire_length)) {
		*left -= COST_OF_A_LINE + (int64_t)row.length;
		r = take_fault(skipped, &row, is_repeat, err);
	}
	if (!r && skipped->repeats)
		r = rows_write(&skipped->marked, &row, err);
	return r;
}

struct skipped *skipped_new(struct vault *vault, int64_t job, const struct vault_reader *input,
			    struct screen *screen, const struct form *form)
{
	struct skipped *skipped = xcalloc(1, sizeof(*skipped));

	skipped->vault = vault;
	skipped->job = job;
	skipped->input = input;
	skipped->screen = screen;
	skipped->form = form;
	skipped->digest = digest_new();
	return skipped;
}

void skipped_free(struct skipped *skipped)
{
	if (!skipped)
		return;
	sorter_free(skipped->repeats);
	rows_release(&skipped->rows);
	rows_writer_release(&skipped->marked);
	rows_writer_release(&skipped->members);
	rows_writer_release(&skipped->outcomes);
	vault_writer_free(skipped->lines);
	buffer_release(&skipped->fault.message);
	buffer_release(&skipped->made);
	digest_free(skipped->digest);
	free(skipped);
}

struct record_row skipped_row(const struct form *form, int64_t offset, int64_t size, int64_t line)
{
	return (struct record_row){
		.offset = (uint64_t)offset,
		.length = size < TOO_LONG ? (uint32_t)size : TOO_LONG,
		.id_hash = form->has_line_ids ? (uint64_t)line : 0,
	};
}

int skipped_add_repeat(struct skipped *skipped, uint32_t line, uint32_t first_line,
		       struct error *err)
{
	/* What is sorted by hash and line is sorted by line here. */
	const struct sorter_entry entry = {.hash = line, .line = first_line};

	if (!skipped->repeats)
		skipped->repeats =
			sorter_new(skipped->vault, skipped->input->size / LEAST_LINE + 1, RUN);
	return sorter_add(skipped->repeats, &entry, err);
}

int skipped_slice(struct skipped *skipped, struct error *err)
{
	int64_t left = SLICE;
	int r = skipped->is_begun ? 0 : begin(skipped, err);

	for (; !r && left > 0 && skipped->next_row < skipped->rows.count; skipped->next_row += !r)
		r = take_row(skipped, &left, err);
	if (!r && skipped->next_row == skipped->rows.count && skipped->has_repeat)
		r = damaged(skipped, err);
	return r ? r : skipped->next_row < skipped->rows.count;
}

int skipped_keep(struct skipped *skipped, struct error *err)
{
	auto_free char *members = rows_members_name(SKIPPED_SHARD);
	auto_free char *done = rows_done_name(SKIPPED_SHARD);
	auto_free char *lines = rows_download_name(SKIPPED_SHARD, "err");
	int r = vault_keep_record(take(skipped->lines), skipped->job, lines, err);

	if (!r)
		r = rows_writer_keep(&skipped->outcomes, skipped->job, done, err);
	if (!r)
		r = rows_writer_keep(&skipped->members, skipped->job, members, err);
	if (!r && skipped->repeats)
		r = rows_writer_keep(&skipped->marked, skipped->job, ROWS_NAME, err);
	return r;
}

const struct digest *skipped_digest(const struct skipped *skipped)
{
	return skipped->digest;
}
