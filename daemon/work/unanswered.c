#include "daemon/work/unanswered.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "daemon/base/buffer.h"
#include "daemon/base/cleanup.h"
#include "daemon/work/collect.h"
#include "daemon/work/outcomes.h"
#include "daemon/work/row_id.h"

/* clang-format off */
static const struct {
	const char *code;
	const char *message;
} reasons[] = {
	[OUTCOME_EXPIRED]   = { "batch_expired",
	                        "This request could not be executed before the completion window "
	                        "expired." },
	[OUTCOME_CANCELLED] = { "batch_cancelled",
	                        "This request was not executed because its batch was cancelled." },
	[OUTCOME_MISSING]   = { "missing", "The batch ended without an answer to this request." },
	[OUTCOME_REFUSED]   = { "refused", "The provider refused the batch of this request." },
	[OUTCOME_LOST]      = { "lost",
	                        "The answer to this request was made, or may have been, and cannot be had." },
};

/* Well-formed UTF-8 beyond ASCII: first byte, range of the second (Unicode, table 3-7). */
static const struct {
	uint8_t first, last;
	uint8_t second_least, second_most;
	size_t size;
} sequences[] = {
	{ 0xc2, 0xdf, 0x80, 0xbf, 2 },
	{ 0xe0, 0xe0, 0xa0, 0xbf, 3 },
	{ 0xe1, 0xec, 0x80, 0xbf, 3 },
	{ 0xed, 0xed, 0x80, 0x9f, 3 },
	{ 0xee, 0xef, 0x80, 0xbf, 3 },
	{ 0xf0, 0xf0, 0x90, 0xbf, 4 },
	{ 0xf1, 0xf3, 0x80, 0xbf, 4 },
	{ 0xf4, 0xf4, 0x80, 0x8f, 4 },
};
/* clang-format on */

/* Bytes of the character that text begins with; 0 when it is none. A terminator ends every search.
 */
static size_t character_size(const uint8_t *text)
{
	if (text[0] < 0x80)
		return 1;
	for (size_t i = 0; i < ARRAY_SIZE(sequences); i++) {
		if (text[0] < sequences[i].first || text[0] > sequences[i].last)
			continue;
		if (text[1] < sequences[i].second_least || text[1] > sequences[i].second_most)
			return 0;
		for (size_t n = 2; n < sequences[i].size; n++)
			if ((text[n] & 0xc0) != 0x80)
				return 0;
		return sequences[i].size;
	}
	return 0;
}

/* Adds text as the inside of a JSON string; what is no UTF-8 becomes U+FFFD. */
static void add_escaped(struct buffer *buffer, const char *text)
{
	const uint8_t *at = (const uint8_t *)text;
	const uint8_t *start = at;

	while (*at && at - start < UNANSWERED_MAX_WHY) {
		size_t size = character_size(at);

		if (!size)
			buffer_add_text(buffer, "\\ufffd");
		else if (*at < 0x20 || *at == 0x7f)
			buffer_add_format(buffer, "\\u%04x", *at);
		else if (*at == '"' || *at == '\\')
			buffer_add_format(buffer, "\\%c", *at);
		else
			buffer_add(buffer, at, size);
		at += size ? size : 1;
	}
}

static bool is_there(const char *text)
{
	return text && *text;
}

/*
 * Whether a refusal is ours, for what was never sent or was given up: then its words are a sentence
 * of their own.
 */
static bool is_of_ours(const struct outcomes_shard *shard)
{
	return !shard->was_sent || (shard->code && strcmp(shard->code, COLLECT_GIVEN_UP_CODE) == 0);
}

void unanswered_error(struct buffer *buffer, enum outcome_kind kind,
		      const struct outcomes_shard *shard)
{
	bool is_refusal = kind == OUTCOME_REFUSED && shard;
	bool is_told = is_refusal && is_there(shard->why);
	bool is_ours = is_told && is_of_ours(shard);

	if (kind >= ARRAY_SIZE(reasons) || !reasons[kind].code)
		kind = OUTCOME_MISSING;
	buffer_add_text(buffer, "{\"code\":\"");
	add_escaped(buffer, is_refusal && is_there(shard->code) ? shard->code : reasons[kind].code);
	buffer_add_text(buffer, "\",\"message\":\"");
	if (!is_ours)
		buffer_add_text(buffer, reasons[kind].message);
	if (is_told && !is_ours)
		buffer_add_text(buffer, " It says: ");
	if (is_told)
		add_escaped(buffer, shard->why);
	buffer_add_text(buffer, "\"}");
}

void unanswered_line(struct buffer *buffer, const struct row_id *id, enum outcome_kind kind,
		     const struct outcomes_shard *shard)
{
	buffer_add_text(buffer, "{\"id\":null,\"custom_id\":");
	buffer_add(buffer, id->quoted, id->size);
	buffer_add_text(buffer, ",\"response\":null,\"error\":");
	unanswered_error(buffer, kind, shard);
	buffer_add_text(buffer, "}\n");
}
