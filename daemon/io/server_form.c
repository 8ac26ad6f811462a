#include "daemon/io/server_private.h"

#include <errno.h>
#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "daemon/base/alloc.h"

/* Pieces of a form are as large as this at most; larger is not faster. */
#define FORM_BUFFER (64 << 10)

struct form {
	struct exchange *exchange;
	struct MHD_PostProcessor *parser;
	bool has_empty; /* a field began with an empty piece that is not told yet */
	char *name;
	char *file_name;
};

static bool is_over(const struct exchange *exchange)
{
	return exchange->reply || exchange->is_dropped;
}

static void tell(struct form *form, const struct server_part *part)
{
	const struct server_callbacks *callbacks = &form->exchange->server->callbacks;

	if (!is_over(form->exchange))
		callbacks->on_part(form->exchange, part, callbacks->context);
}

static void forget_empty(struct form *form)
{
	form->has_empty = false;
	free(form->name);
	free(form->file_name);
	form->name = form->file_name = NULL;
}

static void tell_empty(struct form *form)
{
	if (form->has_empty)
		tell(form, &(struct server_part){
				   .name = form->name, .file_name = form->file_name, .data = ""});
	forget_empty(form);
}

static bool is_same(const char *one, const char *other)
{
	return one && other ? strcmp(one, other) == 0 : one == other;
}

/*
 * Where a read ends at the beginning of a field, the library gives an empty piece before the
 * first bytes: two pieces with offset 0. So an empty piece waits until it is known whether the
 * field really is empty.
 */
static enum MHD_Result on_piece(void *context, enum MHD_ValueKind kind, const char *name,
				const char *file_name, const char *content_type,
				const char *encoding, const char *data, uint64_t offset,
				size_t size)
{
	struct form *form = context;
	struct server_part part = {
		.name = name ? name : "",
		.file_name = file_name,
		.data = data,
		.size = size,
		.offset = offset,
	};

	(void)kind;
	(void)content_type;
	(void)encoding;
	if (size && form->has_empty && is_same(form->name, part.name) &&
	    is_same(form->file_name, file_name))
		forget_empty(form);
	tell_empty(form);
	if (size) {
		tell(form, &part);
	} else {
		form->has_empty = true;
		form->name = xstrdup(part.name);
		form->file_name = xstrdup(file_name);
	}
	return is_over(form->exchange) ? MHD_NO : MHD_YES;
}

int exchange_expect_form(struct exchange *exchange)
{
	static const char type[] = "multipart/form-data";
	const char *given = exchange_header(exchange, "Content-Type");
	struct form *form;

	if (exchange->phase != PHASE_HEADERS || exchange->form || !given ||
	    strncasecmp(given, type, strlen(type)) != 0)
		return -EINVAL;
	form = xcalloc(1, sizeof(*form));
	form->exchange = exchange;
	form->parser = MHD_create_post_processor(exchange->handle, FORM_BUFFER, on_piece, form);
	if (!form->parser) {
		free(form);
		return -EINVAL;
	}
	exchange->form = form;
	return 0;
}

bool form_add(struct form *form, const char *data, size_t size)
{
	return MHD_post_process(form->parser, data, size) == MHD_YES;
}

bool form_close(struct form *form)
{
	bool is_whole = MHD_destroy_post_processor(form->parser) == MHD_YES;

	if (is_whole)
		tell_empty(form);
	forget_empty(form);
	free(form);
	return is_whole;
}

void form_free(struct form *form)
{
	if (!form)
		return;
	(void)MHD_destroy_post_processor(form->parser);
	forget_empty(form);
	free(form);
}
