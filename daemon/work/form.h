/*
 * What a row becomes on the wire. The input stays as it was given; where a job asks for it, the
 * envelope is made around a bare body, and the custom_id out of the line's number; where a provider
 * wants another url than the official one, that is put in its place. One place says of which pieces
 * a sent line consists, so that what is counted, sent, and looked for is the same.
 *
 * What struct record_row holds for a job with line ids: id_hash is the line's number, from 1; id_at
 * and id_length are the string that the made one replaces, its quotes included, or, with id_length
 * 0, the place behind the opening brace where a member goes. For wrapped lines id_at is 0, and
 * model_length 0 means that the job's model goes in at model_at, behind the opening brace.
 */
#ifndef BATCHD_WORK_FORM_H
#define BATCHD_WORK_FORM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/work/row_id.h"

struct error;
struct job;
struct record_row;
struct vault_reader;

struct form {
	bool is_wrapped;
	bool has_line_ids;
	char *envelope; /* of wrapped lines: what stands between the id and the body */
	char *model;	/* the member that names the job's model, comma included; NULL: none */
	char *url;	/* what every line has as its url, quotes included; NULL: its own */
};

/* A piece of a sent line: text, or, with text NULL, bytes of the input line from at. */
struct form_piece {
	const char *text;
	uint32_t at;
	uint32_t size;
};
#define FORM_MAX_PIECES 8

/* The pieces of one row; id_text is where the made id stands. */
struct form_line {
	struct form_piece pieces[FORM_MAX_PIECES];
	size_t count;
	char id_text[64];
};

void form_init(struct form *form, const struct job *job);
/* From here on every line is sent with this url. record_row.wire_length does not know of it. */
void form_set_url(struct form *form, const char *url);
void form_release(struct form *form);
#define auto_form __attribute__((cleanup(form_release))) struct form

/*
 * The row's line as it is sent, its newline included. ret_line points into form and into itself:
 * never copy it.
 */
void form_line(const struct form *form, const struct record_row *row, struct form_line *ret_line);
/* Its size in bytes: what record_row.wire_length must be, unless there is a url that was set. */
int64_t form_wire_length(const struct form *form, const struct record_row *row);

/* The custom_id that it is sent with, as written. Errors as row_id_read. */
int form_row_id(const struct form *form, const struct vault_reader *input, const struct record_row *row,
		struct row_id *ret_id, struct error *err);
/*
 * The id_hash of the row that a decoded custom_id may belong to: of those, form_row_id tells which
 * one it is. 0, which is no line's number, for one that is nobody's.
 */
uint64_t form_id_hash(const struct form *form, uint64_t id_key, const char *id, size_t size);

#endif
