/*
 * Any line: what is taken has all its fields inside the line, and json-c finds the same in them;
 * what is refused says why. Where the custom_id is made, more is taken, and the rest is the same.
 */
#include <assert.h>
#include <string.h>

#include "daemon/base/alloc.h"
#include "daemon/base/cleanup.h"
#include "daemon/model/request.h"
#include "tests/fuzz/peer.h"

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

	check_string(line, size, request->url);
	check_string(line, size, request->model);
	assert(request->url.size <= REQUEST_MAX_URL && request->model.size <= REQUEST_MAX_MODEL);
	assert(request->inputs <= size);
	assert(request->inside && request->inside < size && line[request->inside - 1] == '{');
	assert(strspn(line, " \t\r\n") + 1 == request->inside);
	assert(request->body.at + request->body.size < size && line[request->body.at] == '{');
	assert(request->model.at > request->body.at &&
	       request->model.at + request->model.size < request->body.at + request->body.size);
	scan_init(&scan, line + request->body.at, request->body.size);
	assert(scan_value(&scan, NULL, NULL) == 0 && scan.at == scan.size);
	for (size_t i = 0; request_url(i); i++)
		is_known |= scan_text_is(line, request->url, request_url(i));
	assert(is_known);
}

static void check_flaw(const struct request_flaw *flaw, bool is_json)
{
	assert(flaw->code && strlen(flaw->message) > 10);
	assert(flaw->message[strlen(flaw->message) - 1] == '.');
	assert(is_json || strcmp(flaw->code, "invalid_json_line") == 0);
	for (const char *at = flaw->message; *at; at++)
		assert(*at >= ' ' && *at <= '~');
}

static void check_member(struct json_object *object, const char *name, const char *line,
			 struct scan_span span)
{
	struct json_object *member = json_object_object_get(object, name);
	struct scan scan;

	assert(json_object_is_type(member, json_type_string));
	scan_init(&scan, line + span.at - 1, span.size + 2);
	assert(peer_agrees(&scan, member));
}

/* No field is there twice, so json-c's last one is ours; but for it a name ends at a NUL. */
static void check_peer(const char *line, size_t size, const struct request *request)
{
	struct json_object *object;

	if (!peer_decodes(line, size, false))
		return;
	assert(peer_read(line, size, &object));
	check_member(object, "custom_id", line, request->custom_id);
	check_member(object, "url", line, request->url);
	check_member(json_object_object_get(object, "body"), "model", line, request->model);
	json_object_put(object);
}

static bool is_same_span(struct scan_span a, struct scan_span b)
{
	return a.at == b.at && a.size == b.size;
}

static bool is_same(const struct request *a, const struct request *b)
{
	return is_same_span(a->custom_id, b->custom_id) && is_same_span(a->url, b->url) &&
	       is_same_span(a->model, b->model) && is_same_span(a->body, b->body) &&
	       a->inputs == b->inputs && a->inside == b->inside;
}

static void check_found_id(const char *line, size_t size, const struct request *request)
{
	struct scan_span id;

	if (request_find_id(line, size, &id)) {
		assert(!request);
		return;
	}
	check_string(line, size, id);
	assert(id.size <= REQUEST_MAX_CUSTOM_ID);
	assert(!request || (id.at == request->custom_id.at && id.size == request->custom_id.size));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	auto_free char *line = xmemdup0(data, size);
	struct request request, numbered;
	struct request_flaw flaw, numbered_flaw;
	struct scan scan;
	bool is_json, is_right, is_right_numbered;

	scan_init(&scan, line, size);
	is_json = scan_value(&scan, NULL, NULL) == 0 && scan_end(&scan) == 0;
	is_right = request_parse(line, size, &request, &flaw) == 0;
	is_right_numbered = request_parse_numbered(line, size, &numbered, &numbered_flaw) == 0;
	assert(is_json || !is_right_numbered);
	check_found_id(line, size, is_right ? &request : NULL);
	if (is_right) {
		check_string(line, size, request.custom_id);
		check_request(line, size, &request);
		check_peer(line, size, &request);
		assert(is_right_numbered && is_same(&request, &numbered));
		return 0;
	}
	check_flaw(&flaw, is_json);
	if (is_right_numbered) {
		check_request(line, size, &numbered);
		assert(strcmp(flaw.param, "custom_id") == 0);
	} else {
		check_flaw(&numbered_flaw, is_json);
	}
	return 0;
}
