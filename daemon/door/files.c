/* The Files API: upload, list, retrieve, delete, content with Range. */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/alloc.h"
#include "daemon/base/buffer.h"
#include "daemon/base/cleanup.h"
#include "daemon/base/error.h"
#include "daemon/base/log.h"
#include "daemon/door/visit.h"
#include "daemon/io/config.h"
#include "daemon/io/loop.h"
#include "daemon/io/server.h"
#include "daemon/io/store.h"
#include "daemon/io/vault.h"
#include "daemon/protocol.h"

#define MAX_FIELD 256 /* bytes of a form field that is no file */
#define LEAST_EXPIRY_S 3600
#define MOST_EXPIRY_S 2592000

static struct json_object *file_object(const struct store_file *file)
{
	struct json_object *object = json_object_new_object();

	json_object_object_add(object, "id", json_id(PROTOCOL_FILE_PREFIX, file->id));
	json_object_object_add(object, "object", json_object_new_string("file"));
	json_object_object_add(object, "bytes", json_object_new_int64(file->bytes));
	json_object_object_add(object, "created_at", json_seconds(file->created_at));
	json_object_object_add(object, "expires_at", json_seconds(file->expires_at));
	json_object_object_add(object, "filename", json_object_new_string(file->name ? file->name : ""));
	json_object_object_add(object, "purpose", json_text(file->purpose));
	json_object_object_add(object, "status", json_object_new_string("processed"));
	return object;
}

/* --- upload --- */

/* The fields of the form that are texts. */
enum { FIELD_PURPOSE, FIELD_ANCHOR, FIELD_SECONDS, FIELD_COUNT };

/* clang-format off */
static const char *const field_names[FIELD_COUNT] = {
	[FIELD_PURPOSE] = "purpose",
	[FIELD_ANCHOR]  = "expires_after[anchor]",
	[FIELD_SECONDS] = "expires_after[seconds]",
};
/* clang-format on */

struct upload {
	struct buffer fields[FIELD_COUNT];
	char *file_name;
	struct vault_writer *writer; /* NULL until the file field began */
};

static void free_upload(void *own)
{
	struct upload *upload = own;

	for (size_t i = 0; i < FIELD_COUNT; i++)
		buffer_release(&upload->fields[i]);
	free(upload->file_name);
	vault_writer_free(upload->writer);
	free(upload);
}

void files_upload_begin(struct visit *visit)
{
	if (!visit_may_store(visit))
		return;
	visit->own = xcalloc(1, sizeof(struct upload));
	visit->own_free = free_upload;
}

static void add_field(struct visit *visit, const struct server_part *part)
{
	struct upload *upload = visit->own;

	for (size_t i = 0; i < FIELD_COUNT; i++) {
		if (strcmp(part->name, field_names[i]) != 0)
			continue;
		if (upload->fields[i].size + part->size > MAX_FIELD)
			visit_error(visit, 400, "invalid_value", field_names[i], "Invalid '%s': too long.",
				    field_names[i]);
		else
			buffer_add(&upload->fields[i], part->data, part->size);
		return;
	}
	visit_error(visit, 400, "unknown_parameter", NULL, "Unknown parameter: '%s'.", part->name);
}

static void add_content(struct visit *visit, const struct server_part *part)
{
	struct upload *upload = visit->own;

	if (!upload->writer) {
		upload->writer = vault_writer_new(visit->door->parts.vault, VAULT_FILE_LIMIT);
		upload->file_name = xstrdup(part->file_name);
	} else if (part->offset == 0 && vault_writer_size(upload->writer) > 0) {
		visit_error(visit, 400, "invalid_value", "file", "There may be one file only.");
		return;
	}
	visit_write(visit, &upload->writer, part->data, part->size);
}

void files_upload_part(struct visit *visit, const struct server_part *part)
{
	if (strcmp(part->name, "file") == 0)
		add_content(visit, part);
	else
		add_field(visit, part);
}

static int read_expiry(struct visit *visit, struct upload *upload, struct store_file *file)
{
	const char *anchor = buffer_text(&upload->fields[FIELD_ANCHOR]);
	const char *text = buffer_text(&upload->fields[FIELD_SECONDS]);
	char *end;
	int64_t seconds = strtoll(text, &end, 10);

	if (!*anchor && !*text)
		return 0;
	if (strcmp(anchor, "created_at") != 0 || !*text || *end || seconds < LEAST_EXPIRY_S ||
	    seconds > MOST_EXPIRY_S) {
		visit_error(visit, 400, "invalid_value", "expires_after",
			    "Invalid 'expires_after': anchor must be 'created_at', seconds from %d to %d.",
			    LEAST_EXPIRY_S, MOST_EXPIRY_S);
		return -EINVAL;
	}
	file->expires_at = loop_now_ms(visit->door->parts.loop) + seconds * 1000;
	return 0;
}

/* Checks the form as a whole; true when it can be stored. */
static bool form_is_right(struct visit *visit, struct upload *upload)
{
	const char *purpose = buffer_text(&upload->fields[FIELD_PURPOSE]);

	if (!*purpose)
		visit_error(visit, 400, "missing_required_parameter", "purpose", "Missing required parameter: 'purpose'.");
	else if (strcmp(purpose, "batch") != 0)
		visit_error(visit, 400, "invalid_value", "purpose", "Invalid value: '%.100s'. Supported values are: 'batch'.",
			    purpose);
	else if (!upload->writer)
		visit_error(visit, 400, "missing_required_parameter", "file", "Missing required parameter: 'file'.");
	else if (upload->file_name && !visit_name_is_right(upload->file_name))
		visit_error(visit, 400, "invalid_value", "file",
			    "Invalid 'file': its name is UTF-8 of at most %d bytes.",
			    PROTOCOL_MAX_FILE_NAME);
	return !visit->is_answered;
}

void files_upload(struct visit *visit)
{
	struct upload *upload = visit->own;
	struct store_file file = { .purpose = (char *)"batch" };

	if (!form_is_right(visit, upload) || read_expiry(visit, upload, &file))
		return;
	file.name = upload->file_name;
	if (visit_keep_file(visit, &file, take(upload->writer)))
		visit_json(visit, 200, file_object(&file));
}

/* --- list, retrieve, delete --- */

struct listing {
	struct json_object *data;
	int64_t limit, count, first, last;
};

static void list_file(const struct store_file *file, void *context)
{
	struct listing *listing = context;

	if (listing->count++ >= listing->limit)
		return;
	if (!listing->first)
		listing->first = file->id;
	listing->last = file->id;
	json_object_array_add(listing->data, file_object(file));
}

void files_list(struct visit *visit)
{
	const char *after = exchange_query(visit->exchange, "after");
	const char *order = exchange_query(visit->exchange, "order");
	int64_t beyond = after ? visit_number(after, PROTOCOL_FILE_PREFIX) : 0;
	bool is_ascending = order && strcmp(order, "asc") == 0;
	struct listing listing = { 0 };

	if (visit_query_number(visit, "limit", 1, PROTOCOL_FILES_LIST_MAX, PROTOCOL_FILES_LIST_MAX, &listing.limit))
		return;
	if ((after && !beyond) || (order && !is_ascending && strcmp(order, "desc") != 0)) {
		visit_error(visit, 400, "invalid_value", after && !beyond ? "after" : "order", "Invalid '%s'.",
			    after && !beyond ? "after" : "order");
		return;
	}
	listing.data = json_object_new_array();
	if (store_file_list(visit->door->parts.store, visit_owner(visit), exchange_query(visit->exchange, "purpose"),
			    is_ascending, beyond, loop_now_ms(visit->door->parts.loop), (size_t)listing.limit + 1,
			    list_file, &listing)) {
		json_object_put(listing.data);
		visit_error(visit, 503, PROTOCOL_CODE_UNKNOWN, NULL, "The store could not be read.");
		return;
	}
	visit_page(visit, listing.data, PROTOCOL_FILE_PREFIX, listing.first, listing.last,
		   listing.count > listing.limit);
}

/* The file that the path names; else the error is replied. */
static int path_file(struct visit *visit, struct store_file *ret_file)
{
	int r = visit_find_file(visit, visit->id, ret_file);

	if (r == -ENOENT)
		visit_error(visit, 404, NULL, "id", "No such File object: %.100s", visit->id);
	else if (r)
		visit_error(visit, 503, PROTOCOL_CODE_UNKNOWN, NULL, "The store could not be read.");
	return r;
}

void files_get(struct visit *visit)
{
	auto_store_file file = { 0 };

	if (path_file(visit, &file) == 0)
		visit_json(visit, 200, file_object(&file));
}

void files_delete(struct visit *visit)
{
	auto_store_file file = { 0 };
	struct json_object *object;

	if (path_file(visit, &file))
		return;
	vault_delete_file(visit->door->parts.vault, file.id);
	object = json_object_new_object();
	json_object_object_add(object, "id", json_id(PROTOCOL_FILE_PREFIX, file.id));
	json_object_object_add(object, "object", json_object_new_string("file"));
	json_object_object_add(object, "deleted", json_object_new_boolean(true));
	visit_json(visit, 200, object);
}

/* --- content --- */

enum range { RANGE_WHOLE, RANGE_PART, RANGE_OUTSIDE };

/* A run of digits, with its end; -1 when there is none. What no file can have is cut to that. */
static int64_t read_digits(const char **text)
{
	int64_t number = **text >= '0' && **text <= '9' ? 0 : -1;

	for (; **text >= '0' && **text <= '9'; ++*text)
		if (number < INT64_MAX / 10 - 1)
			number = number * 10 + (**text - '0');
	return number;
}

/* One range of bytes (RFC 9110, 14.1.2); several, or another unit, mean the whole, as is allowed. */
static enum range read_range(const char *text, int64_t size, int64_t *ret_first, int64_t *ret_length)
{
	int64_t first, last;

	if (!text || strncmp(text, "bytes=", 6) != 0)
		return RANGE_WHOLE;
	text += 6;
	first = read_digits(&text);
	if (*text++ != '-')
		return RANGE_WHOLE;
	last = read_digits(&text);
	if (*text || (first < 0 && last < 0) || (first >= 0 && last >= 0 && last < first))
		return RANGE_WHOLE;
	if (first < 0) {
		first = last < size ? size - last : 0;
		last = -1;
	}
	if (first >= size)
		return RANGE_OUTSIDE;
	*ret_first = first;
	*ret_length = (last >= 0 && last < size ? last : size - 1) - first + 1;
	return RANGE_PART;
}

/* The header Content-Range of an answer. */
static void tell_range(struct visit *visit, enum range range, int64_t first, int64_t length, int64_t size)
{
	auto_free char *text =
		range == RANGE_PART ?
			xasprintf("bytes %" PRId64 "-%" PRId64 "/%" PRId64, first, first + length - 1, size) :
			xasprintf("bytes */%" PRId64, size);

	if (range != RANGE_WHOLE)
		exchange_add_header(visit->exchange, "Content-Range", text);
}

void visit_file_bytes(struct visit *visit, int64_t file, const char *content_type)
{
	const char *text = exchange_header(visit->exchange, "Range");
	auto_vault_reader reader = VAULT_READER_NONE;
	int64_t first = 0, length;
	struct error err = { 0 };
	enum range range;

	if (vault_open_file(visit->door->parts.vault, file, &reader, &err)) {
		log_error("a file cannot be read", log_text("WHY", err.text));
		visit_error(visit, 500, NULL, NULL, "The file cannot be read.");
		return;
	}
	length = reader.size;
	range = read_range(text, reader.size, &first, &length);
	tell_range(visit, range, first, length, reader.size);
	if (range == RANGE_OUTSIDE) {
		visit_error(visit, 416, NULL, NULL, "The file has %" PRId64 " bytes.", reader.size);
		return;
	}
	exchange_add_header(visit->exchange, "Accept-Ranges", "bytes");
	assert(first >= 0 && length >= 0 && length <= reader.size - first);
	visit->is_answered = true;
	if (reader.data)
		exchange_reply(visit->exchange, range == RANGE_PART ? 206 : 200, content_type, reader.data + first,
			       (size_t)length);
	else
		exchange_reply_file(visit->exchange, range == RANGE_PART ? 206 : 200, content_type,
				    take_fd(&reader.fd), first, length);
}

void files_content(struct visit *visit)
{
	auto_store_file file = { 0 };

	if (path_file(visit, &file) == 0)
		visit_file_bytes(visit, file.id, "application/octet-stream");
}
