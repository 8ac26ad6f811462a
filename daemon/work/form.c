#include "daemon/work/form.h"

#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/alloc.h"
#include "daemon/base/cleanup.h"
#include "daemon/base/hash.h"
#include "daemon/model/job.h"
#include "daemon/model/record.h"

#define ID_PREFIX   "line-"
#define PREFIX_SIZE (sizeof(ID_PREFIX) - 1)
#define MAX_DIGITS  20 /* of a number of 64 bits */

/* A text as a JSON string, with its quotes; NULL is "". The caller frees. */
static char *quote(const char *text)
{
	json_object *string;
	char *quoted;

	alloc_watch();
	string = json_object_new_string(text ? text : "");
	quoted = xstrdup(json_object_to_json_string_ext(
		string, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
	alloc_check();
	json_object_put(string);
	return quoted;
}

/*
 * Writes before, the id of a line, in quotes, and after; terminated. Returns the size. Once for
 * every row: so no printf.
 */
static size_t write_id(char *out, const char *before, uint64_t line, const char *after)
{
	char digits[MAX_DIGITS];
	size_t count = 0;
	char *at = stpcpy(stpcpy(out, before), "\"" ID_PREFIX);

	do
		digits[count++] = (char)('0' + line % 10);
	while (line /= 10);
	while (count)
		*at++ = digits[--count];
	*at++ = '"';
	return (size_t)(stpcpy(at, after) - out);
}

static void add_text(struct form_line *line, const char *text)
{
	line->pieces[line->count++] =
		(struct form_piece){.text = text, .size = (uint32_t)strlen(text)};
}

/* Bytes of the input line from one place to another. */
static void add_input(struct form_line *line, uint32_t from, uint32_t to)
{
	if (from < to)
		line->pieces[line->count++] = (struct form_piece){.at = from, .size = to - from};
}

static void wrap(const struct form *form, const struct record_row *row, struct form_line *line)
{
	(void)write_id(line->id_text, "{\"custom_id\":", row->id_hash, "");
	add_text(line, line->id_text);
	add_text(line, form->envelope);
	if (row->model_length || !form->model) {
		add_input(line, 0, row->length);
	} else {
		add_input(line, 0, row->model_at);
		add_text(line, form->model);
		add_input(line, row->model_at, row->length);
	}
	add_text(line, "}\n");
}

/* Bytes of the input line that something else is sent for. */
struct patch {
	uint32_t at;
	uint32_t size;
	const char *text;
};

static struct patch patch_id(const struct record_row *row, struct form_line *line)
{
	const char *before = row->id_length ? "" : "\"custom_id\":";
	const char *after = row->id_length ? "" : ",";

	(void)write_id(line->id_text, before, row->id_hash, after);
	return (struct patch){.at = row->id_at, .size = row->id_length, .text = line->id_text};
}

/* The whole string, its quotes included. */
static struct patch patch_url(const struct form *form, const struct record_row *row)
{
	return (struct patch){.at = row->url_at - 1, .size = row->url_length + 2u, .text = form->url};
}

/* The line as it stands, but for the id and the url: whichever comes first. */
static void mend(const struct form *form, const struct record_row *row, struct form_line *line)
{
	struct patch patches[2];
	size_t count = 0;
	uint32_t done = 0;

	if (form->has_line_ids)
		patches[count++] = patch_id(row, line);
	if (form->url && row->url_at)
		patches[count++] = patch_url(form, row);
	for (size_t i = 0; i < count; i++) {
		const struct patch *next = &patches[count == 2 && patches[1].at < patches[0].at ? 1 - i : i];

		add_input(line, done, next->at);
		add_text(line, next->text);
		done = next->at + next->size;
	}
	add_input(line, done, row->length);
	add_text(line, "\n");
}

static char *envelope_of(const char *quoted_url)
{
	return xasprintf(",\"method\":\"POST\",\"url\":%s,\"body\":", quoted_url);
}

void form_init(struct form *form, const struct job *job)
{
	*form = (struct form){
		.is_wrapped = job->is_wrapped,
		.has_line_ids = job->has_line_ids || job->is_wrapped,
	};
	if (job->is_wrapped) {
		auto_free char *url = quote(job->endpoint);

		form->envelope = envelope_of(url);
	}
	if (job->is_wrapped && job->model) {
		auto_free char *model = quote(job->model);

		form->model = xasprintf("\"model\":%s,", model);
	}
}

void form_set_url(struct form *form, const char *url)
{
	free(form->url);
	form->url = quote(url);
	if (form->is_wrapped) {
		free(form->envelope);
		form->envelope = envelope_of(form->url);
	}
}

void form_release(struct form *form)
{
	free(form->envelope);
	free(form->url);
	free(form->model);
	*form = (struct form){0};
}

void form_line(const struct form *form, const struct record_row *row, struct form_line *ret_line)
{
	ret_line->count = 0;
	if (form->is_wrapped)
		wrap(form, row, ret_line);
	else
		mend(form, row, ret_line);
}

int64_t form_wire_length(const struct form *form, const struct record_row *row)
{
	struct form_line line;
	int64_t size = 0;

	form_line(form, row, &line);
	for (size_t i = 0; i < line.count; i++)
		size += line.pieces[i].size;
	return size;
}

int form_row_id(const struct form *form, const struct vault_reader *input,
		const struct record_row *row, struct row_id *ret_id, struct error *err)
{
	if (!form->has_line_ids)
		return row_id_read(input, (int64_t)row->offset + row->id_at, row->id_length, ret_id,
				   err);
	ret_id->size = write_id(ret_id->quoted, "", row->id_hash, "");
	return 0;
}

uint64_t form_id_hash(const struct form *form, uint64_t id_key, const char *id, size_t size)
{
	uint64_t number = 0;

	if (!form->has_line_ids)
		return hash_keyed(id_key, id, size);
	if (size <= PREFIX_SIZE || size > PREFIX_SIZE + MAX_DIGITS ||
	    memcmp(id, ID_PREFIX, PREFIX_SIZE) != 0 || id[PREFIX_SIZE] == '0')
		return 0;
	for (size_t i = PREFIX_SIZE; i < size; i++)
		if (id[i] < '0' || id[i] > '9' || __builtin_mul_overflow(number, 10, &number) ||
		    __builtin_add_overflow(number, (uint64_t)(id[i] - '0'), &number))
			return 0;
	return number;
}
