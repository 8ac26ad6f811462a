/* Any line: what is taken has all its fields inside the line, and what is refused says why. */
#include <assert.h>
#include <string.h>

#include "daemon/model/request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_string(const char *line, size_t size, struct scan_span span)
{
	assert(span.at >= 1 && span.at + span.size < size && span.size > 0);
	assert(line[span.at - 1] == '"' && line[span.at + span.size] == '"');
}

static void check_request(const char *line, size_t size, const struct request *request)
{
	struct scan scan;
	bool is_known = false;

	check_string(line, size, request->custom_id);
	check_string(line, size, request->url);
	check_string(line, size, request->model);
	assert(request->inputs <= size);
	assert(request->body.at + request->body.size < size && line[request->body.at] == '{');
	assert(request->model.at > request->body.at &&
	       request->model.at + request->model.size < request->body.at + request->body.size);
	scan_init(&scan, line + request->body.at, request->body.size);
	assert(scan_value(&scan, NULL, NULL) == 0 && scan.at == scan.size);
	for (size_t i = 0; request_url(i); i++)
		is_known |= scan_text_is(line, request->url, request_url(i));
	assert(is_known);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *line = (const char *)data;
	struct request request;
	struct request_flaw flaw;
	struct scan scan;
	bool is_json;

	scan_init(&scan, line, size);
	is_json = scan_value(&scan, NULL, NULL) == 0 && scan_end(&scan) == 0;
	if (request_parse(line, size, &request, &flaw) == 0) {
		assert(is_json);
		check_request(line, size, &request);
		return 0;
	}
	assert(flaw.code && strlen(flaw.message) > 10);
	assert(flaw.message[strlen(flaw.message) - 1] == '.');
	assert(is_json || strcmp(flaw.code, "invalid_json_line") == 0);
	for (const char *at = flaw.message; *at; at++)
		assert(*at >= ' ' && *at <= '~');
	return 0;
}
