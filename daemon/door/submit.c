/* The one-call submit, whose body is the input. Nothing exists until its last byte is there. */
#include <errno.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/alloc.h"
#include "daemon/base/cleanup.h"
#include "daemon/base/hash.h"
#include "daemon/base/unpack.h"
#include "daemon/door/accept.h"
#include "daemon/door/decode.h"
#include "daemon/door/visit.h"
#include "daemon/door/wish.h"
#include "daemon/io/server.h"
#include "daemon/io/store.h"
#include "daemon/io/vault.h"
#include "daemon/protocol.h"

#define DEFAULT_ENDPOINT "/v1/chat/completions"

struct submit {
	struct job_wish wish;
	struct vault_writer *writer;
	struct hash_body *body;     /* by which the input is known when it comes again */
	struct decoder *decoder;    /* NULL: the body comes as it is */
};

static void free_submit(void *own)
{
	struct submit *submit = own;

	job_wish_release(&submit->wish);
	vault_writer_free(submit->writer);
	hash_body_free(submit->body);
	decoder_free(submit->decoder);
	free(submit);
}

static int read_query(struct visit *visit, struct job_wish *wish)
{
	const struct exchange *exchange = visit->exchange;
	const char *endpoint = exchange_query(exchange, "endpoint");
	const char *window = exchange_query(exchange, "completion_window");
	const char *text = exchange_query(exchange, "metadata");
	const char *name = exchange_query(exchange, "filename");
	auto_json *metadata = text ? json_parse(text, strlen(text)) : NULL;

	if (text && !json_object_is_type(metadata, json_type_object)) {
		visit_error(visit, 400, "invalid_type", "metadata", "Invalid 'metadata': it is no JSON object.");
		return -EINVAL;
	}
	if (name && !visit_name_is_right(name)) {
		visit_error(visit, 400, "invalid_value", "filename", "Invalid 'filename': UTF-8 of at most %d bytes.",
			    PROTOCOL_MAX_FILE_NAME);
		return -EINVAL;
	}
	wish->file_name = xstrdup(name);
	if (wish_endpoint(visit, endpoint ? endpoint : DEFAULT_ENDPOINT, wish) ||
	    wish_window(visit, window ? window : PROTOCOL_WINDOW, wish) || wish_metadata(visit, metadata, wish))
		return -EINVAL;
	return wish_choices(visit, wish);
}

static void keep(struct visit *visit, const char *data, size_t size)
{
	struct submit *submit = visit->own;

	visit_write(visit, &submit->writer, data, size);
	hash_body_add(submit->body, data, size);
}

void submit_begin(struct visit *visit)
{
	const char *encoding = exchange_header(visit->exchange, "Content-Encoding");
	int64_t length = exchange_content_length(visit->exchange);
	enum unpack_form form;
	struct submit *submit;

	if (!visit_may_store(visit) || wish_key(visit) || !accept_may_begin(visit, encoding || length < 0 ? 0 : length))
		return;
	submit = xcalloc(1, sizeof(*submit));
	visit->own = submit;
	visit->own_free = free_submit;
	if (read_query(visit, &submit->wish))
		return;
	submit->writer = vault_writer_new(visit->door->parts.vault, VAULT_FILE_LIMIT);
	submit->body = hash_body_new(store_id_key(visit->door->parts.store));
	if (encoding && unpack_form_parse(encoding, &form) == 0)
		submit->decoder = decoder_new(visit, form, keep);
}

void submit_data(struct visit *visit, const char *data, size_t size)
{
	struct submit *submit = visit->own;

	if (submit->decoder)
		decoder_add(submit->decoder, data, size);
	else
		keep(visit, data, size);
}

void submit_answer(struct visit *visit)
{
	struct submit *submit = visit->own;
	uint8_t fingerprint[HASH_BODY_SIZE];

	if (submit->decoder && !decoder_finish(submit->decoder)) {
		vault_writer_free(take(submit->writer));
		return;
	}
	hash_body_finish(submit->body, fingerprint);
	/* The visit's own state is handed on in there, so what is still needed leaves it first. */
	visit->own = NULL;
	accept_wish(visit, &submit->wish, 0, take(submit->writer), fingerprint);
	free_submit(submit);
}
