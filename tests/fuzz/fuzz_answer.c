/*
 * Any line: an answer's parts lie inside it, a success has no error, JSON alone is an answer; and
 * whose it is and what json-c reads there is the same.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "daemon/model/answer.h"
#include "tests/fuzz/peer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_peer(const char *line, size_t size, const struct answer *answer)
{
	struct json_object *object;
	struct scan scan;

	if (!peer_decodes(line, size, true))
		return;
	assert(peer_read(line, size, &object));
	scan_init(&scan, line + answer->custom_id.at - 1, answer->custom_id.size + 2);
	scan.is_surrogate_tolerant = true;
	assert(peer_agrees(&scan, json_object_object_get(object, "custom_id")));
	json_object_put(object);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *line = (const char *)data;
	const char *problem = NULL;
	struct answer answer;
	struct scan scan;
	bool is_json;
	int result;

	scan_init(&scan, line, size);
	scan.is_surrogate_tolerant = true;
	is_json = scan_value(&scan, NULL, NULL) == 0 && scan_end(&scan) == 0;
	result = answer_parse(line, size, &answer, &problem);
	if (result) {
		assert(problem && (result == -ENOENT || result == -EBADMSG));
		assert(is_json || result == -EBADMSG);
		return 0;
	}
	assert(is_json && !problem && answer_kind_name(answer.kind));
	assert(answer.custom_id.at + answer.custom_id.size < size);
	assert(answer.error_code.at + answer.error_code.size <= size);
	assert(answer.error_message.at + answer.error_message.size <= size);
	assert(answer.status >= 0 && answer.status <= 999);
	assert(answer.input_tokens >= -1 && answer.output_tokens >= -1);
	if (answer.kind == ANSWER_OK) {
		assert(answer.status >= 200 && answer.status <= 299);
		assert(!answer.error_code.size && !answer.error_message.size);
	}
	check_peer(line, size, &answer);
	return 0;
}
