/*
 * Any body as a provider's answer: a batch, a file, a list, a refusal. Whatever is kept of it is
 * UTF-8 within its limits, codes are words, and a batch that is the whole answer is the one that a
 * list of it alone has.
 */
#include <assert.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/alloc.h"
#include "daemon/base/buffer.h"
#include "daemon/base/cleanup.h"
#include "daemon/base/error.h"
#include "daemon/base/utf8.h"
#include "daemon/work/api_parse.h"
#include "daemon/work/api_words.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_text(const char *text, size_t most)
{
	assert(!text || (strlen(text) <= most && utf8_is_valid(text)));
}

static void check_code(const char *code)
{
	assert(!code || (*code && strlen(code) <= 64));
	for (const char *at = code; at && *at; at++)
		assert(isalnum((unsigned char)*at) || strchr("_-.:/", *at));
}

static void check_batch(const struct api_batch *batch)
{
	const char *const ids[] = {
		batch->id,     batch->input_file_id, batch->output_file_id, batch->error_file_id,
		batch->marker, batch->error_param};

	assert(batch->id && batch->status_text && *batch->status_text);
	for (size_t i = 0; i < ARRAY_SIZE(ids); i++) {
		check_text(ids[i], API_MAX_ID);
		assert(!ids[i] || *ids[i]);
	}
	check_text(batch->status_text, API_MAX_ID);
	check_code(batch->error_code);
	check_text(batch->error_message, 400);
	assert(batch->completed >= -1 && batch->failed >= -1 && batch->created_at >= 0);
	assert(batch->error_count >= 0 && batch->error_line >= 0);
	assert(!batch->marker || batch->has_metadata);
	assert(api_status_of(batch->status_text) == batch->status);
}

static void check_errors(const char *json, const struct api_batch *batch)
{
	const char *text = json + batch->errors.at;
	auto_free char *mended = api_mend(text, batch->errors.size);
	struct api_errors errors;
	struct api_flaw flaw;
	int64_t count = 0;

	if (!batch->errors.size)
		return;
	api_errors_init(&errors, mended ? mended : text, batch->errors.size);
	while (api_errors_next(&errors, &flaw) > 0) {
		check_code(flaw.code);
		check_text(flaw.message, 400);
		check_text(flaw.param, API_MAX_ID);
		assert(flaw.line >= 0);
		if (!count++)
			assert(flaw.line == batch->error_line);
		api_flaw_release(&flaw);
	}
	assert(count == batch->error_count);
}

struct seen {
	int64_t count;
	char *id;
};

static void on_batch(const struct api_batch *batch, void *context)
{
	struct seen *seen = context;

	check_batch(batch);
	seen->count++;
	free(seen->id);
	seen->id = xstrdup(batch->id);
}

static void check_list(const char *json, size_t size)
{
	struct seen seen = {0};
	struct error err = {0};
	char *last_id = NULL;
	int has_more = 7;

	if (api_parse_list(json, size, on_batch, &seen, &has_more, &last_id, &err)) {
		assert(err.text[0] && !last_id && !seen.count);
		return;
	}
	assert(has_more >= -1 && has_more <= 1);
	assert(!last_id == !seen.count && (!last_id || strcmp(last_id, seen.id) == 0));
	free(last_id);
	free(seen.id);
}

/* A list of one, which is the whole answer. Behind a batch anything may stand, behind an element of
 * a list it may not. */
static void check_listed(const char *json, size_t size, const char *id)
{
	auto_buffer page = {0};
	struct seen seen = {0};
	struct scan scan;
	char *last_id = NULL;
	int has_more;

	scan_init(&scan, json, size);
	if (scan_value(&scan, NULL, NULL) || scan_end(&scan))
		return;
	buffer_add_text(&page, "[");
	buffer_add(&page, json, size);
	buffer_add_text(&page, "]");
	/* One level deeper, it may be too deep. */
	(void)api_parse_list(page.data, page.size, on_batch, &seen, &has_more, &last_id, NULL);
	/* In a list it is in no wrapper. */
	if (seen.count)
		assert(seen.count == 1 && strcmp(last_id, id) == 0);
	free(last_id);
	free(seen.id);
}

static void on_file(const struct api_file *file, void *context)
{
	struct seen *seen = context;

	assert(file->id && *file->id && file->bytes >= -1 && file->created_at >= 0);
	check_text(file->id, API_MAX_ID);
	check_text(file->name, API_MAX_ID);
	check_text(file->purpose, API_MAX_ID);
	free(seen->id);
	seen->id = xstrdup(file->id);
	seen->count++;
}

/* A page of files is one of batches too, as far as it can be read. */
static void check_files(const char *json, size_t size)
{
	struct seen files = {0}, batches = {0};
	char *last_file = NULL, *last_batch = NULL;
	int has_more = 7, also = 7;
	int r = api_parse_files(json, size, on_file, &files, &has_more, &last_file, NULL);

	assert(api_parse_list(json, size, on_batch, &batches, &also, &last_batch, NULL) == r);
	assert(files.count == batches.count && has_more == also);
	assert(!last_file == !files.count && (!last_file || strcmp(last_file, last_batch) == 0));
	free(last_file);
	free(last_batch);
	free(files.id);
	free(batches.id);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *json = (const char *)data;
	struct error err = {0};
	struct api_batch batch;
	struct api_file file;
	struct api_error refusal;

	if (api_parse_batch(json, size, &batch, &err) == 0) {
		check_batch(&batch);
		assert(batch.errors.at + batch.errors.size <= size);
		check_errors(json, &batch);
		check_listed(json, size, batch.id);
		api_batch_release(&batch);
	} else {
		assert(err.text[0]);
	}
	check_list(json, size);
	check_files(json, size);
	if (api_parse_file(json, size, &file, &err) == 0) {
		assert(file.id && *file.id && file.bytes >= -1);
		check_text(file.id, API_MAX_ID);
		check_text(file.status, API_MAX_ID);
		check_text(file.name, API_MAX_ID);
		check_text(file.purpose, API_MAX_ID);
		assert(file.created_at >= 0);
		api_file_release(&file);
	}
	api_parse_error(json, size, &refusal);
	assert(refusal.message);
	check_code(refusal.code);
	check_text(refusal.message, 400);
	api_error_release(&refusal);
	return 0;
}
