/*
 * Any line: its parts lie inside it, and the text of its answer is no longer than the line, UTF-8,
 * and appended to what is there. Every answer that is taken has one, or is known to have none.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "daemon/base/buffer.h"
#include "daemon/base/utf8.h"
#include "daemon/model/answer.h"
#include "daemon/model/content.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_part(const char *line, size_t size, struct scan_span part)
{
	struct scan scan;

	assert(part.at + part.size <= size);
	scan_init(&scan, line + part.at, part.size);
	scan.is_surrogate_tolerant = true;
	assert(!part.size || (scan_value(&scan, NULL, NULL) == 0 && scan.at == part.size));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *line = (const char *)data;
	auto_buffer text = {0};
	struct content_parts parts = {0};
	struct answer answer;
	int found = content_find(line, size, &parts);
	int result;

	buffer_add_text(&text, "before");
	result = content_add(&text, line, size);
	assert(result == 0 || result == -ENOENT || result == -EBADMSG);
	assert((result == -EBADMSG) == (found == -EBADMSG) &&
	       (result == -ENOENT) == (!found && !parts.body.size));
	assert(text.size >= 6 && memcmp(text.data, "before", 6) == 0);
	assert(!result || text.size == 6);
	/* Of more than one embedding an array is made: a bracket for each end, and a comma for each
	 * that stood there. */
	assert(text.size - 6 <= size + 2);
	assert(memchr(text.data, 0, text.size) || utf8_is_valid(buffer_text(&text)));
	if (found)
		return 0;
	check_part(line, size, parts.body);
	check_part(line, size, parts.error);
	assert(parts.custom_id.at + parts.custom_id.size <= size);
	if (answer_parse(line, size, &answer, NULL) == 0)
		assert(parts.custom_id.at == answer.custom_id.at &&
		       parts.custom_id.size == answer.custom_id.size);
	return 0;
}
