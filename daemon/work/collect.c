#include "daemon/work/collect.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "daemon/base/alloc.h"
#include "daemon/base/cleanup.h"
#include "daemon/base/error.h"
#include "daemon/base/hash.h"
#include "daemon/io/vault.h"
#include "daemon/model/answer.h"
#include "daemon/work/api_words.h"
#include "daemon/work/failures.h"
#include "daemon/work/lines.h"
#include "daemon/work/members.h"
#include "daemon/work/rows.h"

/* Of the last phase: rows, and bytes of the answers of those that failed. */
#define ROWS_A_SLICE 16384
#define BYTES_A_SLICE (1024 * 1024)
/* Bytes of a failure's words that are looked at. */
#define MAX_WORDS ((size_t)400)

struct collect {
	struct vault *vault;
	int64_t job;
	int64_t shard;
	int64_t attempt;
	int64_t redone;
	int64_t promised; /* answers that the batch says it completed */
	int64_t word;	  /* enum shard_word */
	struct collect_plan plan;
	enum collect_end end; /* as the plan has it, until the answers say otherwise */
	struct collect_result result;
	size_t phase;
	int failure; /* of a slice: a line may be lost, so there is no going on */
	struct members members;
	size_t concluded;  /* of the members */
	int64_t delivered; /* answers that count as completed */
	int64_t unanswered;
	bool is_open; /* lines reads the download of this phase */
	struct lines lines;
	struct failures *failures;
};

/* What becomes of a row, before it is asked whether it may be tried again. */
struct verdict {
	enum outcome_kind kind;
	bool is_free;
	bool is_moved;
};

/* clang-format off */
static const struct verdict verdicts_by_answer[] = {
	[ANSWER_OK]        = { OUTCOME_OK,     false, false },
	[ANSWER_FAILED]    = { OUTCOME_FAILED, false, false },
	[ANSWER_AGAIN]     = { OUTCOME_AGAIN,  false, false },
	[ANSWER_EXPIRED]   = { OUTCOME_AGAIN,  true,  false },
	[ANSWER_CANCELLED] = { OUTCOME_AGAIN,  true,  false },
};

static const struct verdict verdicts_by_end[] = {
	[COLLECT_COMPLETED] = { OUTCOME_MISSING, false, false },
	[COLLECT_LOST]      = { OUTCOME_LOST,    false, false },
	[COLLECT_EXPIRED]   = { OUTCOME_AGAIN,   true,  false },
	[COLLECT_CANCELLED] = { OUTCOME_AGAIN,   true,  false },
	[COLLECT_REFUSED]   = { OUTCOME_REFUSED, true,  false },
	[COLLECT_INVALID]   = { OUTCOME_AGAIN,   true,  false },
};

static const size_t tallies[] = {
	[OUTCOME_OK]        = offsetof(struct collect_result, ok),
	[OUTCOME_FAILED]    = offsetof(struct collect_result, failed),
	[OUTCOME_CANCELLED] = offsetof(struct collect_result, cancelled),
	[OUTCOME_EXPIRED]   = offsetof(struct collect_result, expired),
	[OUTCOME_MISSING]   = offsetof(struct collect_result, missing),
	[OUTCOME_REFUSED]   = offsetof(struct collect_result, failed),
	[OUTCOME_LOST]      = offsetof(struct collect_result, lost),
};
/* clang-format on */

static int load_members(struct collect *collect, struct error *err)
{
	return members_load(&collect->members, err);
}

static uint32_t clamp_tokens(int64_t tokens)
{
	if (tokens < 0)
		return 0;
	return tokens > UINT32_MAX ? UINT32_MAX : (uint32_t)tokens;
}

/* Whether the failure is that the provider does not have what was asked for: by its code, or by the words of a 404. */
static bool says_elsewhere(const struct collect *collect, const struct line *line, const struct answer *answer)
{
	size_t size = answer->error_message.size < MAX_WORDS ? answer->error_message.size : MAX_WORDS;
	auto_free char *code = NULL;
	auto_free char *words = NULL;

	if (!collect->plan.has_next || answer->kind != ANSWER_FAILED || answer->error_code.size > MAX_WORDS)
		return false;
	code = xmemdup0(line->bytes + answer->error_code.at, answer->error_code.size);
	words = xmemdup0(line->bytes + answer->error_message.at, size);
	return api_says_elsewhere(code, answer->status == 404 ? words : NULL);
}

static int take_line(struct collect *collect, const struct line *line, char source, struct error *err)
{
	struct member *member;
	struct answer answer;
	int r;

	if (line->is_too_long || answer_parse(line->bytes, line->size, &answer, NULL)) {
		collect->result.unreadable++;
		return 0;
	}
	r = members_find(&collect->members, line->bytes, answer.custom_id, &member, err);
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
	member->answer_check = record_answer_check(hash_digest(line->bytes, line->size));
	member->status = (uint16_t)answer.status;
	member->is_elsewhere = says_elsewhere(collect, line, &answer);
	member->input_tokens = clamp_tokens(answer.input_tokens);
	member->output_tokens = clamp_tokens(answer.output_tokens);
	return 0;
}

/* Opens the download that this phase is about. 1: it is open; 0: there is none. */
static int open_download(struct collect *collect, const char *suffix, struct error *err)
{
	auto_free char *name = rows_download_name(collect->shard, suffix);
	struct vault_reader reader;
	struct error why = { 0 };
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

/* --- what cannot be had --- */

/* Whether the answer is one of those that a batch counts as completed: what stands among the failures is none. */
static bool is_delivered(const struct member *member)
{
	return member->source && !verdicts_by_answer[member->answer].is_free &&
	       (member->answer == ANSWER_OK || member->source == 'o');
}

static void count_answers(struct collect *collect)
{
	for (size_t i = 0; i < collect->members.count; i++) {
		collect->unanswered += !collect->members.list[i].source;
		collect->delivered += is_delivered(&collect->members.list[i]);
	}
}

/*
 * Of the rows without an answer, how many may have been answered: all, where the batch did its work; where it did not come to its
 * end, those that it says it completed and does not deliver.
 */
static int64_t count_doubtful(struct collect *collect)
{
	int64_t shortfall = collect->promised - collect->delivered;

	switch (collect->end) {
	case COLLECT_COMPLETED:
	case COLLECT_LOST:
		return collect->unanswered;
	case COLLECT_EXPIRED:
	case COLLECT_CANCELLED:
		if (shortfall > collect->unanswered)
			shortfall = collect->unanswered;
		return shortfall > 0 ? shortfall : 0;
	case COLLECT_REFUSED:
	case COLLECT_INVALID:
		break;
	}
	return 0;
}

/* "1 %" of a small shard is less than one row, and one row may go. */
static int64_t most_resent(const struct collect *collect)
{
	int64_t most = collect->result.rows * collect->plan.resend_lost / 10000;

	return collect->plan.resend_lost && !most ? 1 : most;
}

/* Decides about the rows whose answers cannot be had. */
static void decide(struct collect *collect)
{
	struct collect_result *result = &collect->result;
	/* Else they are among others that never ran, and which they are cannot be told. */
	bool is_certain = result->doubtful == collect->unanswered;
	bool is_used_up = is_certain && collect->attempt >= collect->plan.max_attempts;
	bool is_final = collect->plan.is_job_cancelled || collect->word == SHARD_WORD_ACCEPT ||
			(collect->word == SHARD_WORD_NONE && is_used_up);
	bool goes = !is_final && (collect->word == SHARD_WORD_RESEND || result->doubtful <= result->most_resent);

	result->resent = goes ? result->doubtful : 0;
	result->is_held = !is_final && !goes;
	/* Who does not want to pay twice does not want it for those either that may only have run. */
	if (collect->end != COLLECT_LOST && (is_certain || collect->word == SHARD_WORD_ACCEPT))
		collect->end = COLLECT_COMPLETED;
}

static int weigh(struct collect *collect, struct error *err)
{
	struct collect_result *result = &collect->result;

	(void)err;
	count_answers(collect);
	result->doubtful = count_doubtful(collect);
	result->most_resent = most_resent(collect);
	if (result->doubtful)
		decide(collect);
	result->is_given_up = collect->end == COLLECT_INVALID && collect->redone >= COLLECT_MOST_ROUNDS &&
			      collect->unanswered && !collect->plan.is_job_cancelled;
	if (result->is_given_up)
		failures_refusal(collect->failures, COLLECT_GIVEN_UP_CODE, COLLECT_GIVEN_UP_WORDS);
	return 0;
}

/* --- the outcomes --- */

/* What a row that did not run is, of a job that shall end. */
static enum outcome_kind unwanted(const struct collect *collect)
{
	return collect->plan.is_job_expired ? OUTCOME_EXPIRED : OUTCOME_CANCELLED;
}

static struct verdict judge_unanswered(const struct collect *collect)
{
	struct verdict verdict = verdicts_by_end[collect->end];
	bool is_doubtful = verdict.kind == OUTCOME_MISSING || verdict.kind == OUTCOME_LOST;

	if (is_doubtful && collect->result.resent)
		verdict.kind = OUTCOME_AGAIN;
	if (verdict.kind == OUTCOME_AGAIN && collect->plan.is_job_cancelled)
		verdict.kind = unwanted(collect);
	if (collect->result.is_given_up)
		verdict.kind = OUTCOME_REFUSED;
	return verdict;
}

/* Whether the next provider may have the row, which this one has no success for. */
static bool may_move(const struct collect *collect, const struct member *member)
{
	const struct load_limits *limits = &collect->plan.next_limits;
	struct load load;

	if (!collect->plan.has_next || collect->plan.is_job_cancelled)
		return false;
	load = load_of_request(limits, member->wire_length, member->inputs);
	return load_excess_of(limits, &load) == LOAD_FITS;
}

static struct verdict judge_answered(const struct collect *collect, const struct member *member)
{
	static const struct verdict moved = { OUTCOME_AGAIN, false, true };
	struct verdict verdict = verdicts_by_answer[member->answer];
	bool is_invalid = collect->end == COLLECT_INVALID;
	/* A validation that calls its lines late must not send them round for ever. */
	bool is_free = verdict.is_free && !(is_invalid && collect->redone >= COLLECT_MOST_ROUNDS);
	bool is_used_up = member->answer == ANSWER_AGAIN && !is_invalid && collect->attempt >= collect->plan.max_attempts;

	if ((member->is_elsewhere || is_used_up) && may_move(collect, member))
		return moved;
	if (verdict.kind != OUTCOME_AGAIN)
		return verdict;
	if (verdict.is_free && collect->plan.is_job_cancelled)
		verdict.kind = unwanted(collect);
	else if (is_free)
		verdict.kind = OUTCOME_AGAIN;
	/* What else a validation says of a line is final, whatever its code is. */
	else if (collect->plan.is_job_cancelled || collect->attempt >= collect->plan.max_attempts ||
		 (is_invalid && (verdict.is_free || !member->status)))
		verdict.kind = OUTCOME_FAILED;
	return verdict;
}

/* The provider says that it was cancelled, which is our doing and not why the request has no answer. */
static void drop_line(struct member *member)
{
	member->source = 0;
	member->status = 0;
	member->answer_offset = 0;
	member->answer_length = 0;
	member->answer_check = 0;
}

/* Of a row that goes again: its place in collect_result.again. */
static size_t again_kind(const struct member *member)
{
	return member->is_moved ? 2 : !member->is_free;
}

static void conclude(struct collect *collect, struct member *member)
{
	struct collect_result *result = &collect->result;
	struct verdict verdict = member->source ? judge_answered(collect, member) : judge_unanswered(collect);

	member->kind = (uint8_t)verdict.kind;
	member->is_free = verdict.is_free;
	member->is_moved = verdict.is_moved;
	if (verdict.kind == OUTCOME_EXPIRED)
		drop_line(member);
	result->input_tokens += member->input_tokens;
	result->output_tokens += member->output_tokens;
	if (verdict.kind == OUTCOME_AGAIN) {
		const struct load_limits *limits =
			verdict.is_moved ? &collect->plan.next_limits : &collect->plan.limits;
		struct load load = load_of_request(limits, member->wire_length, member->inputs);

		load_add(&result->again[again_kind(member)], &load);
	} else {
		++*(int64_t *)(void *)((char *)result + tallies[verdict.kind]);
	}
}

static bool is_failure(const struct member *member)
{
	return member->kind == OUTCOME_FAILED || member->kind == OUTCOME_MISSING || member->kind == OUTCOME_LOST ||
	       member->kind == OUTCOME_REFUSED;
}

static int conclude_some(struct collect *collect, struct error *err)
{
	size_t end = collect->concluded + ROWS_A_SLICE;
	int64_t bytes = 0;

	if (end > collect->members.count)
		end = collect->members.count;
	while (collect->concluded < end && bytes < BYTES_A_SLICE) {
		struct member *member = &collect->members.list[collect->concluded++];
		int64_t got = 0;

		conclude(collect, member);
		if (is_failure(member))
			got = failures_add(collect->failures, member, err);
		if (got < 0)
			return (int)got;
		bytes += got;
	}
	return collect->concluded < collect->members.count;
}

static int conclude_unless_held(struct collect *collect, struct error *err)
{
	return collect->result.is_held ? 0 : conclude_some(collect, err);
}

static int (*const phases[])(struct collect *collect, struct error *err) = {
	load_members,
	read_output,
	read_errors,
	weigh,
	conclude_unless_held,
};

/* --- what is kept --- */

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
		.line_check = member->answer_check,
	};
}

static int keep_outcomes(struct collect *collect, struct error *err)
{
	auto_free char *name = rows_done_name(collect->shard);
	struct rows_writer writer;
	int r = 0;

	rows_writer_init(&writer, collect->vault, RECORD_OUTCOMES);
	for (size_t i = 0; !r && i < collect->members.count; i++) {
		struct record_outcome outcome = outcome_of(collect, &collect->members.list[i]);

		r = rows_write(&writer, &outcome, err);
	}
	if (!r)
		r = rows_writer_keep(&writer, collect->job, name, err);
	rows_writer_release(&writer);
	return r;
}

/* Keeps the members of the shard that rows of a kind go to which must be tried again. */
static int keep_members(struct collect *collect, size_t kind, int64_t number, struct error *err)
{
	auto_free char *name = rows_members_name(number);
	struct rows_writer writer;
	int r = 0;

	rows_writer_init(&writer, collect->vault, RECORD_MEMBERS);
	for (size_t i = 0; !r && i < collect->members.count; i++) {
		const struct member *member = &collect->members.list[i];
		struct record_member record = { .row = member->row };

		if (member->kind == OUTCOME_AGAIN && again_kind(member) == kind)
			r = rows_write(&writer, &record, err);
	}
	if (!r)
		r = rows_writer_keep(&writer, collect->job, name, err);
	rows_writer_release(&writer);
	return r;
}

int collect_new(struct vault *vault, const struct job *job, const struct shard *shard,
		const struct collect_plan *plan, struct collect **ret_collect, struct error *err)
{
	struct collect *collect = xcalloc(1, sizeof(*collect));
	int r;

	collect->vault = vault;
	collect->job = job->id;
	collect->shard = shard->number;
	collect->attempt = shard->attempt;
	collect->redone = shard->redone;
	collect->promised = shard->remote_completed;
	collect->word = shard->word == SHARD_WORD_ASKED ? SHARD_WORD_NONE : shard->word;
	collect->plan = *plan;
	collect->end = plan->end;
	r = members_open(&collect->members, vault, job, shard->number, plan->id_key, err);
	if (!r)
		r = failures_new(vault, job->id, shard, &collect->failures, err);
	if (r) {
		collect_free(collect);
		return r;
	}
	collect->result.rows = (int64_t)collect->members.count;
	*ret_collect = collect;
	return 0;
}

int collect_slice(struct collect *collect, struct error *err)
{
	int r;

	if (collect->failure)
		return error_set(err, collect->failure, "the answers of shard %" PRId64 " were not read", collect->shard);
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

const struct digest *collect_digest(const struct collect *collect)
{
	return failures_digest(collect->failures);
}

int collect_keep(struct collect *collect, int64_t next_number, struct error *err)
{
	int r;

	assert(collect->phase == ARRAY_SIZE(phases) && !collect->result.is_held);
	r = keep_outcomes(collect, err);
	for (size_t kind = 0; !r && kind < ARRAY_SIZE(collect->result.again); kind++)
		if (collect->result.again[kind].requests)
			r = keep_members(collect, kind, next_number++, err);
	return r;
}

void collect_free(struct collect *collect)
{
	if (!collect)
		return;
	if (collect->is_open)
		lines_release(&collect->lines);
	members_release(&collect->members);
	failures_free(collect->failures);
	free(collect);
}
