/*
 * Any line as a bare body, for each endpoint, with a model given and without: what is taken is an
 * object with its model inside, and put into an envelope it is a request like any other.
 */
#include <assert.h>
#include <string.h>

#include "daemon/base/buffer.h"
#include "daemon/model/request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The envelope as it is sent, with the model that the job gives where the line has none. */
static void check_wrapped(const char *line, const struct request *body, const char *url)
{
	auto_buffer whole = {0};
	struct request request;
	struct request_flaw flaw;
	int result;

	buffer_add_format(
		&whole,
		"{\"custom_id\":\"line-1\",\"method\":\"POST\",\"url\":\"%s\",\"body\":", url);
	buffer_add(&whole, line + body->body.at, body->inside - body->body.at);
	if (!body->model.size)
		buffer_add_text(&whole, "\"model\":\"m\",");
	buffer_add(&whole, line + body->inside, body->body.at + body->body.size - body->inside);
	buffer_add_text(&whole, "}");
	result = request_parse(whole.data, whole.size, &request, &flaw);
	/* A body that fills its depth, or its line, has no room for an envelope. */
	if (result) {
		assert(strstr(flaw.message, "too deep") || whole.size > REQUEST_MAX_LINE);
		return;
	}
	assert(request.inputs == body->inputs);
	assert(!body->model.size || scan_text_equal(line, body->model, whole.data, request.model));
}

static void check_body(const char *line, size_t size, const char *url, bool has_model)
{
	struct request request = {0};
	struct request_flaw flaw = {0};

	if (request_parse_body(line, size, url, has_model, &request, &flaw)) {
		assert(flaw.code && flaw.message[0] &&
		       flaw.message[strlen(flaw.message) - 1] == '.');
		return;
	}
	assert(!request.custom_id.size && !request.url.size);
	assert(request.body.at + request.body.size <= size && line[request.body.at] == '{');
	assert(request.inside == request.body.at + 1 &&
	       line[request.body.at + request.body.size - 1] == '}');
	assert(has_model || request.model.size);
	assert(request.model.size <= REQUEST_MAX_MODEL);
	check_wrapped(line, &request, url);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	for (size_t i = 0; request_url(i); i++) {
		check_body((const char *)data, size, request_url(i), false);
		check_body((const char *)data, size, request_url(i), true);
	}
	return 0;
}
