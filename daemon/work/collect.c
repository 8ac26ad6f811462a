#include "daemon/work/collect.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/alloc.h"
#include "daemon/base/cleanup.h"
#include "daemon/base/error.h"
#include "daemon/base/hash.h"
#include "daemon/io/vault.h"
#include "daemon/model/answer.h"
#include "daemon/model/job.h"
#include "daemon/work/lines.h"
#include "daemon/work/row_id.h"
#include "daemon/work/rows.h"

#define MEMBERS_A_SLICE 16384

/* As long as an id can be written: every byte of the longest one as \u00XX. */
#define MAX_WRITTEN_ID (6 * REQUEST_MAX_CUSTOM_ID)

/* A row of the shard, and the answer that counts for it. */
struct member {
	uint64_t id_hash;
	uint64_t id_offset; /* of the bytes between the quotes, in the input */
	uint64_t answer_offset;
	uint32_t answer_length;
	uint32_t row;
	uint32_t wire_length;
	uint32_t input_tokens;
	uint32_t output_tokens;
	uint16_t id_length;
	uint16_t status;
	uint8_t source; /* 'o' or 'e'; 0: not answered */
	uint8_t answer; /* enum answer_kind */
	uint8_t kind;   /* enum outcome_kind, at the end */
	bool is_free;   /* it cost no attempt */
};

struct collect {
	struct vault *vault;
	int64_t job;
	int64_t shard;
	int64_t attempt;
	struct collect_plan plan;
	struct collect_result result;
	size_t phase;
	int failure; /* of a slice: a line may be lost, so there is no going on */
	struct vault_reader input;
	struct rows_reader rows;
	struct rows_reader member_rows;
	struct member *members; /* in the order of shard-N.rows */
	size_t count;
	size_t loaded;
	uint32_t *slots; /* open addressing by id_hash: number of the member plus 1, 0 is free */
	size_t slot_mask;
	bool is_open; /* lines reads the download of this phase */
	struct lines lines;
};

/* What becomes of a row, before it is asked whether it may be tried again. */
struct verdict {
	enum outcome_kind kind;
	bool is_free;
};

/* clang-format off */
static const struct verdict verdicts_by_answer[] = {
	[ANSWER_OK]        = { OUTCOME_OK,     false },
	[ANSWER_FAILED]    = { OUTCOME_FAILED, false },
	[ANSWER_AGAIN]     = { OUTCOME_AGAIN,  false },
	[ANSWER_EXPIRED]   = { OUTCOME_AGAIN,  true  },
	[ANSWER_CANCELLED] = { OUTCOME_AGAIN,  true  },
};

static const struct verdict verdicts_by_end[] = {
	[COLLECT_COMPLETED] = { OUTCOME_MISSING, false },
	[COLLECT_EXPIRED]   = { OUTCOME_AGAIN,   true  },
	[COLLECT_CANCELLED] = { OUTCOME_AGAIN,   true  },
	[COLLECT_REFUSED]   = { OUTCOME_REFUSED, true  },
};

static const size_t tallies[] = {
	[OUTCOME_OK]        = offsetof(struct collect_result, ok),
	[OUTCOME_FAILED]    = offsetof(struct collect_result, failed),
	[OUTCOME_CANCELLED] = offsetof(struct collect_result, cancelled),
	[OUTCOME_EXPIRED]   = offsetof(struct collect_result, expired),
	[OUTCOME_MISSING]   = offsetof(struct collect_result, missing),
	[OUTCOME_REFUSED]   = offsetof(struct collect_result, failed),
};
/* clang-format on */

static void enter(struct collect *collect, size_t number)
{
	size_t slot = collect->members[number].id_hash & collect->slot_mask;

	while (collect->slots[slot])
		slot = (slot + 1) & collect->slot_mask;
	collect->slots[slot] = (uint32_t)number + 1;
}

static int load_member(struct collect *collect, struct error *err)
{
	struct member *member = &collect->members[collect->loaded];
	struct record_member record;
	struct record_row row;
	int r = rows_read(&collect->member_rows, (int64_t)collect->loaded, &record, err);

	if (!r)
		r = rows_read(&collect->rows, record.row, &row, err);
	if (r)
		return r == -ERANGE ? error_set(err, -EUCLEAN,
						"shard %" PRId64 " has row %" PRIu32
						", which job %" PRId64 " has not",
						collect->shard, record.row, collect->job)
				    : r;
	if (row.id_length > REQUEST_MAX_CUSTOM_ID ||
	    (collect->loaded && record.row <= member[-1].row))
		return error_set(err, -EUCLEAN,
				 "the rows of shard %" PRId64 " are damaged at number %zu",
				 collect->shard, collect->loaded);
	*member = (struct member){
		.id_hash = row.id_hash,
		.id_offset = row.offset + row.id_at,
		.id_length = (uint16_t)row.id_length,
		.row = record.row,
		.wire_length = row.wire_length,
	};
	enter(collect, collect->loaded++);
	return 0;
}

static int load_members(struct collect *collect, struct error *err)
{
	for (size_t i = 0; i < MEMBERS_A_SLICE && collect->loaded < collect->count; i++) {
		int r = load_member(collect, err);

		if (r)
			return r;
	}
	if (collect->loaded < collect->count)
		return 1;
	rows_release(&collect->rows);
	rows_release(&collect->member_rows);
	return 0;
}

/* Whether the input line of a member has this id, decoded: equal hashes prove nothing. */
static int compare(struct collect *collect, const struct member *member, const char *id,
		   size_t size, bool *ret_is_equal, struct error *err)
{
	char decoded[REQUEST_MAX_CUSTOM_ID];
	struct row_id own;
	size_t own_size;
	int r = row_id_read(&collect->input, (int64_t)member->id_offset, member->id_length, &own,
			    err);

	if (r)
		return r;
	own_size = row_id_decode(&own, decoded);
	if (hash_keyed(collect->plan.id_key, decoded, own_size) != member->id_hash)
		return error_set(err, -EUCLEAN,
				 "the input is damaged: row %" PRIu32 " has another custom_id",
				 member->row);
	*ret_is_equal = own_size == size && memcmp(decoded, id, size) == 0;
	return 0;
}

/*
 * Decodes an answer's custom_id. False when it can be nobody's: answers may hold half of a
 * surrogate pair, which decodes like the U+FFFD of another id; input lines may not.
 */
static bool decode_id(const char *line, struct scan_span span, char *ret_id, size_t *ret_size)
{
	struct scan scan;

	if (span.size > MAX_WRITTEN_ID)
		return false;
	scan_init(&scan, line + span.at - 1, span.size + 2);
	if (scan_value(&scan, NULL, NULL))
		return false;
	*ret_size = scan_decode(line, span, ret_id);
	return true;
}

/* The member that an answer belongs to; NULL for nobody's. */
static int find(struct collect *collect, const char *line, struct scan_span span,
		struct member **ret_member, struct error *err)
{
	char id[MAX_WRITTEN_ID];
	uint64_t hash;
	size_t size;

	*ret_member = NULL;
	if (!decode_id(line, span, id, &size))
		return 0;
	hash = hash_keyed(collect->plan.id_key, id, size);
	for (size_t slot = hash & collect->slot_mask; collect->slots[slot];
	     slot = (slot + 1) & collect->slot_mask) {
		struct member *member = &collect->members[collect->slots[slot] - 1];
		bool is_equal = false;
		int r = member->id_hash == hash ? compare(collect, member, id, size, &is_equal, err)
						: 0;

		if (r)
			return r;
		if (is_equal) {
			*ret_member = member;
			return 0;
		}
	}
	return 0;
}

static uint32_t clamp_tokens(int64_t tokens)
{
	if (tokens < 0)
		return 0;
	return tokens > UINT32_MAX ? UINT32_MAX : (uint32_t)tokens;
}

static int take_line(struct collect *collect, const struct line *line, char source,
		     struct error *err)
{
	struct member *member;
	struct answer answer;
	int r;

	if (line->is_too_long || answer_parse(line->bytes, line->size, &answer, NULL)) {
		collect->result.unreadable++;
		return 0;
	}
	r = find(collect, line->bytes, answer.custom_id, &member, err);
	if (r)
		return r;
	if (!member) {
		collect->result.unknown++;
		return 0;
	}
	if (member->source) {
		collect->result.twice++;
		if (member->answer == ANSWER_OK || answer.kind != ANSWER_OK)
			return 0;
	}
	member->source = (uint8_t)source;
	member->answer = (uint8_t)answer.kind;
	member->answer_offset = (uint64_t)line->offset;
	member->answer_length = (uint32_t)line->size;
	member->status = (uint16_t)answer.status;
	member->input_tokens = clamp_tokens(answer.input_tokens);
	member->output_tokens = clamp_tokens(answer.output_tokens);
	return 0;
}

/* Opens the download that this phase is about. 1: it is open; 0: there is none. */
static int open_download(struct collect *collect, const char *suffix, struct error *err)
{
	auto_free char *name = rows_download_name(collect->shard, suffix);
	struct vault_reader reader;
	struct error why = {0};
	int r = vault_open_record(collect->vault, collect->job, name, &reader, &why);

	if (r == -ENOENT)
		return 0;
	if (r)
		return error_set(err, r, "%s", why.text);
	lines_init(&collect->lines, &reader);
	collect->is_open = true;
	return 1;
}

static int read_download(struct collect *collect, const char *suffix, struct error *err)
{
	struct line line;
	int r = collect->is_open ? 1 : open_download(collect, suffix, err);

	if (r != 1)
		return r;
	r = lines_fill(&collect->lines, err);
	if (r < 0)
		return r;
	while (lines_next(&collect->lines, &line)) {
		int failure = take_line(collect, &line, suffix[0], err);

		if (failure)
			return failure;
	}
	if (r == 0) {
		lines_release(&collect->lines);
		collect->is_open = false;
	}
	return r;
}

static int read_output(struct collect *collect, struct error *err)
{
	return read_download(collect, "out", err);
}

static int read_errors(struct collect *collect, struct error *err)
{
	return read_download(collect, "err", err);
}

static void conclude(struct collect *collect, struct member *member)
{
	const struct collect_plan *plan = &collect->plan;
	struct collect_result *result = &collect->result;
	struct verdict verdict =
		member->source ? verdicts_by_answer[member->answer] : verdicts_by_end[plan->end];

	if (verdict.kind == OUTCOME_AGAIN && plan->is_job_cancelled)
		verdict.kind = verdict.is_free ? OUTCOME_CANCELLED : OUTCOME_FAILED;
	if (verdict.kind == OUTCOME_AGAIN && !verdict.is_free &&
	    collect->attempt >= plan->max_attempts)
		verdict.kind = OUTCOME_FAILED;
	member->kind = (uint8_t)verdict.kind;
	member->is_free = verdict.is_free;
	result->input_tokens += member->input_tokens;
	result->output_tokens += member->output_tokens;
	if (verdict.kind == OUTCOME_AGAIN) {
		result->again[!verdict.is_free]++;
		result->again_bytes[!verdict.is_free] += member->wire_length;
	} else {
		++*(int64_t *)(void *)((char *)result + tallies[verdict.kind]);
	}
}

static int conclude_all(struct collect *collect, struct error *err)
{
	(void)err;
	for (size_t i = 0; i < collect->count; i++)
		conclude(collect, &collect->members[i]);
	return 0;
}

static int (*const phases[])(struct collect *collect, struct error *err) = {
	load_members,
	read_output,
	read_errors,
	conclude_all,
};

static struct record_outcome outcome_of(const struct collect *collect, const struct member *member)
{
	int64_t attempts = collect->attempt - member->is_free;

	if (attempts < 0)
		attempts = 0;
	return (struct record_outcome){
		.offset = member->answer_offset,
		.length = member->answer_length,
		.shard = (uint32_t)collect->shard,
		.input_tokens = member->input_tokens,
		.output_tokens = member->output_tokens,
		.status = member->status,
		.kind = member->kind,
		.source = member->source,
		.attempts = attempts > UINT8_MAX ? UINT8_MAX : (uint8_t)attempts,
	};
}

static int keep_outcomes(struct collect *collect, struct error *err)
{
	auto_free char *name = rows_done_name(collect->shard);
	struct rows_writer writer;
	int r = 0;

	rows_writer_init(&writer, collect->vault, RECORD_OUTCOMES);
	for (size_t i = 0; !r && i < collect->count; i++) {
		struct record_outcome outcome = outcome_of(collect, &collect->members[i]);

		r = rows_write(&writer, &outcome, err);
	}
	if (!r)
		r = rows_writer_keep(&writer, collect->job, name, err);
	rows_writer_release(&writer);
	return r;
}

/* Keeps the members of the shard that rows go to which must be tried again and cost an attempt, or
 * none. */
static int keep_members(struct collect *collect, bool is_free, int64_t number, struct error *err)
{
	auto_free char *name = rows_members_name(number);
	struct rows_writer writer;
	int r = 0;

	rows_writer_init(&writer, collect->vault, RECORD_MEMBERS);
	for (size_t i = 0; !r && i < collect->count; i++) {
		const struct member *member = &collect->members[i];
		struct record_member record = {.row = member->row};

		if (member->kind == OUTCOME_AGAIN && member->is_free == is_free)
			r = rows_write(&writer, &record, err);
	}
	if (!r)
		r = rows_writer_keep(&writer, collect->job, name, err);
	rows_writer_release(&writer);
	return r;
}

static int open_all(struct collect *collect, int64_t input_file, struct error *err)
{
	auto_free char *name = rows_members_name(collect->shard);
	int r = vault_open_file(collect->vault, input_file, &collect->input, err);

	if (!r)
		r = rows_open(&collect->rows, collect->vault, collect->job, ROWS_NAME, RECORD_ROWS,
			      err);
	if (!r)
		r = rows_open(&collect->member_rows, collect->vault, collect->job, name,
			      RECORD_MEMBERS, err);
	if (r)
		return r;
	/* Rows are numbered in 32 bits, and no shard has more of them than its job. */
	if (collect->member_rows.count > collect->rows.count || collect->rows.count > UINT32_MAX)
		return error_set(err, -EUCLEAN, "job %" PRId64 ": %s has more rows than the job",
				 collect->job, name);
	return 0;
}

int collect_new(struct vault *vault, const struct job *job, const struct shard *shard,
		const struct collect_plan *plan, struct collect **ret_collect, struct error *err)
{
	struct collect *collect = xcalloc(1, sizeof(*collect));
	size_t slots = 2;
	int r;

	collect->vault = vault;
	collect->job = job->id;
	collect->shard = shard->number;
	collect->attempt = shard->attempt;
	collect->plan = *plan;
	collect->input = VAULT_READER_NONE;
	r = open_all(collect, job->input_file, err);
	if (r) {
		collect_free(collect);
		return r;
	}
	collect->count = (size_t)collect->member_rows.count;
	while (slots < 2 * collect->count)
		slots *= 2;
	collect->members = xcalloc(collect->count, sizeof(*collect->members));
	collect->slots = xcalloc(slots, sizeof(*collect->slots));
	collect->slot_mask = slots - 1;
	*ret_collect = collect;
	return 0;
}

int collect_slice(struct collect *collect, struct error *err)
{
	int r;

	if (collect->failure)
		return error_set(err, collect->failure,
				 "the answers of shard %" PRId64 " were not read", collect->shard);
	if (collect->phase == ARRAY_SIZE(phases))
		return 0;
	r = phases[collect->phase](collect, err);
	if (r < 0)
		collect->failure = r;
	if (r)
		return r;
	return ++collect->phase < ARRAY_SIZE(phases);
}

const struct collect_result *collect_result(const struct collect *collect)
{
	return &collect->result;
}

int collect_keep(struct collect *collect, int64_t next_number, struct error *err)
{
	int r;

	assert(collect->phase == ARRAY_SIZE(phases));
	r = keep_outcomes(collect, err);
	for (size_t is_paid = 0; !r && is_paid < ARRAY_SIZE(collect->result.again); is_paid++)
		if (collect->result.again[is_paid])
			r = keep_members(collect, !is_paid, next_number++, err);
	return r;
}

void collect_free(struct collect *collect)
{
	if (!collect)
		return;
	if (collect->is_open)
		lines_release(&collect->lines);
	rows_release(&collect->member_rows);
	rows_release(&collect->rows);
	vault_reader_release(&collect->input);
	free(collect->slots);
	free(collect->members);
	free(collect);
}
