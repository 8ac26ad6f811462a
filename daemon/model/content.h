/*
 * The text that an answer is about, out of the body of a response: what a person reads, or a
 * script pipes on, without the JSON around it.
 */
#ifndef BATCHD_MODEL_CONTENT_H
#define BATCHD_MODEL_CONTENT_H

#include <stddef.h>

#include "daemon/model/scan.h"

struct buffer;

/*
 * Where the parts of an output line stand (see model/answer.h); size 0: it is not there, or null.
 */
struct content_parts {
	struct scan_span custom_id; /* between its quotes */
	struct scan_span body;	    /* of the response; of a string with its quotes */
	struct scan_span error;	    /* the line's own; of a string with its quotes */
};

/*
 * Finds them. Returns 0, or -EBADMSG when the line is no JSON object. Of a name that is there twice
 * the last counts.
 */
int content_find(const char *line, size_t size, struct content_parts *ret_parts);

/*
 * Appends the text of one output line of a batch, decoded, without a newline of its own:
 *	chat/completions	choices[0].message.content: a string, or the "text" members of an array of parts; where it is
 *				empty, its refusal
 *	responses		output[].content[].text of all parts of type output_text, one after the other, and the
 *				words of those of type refusal
 *	completions		choices[0].text
 *	embeddings		data[0].embedding as JSON, or, of several, an array of them in the order of "index"
 *	anything else		the whole body as JSON, as it came: an answer that calls a tool, images, moderations
 * A body that is a string is taken for what it says: JSON of one of these forms, or the text
 * itself. Returns 0, -ENOENT when the line has no body to take it from, -EBADMSG when it is no
 * JSON.
 */
int content_add(struct buffer *buffer, const char *line, size_t size);

/* Of more embeddings in one answer the whole body is given. */
#define CONTENT_MAX_EMBEDDINGS 65536

#endif
