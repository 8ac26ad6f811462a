/*
 * The fixed-size records of a job's files, as they stand on disk: one per request, each with a
 * check of its own, behind a header that tells what they are. A record file is written whole,
 * flushed and renamed, so its length tells how many records it has.
 *
 * Records are in the byte order of the machine; the header's magic number tells a file of
 * another order apart, and it is refused.
 */
#ifndef BATCHD_MODEL_RECORD_H
#define BATCHD_MODEL_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RECORD_HEADER_SIZE 32

enum record_kind {
	RECORD_ROWS = 1,     /* jobs/JOB/rows: struct record_row, in the order of the input */
	RECORD_MEMBERS = 2,  /* jobs/JOB/shard-N.rows: struct record_member, ascending */
	RECORD_OUTCOMES = 3, /* jobs/JOB/shard-N.done: struct record_outcome, in the order of shard-N.rows */
};

/* Where a request lies in the input, and what is needed to send and to find it again. Offsets
   of fields count from the start of the line; sizes are bytes between the quotes. */
struct record_row {
	uint64_t offset; /* of the line, in the input */
	uint64_t id_hash; /* hash_keyed of the decoded custom_id; the line's number, from 1, where ids are made of that */
	uint32_t length; /* of the line without its newline */
	uint32_t wire_length; /* of the line as sent, newline included */
	uint32_t id_at;
	uint32_t id_length;
	uint32_t url_at;
	uint32_t model_at;
	uint32_t inputs; /* embedding inputs */
	uint16_t url_length;
	uint16_t model_length;
	uint16_t group; /* number of its (model, url) within the job, from 0 */
	uint16_t line_check; /* record_row_check of the line's bytes; 0: none was kept */
	uint32_t check;
};

struct record_member {
	uint32_t row;	/* from 0 */
	uint32_t check; /* of the row number: a flipped bit must not send another request */
};

/* How one request ended, or that it did not yet. Numbers are on disk: never change one. */
enum outcome_kind {
	OUTCOME_NONE = 0,      /* no answer known */
	OUTCOME_OK = 1,
	OUTCOME_FAILED = 2,    /* final; the provider's line says why */
	OUTCOME_AGAIN = 3,     /* went to a new shard; superseded by its outcome there */
	OUTCOME_EXPIRED = 4,   /* the batch expired before it ran, and no attempt is left */
	OUTCOME_CANCELLED = 5, /* never ran: the job was cancelled */
	OUTCOME_MISSING = 6,   /* the batch ended without an answer for it */
	OUTCOME_REFUSED = 7,   /* never ran: its shard was refused for good, whose refusal says why */
	OUTCOME_LOST = 8,      /* its answer was made, or may have been, and cannot be had */
};

struct record_outcome {
	uint64_t offset;  /* of the answer line, in the file that source names */
	uint32_t length;  /* of the answer line without its newline; 0: there is none */
	uint32_t shard;	  /* number of the shard that it came from */
	uint32_t input_tokens;	/* of usage, 0 where unknown */
	uint32_t output_tokens;
	uint16_t status;  /* HTTP status inside the answer, 0: none */
	uint8_t kind;	  /* enum outcome_kind */
	uint8_t source;	  /* 'o': shard-N.out, 'e': shard-N.err, 0: no line */
	uint8_t attempts; /* made for this request, this one included */
	uint8_t zero[3];
	uint32_t check;
	uint32_t line_check; /* record_answer_check of the line's bytes, beyond the record's own check; 0: none was kept */
};

/* Bytes of one record of a kind. */
size_t record_size(enum record_kind kind);

/* Writes the RECORD_HEADER_SIZE bytes at the start of a file. */
void record_header(enum record_kind kind, uint8_t *ret_header);
/* Checks a header: 0, or -EUCLEAN when the file is of another kind, version or byte order, or damaged. */
int record_header_check(enum record_kind kind, const uint8_t *header);

/* Fills in a record's check, and tests it: 0 or -EUCLEAN. record is one of the structs above, of kind. */
void record_seal(enum record_kind kind, void *record);
int record_verify(enum record_kind kind, const void *record);

/*
 * The checks of a line, of its bytes' hash_digest; never 0. By them it is known whether what stands there now is what
 * the record was made of.
 */
uint16_t record_row_check(uint64_t digest);
uint32_t record_answer_check(uint64_t digest);
/* Whether a line with this digest is the one of the record; of a record that kept no check any is. */
bool record_row_fits(const struct record_row *row, uint64_t digest);
bool record_answer_fits(uint32_t line_check, uint64_t digest);

#endif
