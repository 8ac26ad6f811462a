#include "daemon/work/api_parse.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "daemon/base/alloc.h"
#include "daemon/base/buffer.h"
#include "daemon/base/cleanup.h"
#include "daemon/base/error.h"
#include "daemon/base/tree.h"
#include "daemon/base/utf8.h"
#include "daemon/work/api_words.h"

#define MAX_WRAPPERS 3 /* one around the other: a gateway wraps what its provider wrapped */
#define MAX_TREE ((size_t)1 << 20)   /* of a text of which a tree is made */
#define MAX_GIST ((size_t)128 << 10) /* of the members of interest: metadata of 16 texts is some 60 kB at most */

static inline void cleanup_json(struct json_object **object)
{
	json_object_put(*object);
}
#define auto_json __attribute__((cleanup(cleanup_json))) struct json_object

/* clang-format off */
/* Members that servers wrap an object in. */
static const char *const wrappers[] = { "job", "data" };

/* Where the words of a refusal stand; and those of the first of several, in a list of them. */
static const char *const word_members[] = { "message", "detail", "msg", "error", "error_message" };
static const char *const code_members[] = { "code", "error_code", "type" }; /* without a code, the type is the next best word */

/* What is read of a batch, or of a file in a list; the errors of a batch are read apart, for there may be many. */
static const char *const gist_members[] = {
	"id", "status", "input_file_id", "output_file_id", "error_file_id", "created_at", "request_counts", "metadata",
	"filename", "purpose", "bytes", "createdAt", "completed", "failed",
};
/* clang-format on */

static struct json_object *member(struct json_object *object, const char *name)
{
	struct json_object *value = NULL;

	if (json_object_is_type(object, json_type_object))
		(void)json_object_object_get_ex(object, name, &value);
	return value;
}

/* A tree is made of short texts alone. */
static struct json_object *parse(const char *json, size_t size)
{
	size_t end; /* whatever follows */

	return size <= MAX_TREE ? tree_read(json, size, 0, &end) : NULL;
}

/* A member's text; NULL where it is absent, null, "", too long, no UTF-8 or of another type. Numbers count where a server writes codes as such. */
static char *text_of(struct json_object *object, const char *name)
{
	struct json_object *value = member(object, name);
	const char *text;

	if (!json_object_is_type(value, json_type_string) && !json_object_is_type(value, json_type_int))
		return NULL;
	text = json_object_get_string(value);
	if (!text || !*text || strlen(text) > API_MAX_ID || !utf8_is_valid(text))
		return NULL;
	return xstrdup(text);
}

/* A number is none: no server names batches or files so, and one that does by mistake does not know them by it. */
static char *id_of(struct json_object *object)
{
	return json_object_is_type(member(object, "id"), json_type_string) ? text_of(object, "id") : NULL;
}

static int64_t integer_of(struct json_object *object, const char *name)
{
	struct json_object *value = member(object, name);
	int64_t number;

	if (!json_object_is_type(value, json_type_int) && !json_object_is_type(value, json_type_double))
		return -1;
	number = json_object_get_int64(value);
	return number >= 0 ? number : -1;
}

static char *code_of(struct json_object *object, const char *name)
{
	auto_free char *text = text_of(object, name);

	return api_code(text);
}

static int64_t time_of_number(double number)
{
	if (!(number > 0 && number < 1e14))
		return 0;
	return (int64_t)(number < 1e11 ? number * 1000 : number);
}

/*
 * ISO 8601 with a zone. Without one the time is not known: taken for another zone's, a young batch would look
 * hours old, and a search that ends at what is old would miss it.
 */
static int64_t time_of_text(const char *text)
{
	struct tm parts = { 0 };
	const char *rest = strptime(text, "%Y-%m-%d", &parts);
	int hours = 0, minutes = 0;
	int64_t seconds;
	char *end;
	double number;

	if (!rest) {
		number = strtod(text, &end);
		return *text && !*end ? time_of_number(number) : 0;
	}
	if (*rest != 'T' && *rest != ' ')
		return 0;
	rest = strptime(rest + 1, "%H:%M:%S", &parts);
	if (!rest)
		return 0;
	if (*rest == '.')
		rest += 1 + strspn(rest + 1, "0123456789");
	if (*rest == '+' || *rest == '-') {
		if (sscanf(rest + 1, "%2d%*[:]%2d", &hours, &minutes) < 2 &&
		    sscanf(rest + 1, "%2d%2d", &hours, &minutes) < 1)
			return 0;
		if (*rest == '-') {
			hours = -hours;
			minutes = -minutes;
		}
	} else if (*rest != 'Z' && *rest != 'z') {
		return 0;
	}
	seconds = (int64_t)timegm(&parts) - hours * 3600 - minutes * 60;
	return seconds > 0 ? seconds * 1000 : 0;
}

/* Seconds, milliseconds (13 digits), floats, any of these as text, or ISO 8601 text. */
static int64_t time_of(struct json_object *object, const char *name)
{
	struct json_object *value = member(object, name);

	if (json_object_is_type(value, json_type_string))
		return time_of_text(json_object_get_string(value));
	if (!json_object_is_type(value, json_type_int) && !json_object_is_type(value, json_type_double))
		return 0;
	return time_of_number(json_object_get_double(value));
}

/* Some write the names of members in one style, some in another. */
static int64_t creation_of(struct json_object *object)
{
	int64_t at = time_of(object, "created_at");

	return at ? at : time_of(object, "createdAt");
}

/* A count of a batch, in its place or, where nothing stands there, beside it. */
static int64_t count_of(struct json_object *object, const char *name)
{
	int64_t count = integer_of(member(object, "request_counts"), name);

	return count >= 0 ? count : integer_of(object, name);
}

/* --- the few members of interest are cut out by the scanner, and a tree is made of those alone --- */

/* What is of interest in an object that may be a batch or a file, or have a batch in it. */
struct gist {
	struct buffer text;	 /* an object of the members of interest, as they were written */
	struct scan_span errors; /* where that member stands; size 0: nowhere */
	struct scan_span inner[ARRAY_SIZE(wrappers)];
};

static bool is_in_gist(const char *json, struct scan_span name)
{
	for (size_t i = 0; i < ARRAY_SIZE(gist_members); i++)
		if (scan_text_is(json, name, gist_members[i]))
			return true;
	return false;
}

static void note_member(struct gist *gist, const char *json, struct scan_span name, enum scan_kind kind,
			struct scan_span value)
{
	if (is_in_gist(json, name) && gist->text.size + name.size + value.size <= MAX_GIST) {
		buffer_add_text(&gist->text, gist->text.size > 1 ? ",\"" : "\"");
		buffer_add(&gist->text, json + name.at, name.size);
		buffer_add_text(&gist->text, "\":");
		buffer_add(&gist->text, json + value.at, value.size);
	}
	if (scan_text_is(json, name, "errors"))
		gist->errors = value;
	for (size_t i = 0; i < ARRAY_SIZE(wrappers); i++)
		if (kind == SCAN_OBJECT && scan_text_is(json, name, wrappers[i]))
			gist->inner[i] = value;
}

/* Passes the next value. ret_value is all of it, the quotes of a text included. */
static int pass_value(struct scan *scan, enum scan_kind *ret_kind, struct scan_span *ret_value)
{
	if (scan_peek(scan, ret_kind))
		return -EBADMSG;
	ret_value->at = scan->at;
	if (scan_value(scan, NULL, NULL))
		return -EBADMSG;
	ret_value->size = scan->at - ret_value->at;
	return 0;
}

/* Reads the object in span. Whatever stands behind it is none of its business. */
static int read_gist(const char *json, struct scan_span span, struct gist *gist)
{
	struct scan scan;
	struct scan_span name, value;
	enum scan_kind kind;
	int r;

	scan_init(&scan, json, span.at + span.size);
	scan.is_surrogate_tolerant = true;
	scan.at = span.at;
	buffer_add_text(&gist->text, "{");
	r = scan_enter_object(&scan);
	while (r == 0 && (r = scan_next_member(&scan, &name)) > 0) {
		r = pass_value(&scan, &kind, &value);
		if (r == 0)
			note_member(gist, json, name, kind, value);
	}
	buffer_add_text(&gist->text, "}");
	return r;
}

static void gist_release(struct gist *gist)
{
	buffer_release(&gist->text);
}
#define auto_gist __attribute__((cleanup(gist_release))) struct gist

static void read_errors(const char *json, struct scan_span span, struct api_batch *batch)
{
	struct api_errors errors;
	struct api_flaw first = { 0 };

	batch->errors = span;
	api_errors_init(&errors, json + span.at, span.size);
	if (!span.size || !api_errors_next(&errors, &first))
		return;
	batch->error_line = first.line;
	batch->error_code = take(first.code);
	batch->error_param = take(first.param);
	batch->error_message = take(first.message);
	api_flaw_release(&first);
	do
		batch->error_count++;
	while (api_errors_next(&errors, NULL));
}

/* Reads the batch whose gist this is. Without an id, all of it is empty. */
static void read_batch(const char *json, struct gist *gist, struct api_batch *ret_batch)
{
	auto_json *object = parse(buffer_text(&gist->text), gist->text.size);
	struct json_object *metadata = member(object, "metadata");
	auto_free char *id = id_of(object);

	*ret_batch = (struct api_batch){ 0 };
	if (!id)
		return;
	*ret_batch = (struct api_batch){
		.id = take(id),
		.status_text = text_of(object, "status"),
		.input_file_id = text_of(object, "input_file_id"),
		.output_file_id = text_of(object, "output_file_id"),
		.error_file_id = text_of(object, "error_file_id"),
		.completed = count_of(object, "completed"),
		.failed = count_of(object, "failed"),
		.created_at = creation_of(object),
		.marker = text_of(metadata, API_MARKER_KEY),
		.has_metadata = json_object_is_type(metadata, json_type_object) &&
				json_object_object_length(metadata) > 0,
	};
	if (!ret_batch->status_text)
		ret_batch->status_text = xstrdup("-");
	ret_batch->status = api_status_of(ret_batch->status_text);
	read_errors(json, gist->errors, ret_batch);
}

/* The object that has the id: the answer itself, or what it is wrapped in; NULL when none has. */
static struct json_object *unwrap(struct json_object *object, int depth)
{
	struct json_object *inner = NULL;

	if (json_object_is_type(member(object, "id"), json_type_string))
		return object;
	for (size_t i = 0; !inner && depth < MAX_WRAPPERS && i < ARRAY_SIZE(wrappers); i++)
		inner = unwrap(member(object, wrappers[i]), depth + 1);
	return inner;
}

/* Reads the batch in span, or the one that is wrapped in it. Without an id, all of it is empty. -EBADMSG: no object stands there. */
static int read_wrapped(const char *json, struct scan_span span, int depth, struct api_batch *ret_batch)
{
	auto_gist gist = { 0 };

	if (read_gist(json, span, &gist))
		return -EBADMSG;
	read_batch(json, &gist, ret_batch);
	for (size_t i = 0; !ret_batch->id && depth < MAX_WRAPPERS && i < ARRAY_SIZE(wrappers); i++)
		if (gist.inner[i].size)
			(void)read_wrapped(json, gist.inner[i], depth + 1, ret_batch);
	return 0;
}

int api_parse_batch(const char *json, size_t size, struct api_batch *ret_batch, struct error *err)
{
	auto_free char *mended = api_mend(json, size);
	const char *text = mended ? mended : json;
	struct api_batch batch = { 0 };

	if (read_wrapped(text, (struct scan_span){ .size = size }, 0, &batch))
		return error_set(err, -EBADMSG, "the provider's answer is no JSON object");
	if (!batch.id)
		return error_set(err, -EBADMSG, "the provider's answer is no batch: it has no id");
	*ret_batch = batch;
	return 0;
}

/* Without an id, all of it is empty. */
static void read_file(struct json_object *object, struct api_file *ret_file)
{
	auto_free char *id = id_of(object);

	*ret_file = (struct api_file){ 0 };
	if (!id)
		return;
	*ret_file = (struct api_file){
		.id = take(id),
		.name = text_of(object, "filename"),
		.purpose = text_of(object, "purpose"),
		.status = text_of(object, "status"),
		.bytes = integer_of(object, "bytes"),
		.created_at = creation_of(object),
	};
}

int api_parse_file(const char *json, size_t size, struct api_file *ret_file, struct error *err)
{
	auto_json *object = parse(json, size);
	struct json_object *inner;
	struct api_file file;

	if (!json_object_is_type(object, json_type_object))
		return error_set(err, -EBADMSG, "the provider's answer is no JSON object");
	inner = unwrap(object, 0);
	read_file(inner ? inner : object, &file);
	if (!file.id)
		return error_set(err, -EBADMSG, "the provider's answer is no file: it has no id");
	*ret_file = file;
	return 0;
}

/* Where the list stands in a page, and what the page says of more. */
struct page {
	struct scan_span list; /* size 0: nowhere */
	int has_more;
};

/* A page may be wrapped, as any object may. */
static int read_page(const char *json, struct scan_span span, int depth, struct page *page)
{
	struct scan scan;
	struct scan_span name, value;
	enum scan_kind kind;
	int r;

	scan_init(&scan, json, span.at + span.size);
	scan.is_surrogate_tolerant = true;
	scan.at = span.at;
	if (scan_peek(&scan, &kind))
		return -EBADMSG;
	if (kind == SCAN_ARRAY)
		return pass_value(&scan, &kind, &page->list);
	r = scan_enter_object(&scan);
	while (r == 0 && (r = scan_next_member(&scan, &name)) > 0) {
		r = pass_value(&scan, &kind, &value);
		if (r)
			break;
		if (scan_text_is(json, name, "data") && kind == SCAN_OBJECT && depth < MAX_WRAPPERS)
			(void)read_page(json, value, depth + 1, page);
		else if (scan_text_is(json, name, "data"))
			page->list = kind == SCAN_ARRAY ? value : (struct scan_span){ 0 };
		else if (scan_text_is(json, name, "has_more"))
			page->has_more = kind == SCAN_TRUE ? 1 : kind == SCAN_FALSE ? 0 : -1;
	}
	return r;
}

/* Who is told of the objects in a page: of batches, or of files. */
struct visitor {
	void (*visit_batch)(const struct api_batch *batch, void *context);
	void (*visit_file)(const struct api_file *file, void *context);
	void *context;
	char *last_id;
};

static void visit_batch(const char *json, struct scan_span span, struct gist *gist, struct visitor *visitor)
{
	struct api_batch batch;

	read_batch(json, gist, &batch);
	if (batch.id) {
		batch.text = json + span.at;
		batch.text_size = span.size;
		visitor->visit_batch(&batch, visitor->context);
		free(visitor->last_id);
		visitor->last_id = take(batch.id);
	}
	api_batch_release(&batch);
}

static void visit_file(struct gist *gist, struct visitor *visitor)
{
	auto_json *object = parse(buffer_text(&gist->text), gist->text.size);
	struct api_file file;

	read_file(object, &file);
	if (file.id) {
		visitor->visit_file(&file, visitor->context);
		free(visitor->last_id);
		visitor->last_id = take(file.id);
	}
	api_file_release(&file);
}

static void visit_one(const char *json, struct scan_span span, struct visitor *visitor)
{
	auto_gist gist = { 0 };

	if (read_gist(json, span, &gist))
		return;
	if (visitor->visit_batch)
		visit_batch(json, span, &gist, visitor);
	else
		visit_file(&gist, visitor);
}

static int visit_page(const char *json, size_t size, struct visitor *visitor, int *ret_has_more, struct error *err)
{
	auto_free char *mended = api_mend(json, size);
	const char *text = mended ? mended : json;
	struct page page = { .has_more = -1 };
	struct scan scan;
	struct scan_span span;
	enum scan_kind kind;

	if (read_page(text, (struct scan_span){ .size = size }, 0, &page) || !page.list.size)
		return error_set(err, -EBADMSG, "the provider's answer is no list");
	scan_init(&scan, text, page.list.at + page.list.size);
	scan.is_surrogate_tolerant = true;
	scan.at = page.list.at;
	(void)scan_enter_array(&scan);
	while (scan_next_element(&scan) > 0 && pass_value(&scan, &kind, &span) == 0)
		if (kind == SCAN_OBJECT)
			visit_one(text, span, visitor);
	*ret_has_more = page.has_more;
	return 0;
}

int api_parse_list(const char *json, size_t size,
		   void (*visit)(const struct api_batch *batch, void *context), void *context,
		   int *ret_has_more, char **ret_last_id, struct error *err)
{
	struct visitor visitor = { .visit_batch = visit, .context = context };
	int r = visit_page(json, size, &visitor, ret_has_more, err);

	if (!r)
		*ret_last_id = visitor.last_id;
	return r;
}

int api_parse_files(const char *json, size_t size, void (*visit)(const struct api_file *file, void *context),
		    void *context, int *ret_has_more, char **ret_last_id, struct error *err)
{
	struct visitor visitor = { .visit_file = visit, .context = context };
	int r = visit_page(json, size, &visitor, ret_has_more, err);

	if (!r)
		*ret_last_id = visitor.last_id;
	return r;
}

/* The text of a member, or that of the first of a list of objects that stands there; NULL: it has none. */
static const char *words_in(struct json_object *object, const char *name)
{
	struct json_object *value = member(object, name);
	struct json_object *first = json_object_is_type(value, json_type_array) ? json_object_array_get_idx(value, 0) : NULL;
	struct json_object *words = member(first, "msg");

	if (!words)
		words = member(first, "message");
	if (json_object_is_type(value, json_type_string))
		return json_object_get_string(value);
	return json_object_is_type(words, json_type_string) ? json_object_get_string(words) : NULL;
}

void api_parse_error(const char *body, size_t size, struct api_error *ret_error)
{
	auto_json *object = parse(body, size);
	struct json_object *inner = member(object, "error");
	struct json_object *source = json_object_is_type(inner, json_type_object) ? inner : object;
	const char *text = NULL;

	*ret_error = (struct api_error){ 0 };
	for (size_t i = 0; !text && i < ARRAY_SIZE(word_members); i++)
		text = words_in(source, word_members[i]);
	if (json_object_is_type(object, json_type_string))
		text = json_object_get_string(object);
	for (size_t i = 0; !ret_error->code && i < ARRAY_SIZE(code_members); i++)
		ret_error->code = code_of(source, code_members[i]);
	ret_error->message = text ? api_words(text, strlen(text)) : api_words(body, size);
}

void api_batch_release(struct api_batch *batch)
{
	free(batch->id);
	free(batch->status_text);
	free(batch->input_file_id);
	free(batch->output_file_id);
	free(batch->error_file_id);
	free(batch->marker);
	free(batch->error_code);
	free(batch->error_param);
	free(batch->error_message);
	*batch = (struct api_batch){ 0 };
}

void api_file_release(struct api_file *file)
{
	free(file->id);
	free(file->name);
	free(file->purpose);
	free(file->status);
	*file = (struct api_file){ 0 };
}

void api_error_release(struct api_error *error)
{
	free(error->code);
	free(error->message);
	*error = (struct api_error){ 0 };
}
