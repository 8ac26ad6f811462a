#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/alloc.h"
#include "daemon/base/cleanup.h"
#include "tests/sim/blob.h"
#include "tests/sim/dialects.h"
#include "tests/sim/line.h"
#include "tests/sim/reply.h"
#include "tests/sim/state.h"

enum {
	MAX_FIELD = 4096,
	DAY_S = 86400,
	DEFAULT_LIFETIME_S = 30 * DAY_S,
	LIST_LIMIT = 10000,
};

#define MAX_ANY_FILE      (512 * 1024 * 1024u)
#define DEFAULT_MAX_BYTES 200000000

static const char *const purposes[] = {"batch",  "assistants", "fine-tune",
				       "vision", "user_data",  "evals"};

static struct json_object *file_object(const struct file *file, int64_t bytes, bool is_ready)
{
	struct json_object *object = json_object_new_object();

	json_object_object_add(object, "object", reply_string("file"));
	json_object_object_add(object, "id", reply_string(file->id));
	json_object_object_add(object, "purpose", reply_string(file->purpose));
	json_object_object_add(object, "filename", reply_string(file->name));
	json_object_object_add(object, "bytes", json_object_new_int64(bytes));
	json_object_object_add(object, "created_at",
			       json_object_new_int64(file->created_ms / 1000));
	json_object_object_add(object, "expires_at",
			       file->expires_ms ? json_object_new_int64(file->expires_ms / 1000)
						: NULL);
	json_object_object_add(object, "status", reply_string(is_ready ? "processed" : "pending"));
	json_object_object_add(object, "status_details", NULL);
	return object;
}

bool files_are_ready(const struct sim *sim, const struct file *file)
{
	return sim->now_ms >= file->created_ms + sim->dialect->processing_ms;
}

static void set_subject(struct subject *subject, const struct sim *sim, const struct file *file)
{
	subject->file = file->id;
	subject->file_name = file->name;
	subject->age_ms = sim->now_ms - file->created_ms;
}

static struct json_object *show(struct context *context, const struct file *file)
{
	struct subject subject = context->subject;

	set_subject(&subject, context->sim, file);
	return sim_dress(context->sim, &subject,
			 file_object(file, (int64_t)file->blob->size, files_are_ready(context->sim, file)));
}

static const char *field(const struct sim_form *form, const char *name)
{
	for (size_t i = 0; i < form->count; i++)
		if (!strcmp(form->names[i], name))
			return form->values[i];
	return NULL;
}

/* Most providers have one purpose alone. */
static const char *find_purpose(const struct sim *sim, const char *name)
{
	if (sim->dialect->purpose)
		return strcmp(sim->dialect->purpose, name) ? NULL : sim->dialect->purpose;
	for (size_t i = 0; i < ARRAY_SIZE(purposes); i++)
		if (!strcmp(purposes[i], name))
			return purposes[i];
	return NULL;
}

/* The schema allows nothing else, so a client that sends more is wrong. */
static bool check_names(struct context *context, const struct sim_form *form)
{
	const struct sim_dialect *dialect = context->sim->dialect;
	const char *const names[] = {"purpose", dialect->anchor, dialect->seconds, NULL};

	for (size_t i = 0; i < form->count; i++) {
		if (sim_dialect_pick(names, form->names[i]))
			continue;
		reply_error(context->answer, 400, form->names[i], "unknown_parameter",
			    "Unknown parameter: '%s'.", form->names[i]);
		return false;
	}
	return true;
}

static bool check_expiry(struct context *context, const struct sim_form *form, int64_t *ret_seconds)
{
	const struct sim_dialect *dialect = context->sim->dialect;
	const char *anchor = dialect->anchor ? field(form, dialect->anchor) : NULL;
	const char *seconds = dialect->seconds ? field(form, dialect->seconds) : NULL;

	*ret_seconds = seconds ? strtoll(seconds, NULL, 10) : 0;
	if (!anchor && !seconds)
		return true;
	if (!anchor || strcmp(anchor, "created_at")) {
		reply_error(context->answer, 400, "expires_after.anchor", "invalid_value",
			    "Invalid value: '%s'. Value must be 'created_at'.",
			    anchor ? anchor : "");
		return false;
	}
	if (*ret_seconds >= dialect->shortest_s && *ret_seconds <= dialect->longest_s)
		return true;
	reply_error(context->answer, 400, "expires_after.seconds", "invalid_value",
		    "Invalid 'expires_after.seconds': expected a value between %lld and %lld.",
		    (long long)dialect->shortest_s, (long long)dialect->longest_s);
	return false;
}

/* Upload looks at the name and the first line alone; all else is found by the batch. */
static bool check_jsonl(struct context *context, const struct sim_form *form)
{
	const char *text = form->file.data, *newline;
	size_t size = form->file.size, name_size = form->file_name ? strlen(form->file_name) : 0;
	int64_t max_bytes = context->sim->config.max_bytes;
	struct line line;

	if ((int64_t)size > (max_bytes ? max_bytes : DEFAULT_MAX_BYTES)) {
		reply_error(
			context->answer, 413, "file", NULL,
			"File is too large. Maximum file size for purpose 'batch' is %lld bytes.",
			(long long)(max_bytes ? max_bytes : DEFAULT_MAX_BYTES));
		return false;
	}
	newline = size ? memchr(text, '\n', size) : NULL;
	if (name_size >= 6 && !strcmp(form->file_name + name_size - 6, ".jsonl") && size &&
	    line_parse(text, newline ? (size_t)(newline - text) : size, &line) &&
	    line.kind == LINE_OBJECT)
		return true;
	reply_error(context->answer, 400, NULL, NULL,
		    "Invalid file format for Batch API. Must be .jsonl");
	return false;
}

static bool check_form(struct context *context, const struct sim_form *form, int64_t *ret_seconds)
{
	const char *purpose = form ? field(form, "purpose") : NULL;
	struct sim_answer *answer = context->answer;

	if (!form || !form->has_file)
		reply_error(answer, 400, "file", "missing_required_parameter",
			    "Missing required parameter: 'file'.");
	else if (form->is_too_much)
		reply_error(answer, 400, NULL, NULL, "Too many or too long form fields.");
	else if (!purpose)
		reply_error(answer, 400, "purpose", "missing_required_parameter",
			    "Missing required parameter: 'purpose'.");
	else if (!find_purpose(context->sim, purpose))
		reply_error(answer, 400, "purpose", "invalid_value",
			    "'%s' is not one of ['fine-tune', "
			    "'assistants', 'batch', 'user_data', 'vision', 'evals'] - 'purpose'",
			    purpose);
	else if (form->file.size > MAX_ANY_FILE)
		reply_error(answer, 413, "file", NULL, "File is too large.");
	else
		return check_names(context, form) && check_expiry(context, form, ret_seconds) &&
		       (strcmp(purpose, "batch") || check_jsonl(context, form));
	return false;
}

void files_upload(struct context *context)
{
	struct sim_form *form = context->request->form;
	struct file *file;
	const char *purpose;
	int64_t seconds = 0;

	if (!check_form(context, form, &seconds))
		return;
	purpose = find_purpose(context->sim, field(form, "purpose"));
	file = files_add(context->sim, purpose, form->file_name ? form->file_name : "file",
			 blob_take(&form->file), context->sim->now_ms, seconds);
	context->sim->files_created++;
	reply_json(context->answer, 200, show(context, file));
}

static bool is_wanted(const struct sim *sim, const struct file *file, const char *purpose,
		      const struct list_view *view)
{
	return file->blob && !(file->expires_ms && file->expires_ms <= sim->now_ms) &&
	       (!purpose || !strcmp(purpose, file->purpose)) &&
	       sim->now_ms - file->created_ms >= view->hide_younger_ms;
}

/* Where a page begins: behind the file that "after" names. */
static bool find_start(struct context *context, const struct list_view *view, bool is_ascending,
		       int64_t *ret_start)
{
	const char *after = context->request->query("after", context->request->context);
	size_t count = context->sim->file_ids.count, number;

	*ret_start = is_ascending ? 0 : (int64_t)count - 1;
	if (!after || view->ignores_after)
		return true;
	number = table_find(&context->sim->file_ids, after, strlen(after));
	if (number == TABLE_NONE) {
		reply_error(context->answer, 404, "after", NULL, "No such File object: %s", after);
		return false;
	}
	*ret_start = (int64_t)number + (view->overlaps ? 0 : is_ascending ? 1 : -1);
	return true;
}

/* Which way and what kind of files are asked for, as far as this list heeds it; or answers 400 and is false. */
static bool read_wishes(struct context *context, const struct list_view *view, bool *ret_is_ascending,
			const char **ret_purpose)
{
	const char *purpose = context->request->query("purpose", context->request->context);
	const char *order = context->request->query("order", context->request->context);

	if (order && strcmp(order, "asc") && strcmp(order, "desc")) {
		reply_error(context->answer, 400, "order", "invalid_value",
			    "Invalid value: '%s'. Supported values are: 'asc' and 'desc'.", order);
		return false;
	}
	*ret_is_ascending = view->ignores_order || (order && !strcmp(order, "asc"));
	*ret_purpose = view->ignores_purpose ? NULL : purpose;
	return true;
}

void files_list(struct context *context)
{
	struct sim *sim = context->sim;
	struct list_view view = sim_list_view(context);
	const char *purpose;
	struct json_object *data;
	int64_t limit, at;
	bool is_ascending, has_more = false;

	if (!sim_query_number(context, "limit", LIST_LIMIT, 1, LIST_LIMIT, &limit) ||
	    !read_wishes(context, &view, &is_ascending, &purpose) ||
	    !find_start(context, &view, is_ascending, &at))
		return;
	data = json_object_new_array();
	for (; at >= 0 && at < (int64_t)sim->file_ids.count && !view.is_empty;
	     at += is_ascending ? 1 : -1) {
		if (!is_wanted(sim, sim->files[at], purpose, &view))
			continue;
		has_more = (int64_t)json_object_array_length(data) == limit;
		if (has_more)
			break;
		json_object_array_add(data, show(context, sim->files[at]));
	}
	reply_json(context->answer, 200, sim_list_object(&view, data, has_more));
}

static struct file *find_or_refuse(struct context *context)
{
	struct file *file = files_find(context->sim, context->id);

	if (!file)
		reply_error(context->answer, 404, "id", NULL, "No such File object: %s",
			    context->id);
	return file;
}

void files_retrieve(struct context *context)
{
	struct file *file = find_or_refuse(context);

	if (file)
		reply_json(context->answer, 200, show(context, file));
}

void files_content(struct context *context)
{
	struct file *file = find_or_refuse(context);

	if (file)
		reply_blob(context->answer, 200, "application/octet-stream", blob_ref(file->blob));
}

void files_delete(struct context *context)
{
	struct file *file = find_or_refuse(context);
	struct json_object *object;

	if (!file)
		return;
	blob_unref(take(file->blob));
	context->sim->files_deleted++;
	object = json_object_new_object();
	json_object_object_add(object, "object", reply_string("file"));
	json_object_object_add(object, "deleted", json_object_new_boolean(true));
	json_object_object_add(object, "id", reply_string(file->id));
	reply_json(context->answer, 200, sim_dress(context->sim, &context->subject, object));
}

struct file *files_add(struct sim *sim, const char *purpose, const char *name, struct blob *blob,
		       int64_t created_ms, int64_t lifetime_s)
{
	struct file *file = xcalloc(1, sizeof(*file));
	bool is_new, is_for_batch = !strncmp(purpose, "batch", 5);
	size_t number;

	file->id = sim_make_id(sim, CALL_UPLOAD, "file-", 22,
			       "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789");
	file->name = xstrdup(name);
	file->purpose = purpose;
	file->blob = blob;
	file->created_ms = created_ms;
	if (!lifetime_s && is_for_batch)
		lifetime_s = DEFAULT_LIFETIME_S;
	file->expires_ms = lifetime_s ? created_ms + lifetime_s * 1000 : 0;
	number = table_add(&sim->file_ids, file->id, strlen(file->id), &is_new);
	if (!(number & (number - 1)))
		sim->files =
			xreallocarray(sim->files, number ? 2 * number : 1, sizeof(*sim->files));
	sim->files[number] = file;
	return file;
}

struct file *files_find(struct sim *sim, const char *id)
{
	size_t number = table_find(&sim->file_ids, id, strlen(id));
	struct file *file = number == TABLE_NONE ? NULL : sim->files[number];

	if (!file || !file->blob || (file->expires_ms && file->expires_ms <= sim->now_ms))
		return NULL;
	return file;
}

void files_free(struct sim *sim)
{
	for (size_t i = 0; i < sim->file_ids.count; i++) {
		free(sim->files[i]->id);
		free(sim->files[i]->name);
		blob_unref(sim->files[i]->blob);
		free(sim->files[i]);
	}
	free(take(sim->files));
	table_release(&sim->file_ids);
}

static void copy_text(struct sim_form *form, const char *name, const char *data, size_t size,
		      uint64_t offset)
{
	size_t last = form->count - 1, old = 0;

	if (!offset) {
		if (form->count == ARRAY_SIZE(form->names)) {
			form->is_too_much = true;
			return;
		}
		last = form->count++;
		form->names[last] = xstrdup(name);
		form->values[last] = xstrdup("");
	} else if (form->is_too_much || !form->count) {
		return;
	}
	old = strlen(form->values[last]);
	if (old + size > MAX_FIELD) {
		form->is_too_much = true;
		return;
	}
	form->values[last] = xreallocarray(form->values[last], old + size + 1, 1);
	memcpy(form->values[last] + old, data, size);
	form->values[last][old + size] = '\0';
}

void sim_form_add(struct sim_form *form, const char *name, const char *file_name, const char *data,
		  size_t size, uint64_t offset)
{
	if (strcmp(name, "file")) {
		copy_text(form, name, data ? data : "", size, offset);
		return;
	}
	if (!offset) {
		free(form->file_name);
		form->file_name = xstrdup(file_name);
		form->has_file = true;
	}
	if (form->file.size + size <= MAX_ANY_FILE + 1)
		buffer_add(&form->file, data, size);
	else
		form->is_too_much = true;
}

void sim_form_release(struct sim_form *form)
{
	for (size_t i = 0; i < form->count; i++) {
		free(form->names[i]);
		free(form->values[i]);
	}
	free(form->file_name);
	buffer_release(&form->file);
	*form = (struct sim_form){0};
}
