#include "daemon/door/visit.h"

#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/alloc.h"
#include "daemon/base/cleanup.h"
#include "daemon/base/error.h"
#include "daemon/base/log.h"
#include "daemon/base/tree.h"
#include "daemon/base/unpack.h"
#include "daemon/base/utf8.h"
#include "daemon/io/config.h"
#include "daemon/io/loop.h"
#include "daemon/io/server.h"
#include "daemon/io/spool.h"
#include "daemon/io/store.h"
#include "daemon/io/vault.h"
#include "daemon/model/names.h"
#include "daemon/protocol.h"

#define EXIT_IO 74
#define COPY_LIMIT (64 * 1024) /* a longer reply is not copied once more */
#define ROOM_EVERY (8 << 20) /* received bytes after which the room is looked at again */
#define FORM_ROOM (64 * 1024) /* of a form around its file */
#define JSON_FLAGS (JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE)

struct json_object *json_parse(const char *text, size_t size)
{
	int flags = JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8;

	return size <= PROTOCOL_MAX_JSON_BODY ? tree_read(text, size, flags, NULL) : NULL;
}

struct json_object *json_text(const char *text)
{
	return text ? json_object_new_string(text) : NULL;
}

struct json_object *json_seconds(int64_t ms)
{
	return ms ? json_object_new_int64(ms / 1000) : NULL;
}

struct json_object *json_id(const char *prefix, int64_t number)
{
	auto_free char *id = NULL;

	if (!number)
		return NULL;
	id = xasprintf("%s%" PRId64, prefix, number);
	return json_object_new_string(id);
}

struct json_object *json_names(const char *list)
{
	struct names names = { .rest = list };
	struct json_object *array = list ? json_object_new_array() : NULL;

	while (names_next(&names))
		json_object_array_add(array, json_object_new_string_len(names.name, (int)names.size));
	return array;
}

static void free_object(void *object)
{
	json_object_put(object);
}

void visit_json(struct visit *visit, int status, struct json_object *object)
{
	size_t size;
	const char *text = json_object_to_json_string_length(object, JSON_FLAGS, &size);

	/* Since the call began; another failure since then may hide it, and then the client sees an object that is not whole. */
	alloc_check();
	visit->is_answered = true;
	if (size <= COPY_LIMIT) {
		exchange_reply(visit->exchange, status, PROTOCOL_JSON, text, size);
		json_object_put(object);
	} else {
		exchange_reply_owned(visit->exchange, status, PROTOCOL_JSON, text, size, free_object, object);
	}
}

void visit_error(struct visit *visit, int status, const char *code, const char *param,
		 const char *format, ...)
{
	struct json_object *error = json_object_new_object();
	struct json_object *outer = json_object_new_object();
	auto_free char *message = NULL;
	va_list arguments;

	va_start(arguments, format);
	message = xvasprintf(format, arguments);
	va_end(arguments);
	/* What a client wrote may stand in it, cut, or in no encoding at all. */
	for (char *byte = message; !utf8_is_valid(message) && *byte; byte++)
		if ((unsigned char)*byte >= 0x80)
			*byte = '?';
	json_object_object_add(error, "message", json_object_new_string(message));
	json_object_object_add(error, "type",
			       json_object_new_string(status >= 500 ? "server_error" : "invalid_request_error"));
	json_object_object_add(error, "param", json_text(param));
	json_object_object_add(error, "code", json_text(code));
	json_object_object_add(outer, "error", error);
	if (status == 503 || status == 507)
		exchange_add_header(visit->exchange, "Retry-After", "5");
	visit_json(visit, status, outer);
}

void visit_page(struct visit *visit, struct json_object *data, const char *prefix, int64_t first,
		int64_t last, bool has_more)
{
	struct json_object *list = json_object_new_object();

	json_object_object_add(list, "object", json_object_new_string("list"));
	json_object_object_add(list, "data", data);
	json_object_object_add(list, "first_id", json_id(prefix, first));
	json_object_object_add(list, "last_id", json_id(prefix, last));
	json_object_object_add(list, "has_more", json_object_new_boolean(has_more));
	visit_json(visit, 200, list);
}

bool visit_refuse_others(struct visit *visit)
{
	if (visit->is_operator)
		return false;
	visit_error(visit, 403, "not_permitted", NULL, "Only operators may do this.");
	return true;
}

int64_t visit_owner(const struct visit *visit)
{
	return visit->is_operator ? -1 : (int64_t)visit->uid;
}

int64_t visit_number(const char *text, const char *prefix)
{
	int64_t number = 0;

	if (strncmp(text, prefix, strlen(prefix)) == 0)
		text += strlen(prefix);
	if (!*text || strlen(text) > 18)
		return 0;
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return 0;
		number = number * 10 + (*text - '0');
	}
	return number;
}

int visit_job(struct visit *visit, struct job *ret_job)
{
	int64_t id = visit_number(visit->id, PROTOCOL_BATCH_PREFIX);
	struct job job = { 0 };
	int r = id ? store_job_get(visit->door->parts.store, id, &job) : -ENOENT;

	/* Another's job is not there, for all that this user can tell. */
	if (!r && !visit->is_operator && job.uid != (int64_t)visit->uid) {
		job_release(&job);
		r = -ENOENT;
	}
	if (r == -ENOENT)
		visit_error(visit, 404, NULL, NULL, "No batch found with id '%.100s'.", visit->id);
	else if (r)
		visit_error(visit, 503, PROTOCOL_CODE_UNKNOWN, NULL, "The store could not be read.");
	else
		*ret_job = job;
	return r;
}

int visit_find_file(struct visit *visit, const char *id, struct store_file *ret_file)
{
	int64_t number = visit_number(id, PROTOCOL_FILE_PREFIX);
	struct store_file file = { 0 };
	int r = number ? store_file_get(visit->door->parts.store, number, &file) : -ENOENT;

	if (r)
		return r;
	if ((!visit->is_operator && file.uid != (int64_t)visit->uid) || file.is_deleted ||
	    (file.expires_at && file.expires_at <= loop_now_ms(visit->door->parts.loop))) {
		store_file_release(&file);
		return -ENOENT;
	}
	*ret_file = file;
	return 0;
}

int visit_query_number(struct visit *visit, const char *name, int64_t least, int64_t most,
		       int64_t fallback, int64_t *ret_number)
{
	const char *text = exchange_query(visit->exchange, name);
	char *end;
	int64_t number;

	if (!text) {
		*ret_number = fallback;
		return 0;
	}
	errno = 0;
	number = strtoll(text, &end, 10);
	/* strtoll would pass blanks and signs. */
	if (*text < '0' || *text > '9' || *end || errno || number < least || number > most) {
		visit_error(visit, 400, "invalid_value", name,
			    "Invalid '%s': it must be a whole number from %" PRId64 " to %" PRId64 ".", name, least,
			    most);
		return -EINVAL;
	}
	*ret_number = number;
	return 0;
}

bool visit_query_flag(const struct visit *visit, const char *name)
{
	const char *text = exchange_query(visit->exchange, name);

	return text && (strcmp(text, "1") == 0 || strcmp(text, "true") == 0);
}

const char *door_refusal(const struct door *door, int *ret_status)
{
	int64_t free_bytes = spool_free_bytes(door->parts.spool);

	*ret_status = door->is_draining ? 503 : 507;
	if (door->is_draining)
		return "batchd is stopping";
	if (free_bytes >= 0 && free_bytes < door->parts.config->min_free)
		return "the disk of the state folder is nearly full (min_free)";
	return NULL;
}

bool visit_name_is_right(const char *name)
{
	return strlen(name) <= PROTOCOL_MAX_FILE_NAME && utf8_is_valid(name);
}

static void refuse_size(struct visit *visit)
{
	visit_error(visit, 413, PROTOCOL_CODE_TOO_LARGE, NULL, "An input has at most %" PRId64 " bytes (max_file).",
		    visit->door->parts.config->max_file);
}

static void refuse_room(struct visit *visit)
{
	visit_error(visit, 507, PROTOCOL_CODE_DISK, NULL,
		    "There is no room for it on the disk of the state folder; nothing of it is kept.");
}

/* Whether its Content-Encoding, if it has one, is undone here. */
static bool is_encoding_known(struct visit *visit)
{
	const char *encoding = exchange_header(visit->exchange, "Content-Encoding");
	bool may_be_packed = visit->route->body == BODY_STREAM;
	enum unpack_form form;

	if (!encoding || (may_be_packed && unpack_form_parse(encoding, &form) == 0))
		return true;
	if (may_be_packed)
		exchange_add_header(visit->exchange, "Accept-Encoding", "gzip, zstd");
	visit_error(visit, 415, NULL, NULL, "The Content-Encoding '%.100s' is not understood here%s.", encoding,
		    may_be_packed ? "; gzip and zstd are" : "");
	return false;
}

bool visit_may_store(struct visit *visit)
{
	const struct door_parts *parts = &visit->door->parts;
	int64_t length = exchange_content_length(visit->exchange);
	int64_t free_bytes = spool_free_bytes(parts->spool);
	int status;
	const char *why = door_refusal(visit->door, &status);

	if (why)
		visit_error(visit, status, status == 507 ? PROTOCOL_CODE_DISK : PROTOCOL_CODE_DRAINING, NULL,
			    "Nothing is accepted: %s.", why);
	else if (!is_encoding_known(visit))
		return false;
	else if (length > parts->config->max_file + FORM_ROOM)
		refuse_size(visit);
	else if (length > 0 && free_bytes >= 0 && free_bytes - length < parts->config->min_free)
		refuse_room(visit);
	return !visit->is_answered;
}

/* What is told when bytes cannot be kept, by what went wrong. */
static void refuse_storage(struct visit *visit, int code, const struct error *err)
{
	const struct door_parts *parts = &visit->door->parts;

	log_error("an input cannot be kept", log_text("WHY", err->text));
	if (code == -ENOSPC || code == -EDQUOT || code == -EFBIG) {
		refuse_room(visit);
		return;
	}
	visit_error(visit, 503, PROTOCOL_CODE_UNKNOWN, NULL, "The store could not be written; nothing of it is kept.");
	if (code == -EIO || code == -EUCLEAN)
		parts->on_fatal(EXIT_IO, parts->context);
}

void visit_write(struct visit *visit, struct vault_writer **writer, const char *data, size_t size)
{
	const struct door_parts *parts = &visit->door->parts;
	int64_t had = vault_writer_size(*writer);
	int64_t has = had + (int64_t)size;
	struct error err = { 0 };
	int status, r;

	if (has > parts->config->max_file) {
		refuse_size(visit);
	} else if (had / ROOM_EVERY != has / ROOM_EVERY && door_refusal(visit->door, &status) && status == 507) {
		refuse_room(visit);
	} else {
		r = vault_write(*writer, data, size, &err);
		if (r)
			refuse_storage(visit, r, &err);
	}
	/* Who is slow to read our answer must not hold the room meanwhile. */
	if (visit->is_answered)
		vault_writer_free(take(*writer));
}

bool visit_keep_file(struct visit *visit, struct store_file *file, struct vault_writer *writer)
{
	const struct door_parts *parts = &visit->door->parts;
	struct error err = { .text = "the store cannot be written" };
	int r;

	file->uid = visit->uid;
	file->bytes = vault_writer_size(writer);
	file->digest = vault_writer_digest(writer);
	file->created_at = loop_now_ms(parts->loop);
	file->id = store_file_add(parts->store, file);
	if (!file->id) {
		vault_writer_free(writer);
		refuse_storage(visit, -EAGAIN, &err);
		return false;
	}
	r = vault_keep_file(writer, file->id, &err);
	if (r) {
		store_file_remove(parts->store, file->id);
		refuse_storage(visit, r, &err);
	}
	return r == 0;
}
