#include "daemon/work/failures.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/alloc.h"
#include "daemon/base/buffer.h"
#include "daemon/base/cleanup.h"
#include "daemon/base/error.h"
#include "daemon/base/hash.h"
#include "daemon/io/vault.h"
#include "daemon/model/answer.h"
#include "daemon/model/job.h"
#include "daemon/model/record.h"
#include "daemon/work/digest.h"
#include "daemon/work/members.h"
#include "daemon/work/outcomes.h"
#include "daemon/work/rows.h"
#include "daemon/work/unanswered.h"

/* The error object of rows that have no answer: made once for a kind, whatever their number. */
struct reason {
	struct buffer json;
	struct scan_span code, message;
};

struct failures {
	struct digest *digest;
	struct vault_reader output, errors;
	struct outcomes_shard shard;
	struct reason reasons[OUTCOME_LOST + 1];
	char line[FAILURES_MAX_LINE];
	char text[FAILURES_MAX_LINE]; /* code and message of a line, decoded, which never grows */
};

static int open_download(struct vault *vault, int64_t job, int64_t shard, const char *suffix,
			 struct vault_reader *ret_reader, struct error *err)
{
	auto_free char *name = rows_download_name(shard, suffix);
	struct error why = { 0 };
	int r = vault_open_record(vault, job, name, ret_reader, &why);

	return r && r != -ENOENT ? error_set(err, r, "%s", why.text) : 0;
}

int failures_new(struct vault *vault, int64_t job, const struct shard *shard, struct failures **ret_failures,
		 struct error *err)
{
	struct failures *failures = xcalloc(1, sizeof(*failures));
	int r;

	failures->digest = digest_new();
	failures->output = failures->errors = VAULT_READER_NONE;
	failures->shard = (struct outcomes_shard){
		.number = shard->number,
		.why = xstrdup(shard->refusal),
		.code = xstrdup(shard->refusal_code),
		.was_sent = shard->ended_at > 0,
	};
	r = open_download(vault, job, shard->number, "out", &failures->output, err);
	if (!r)
		r = open_download(vault, job, shard->number, "err", &failures->errors, err);
	if (r) {
		failures_free(failures);
		return r;
	}
	*ret_failures = failures;
	return 0;
}

/* Counts a row by what its line, or the reason of all like it, says. A failure without a code is known by its HTTP status. */
static void count(struct failures *failures, const struct member *member, const char *bytes, struct scan_span code,
		  struct scan_span message)
{
	char status[16];
	size_t code_size = scan_decode(bytes, code, failures->text);
	const char *words = failures->text + code_size;
	size_t words_size = scan_decode(bytes, message, failures->text + code_size);

	if (code_size)
		digest_add(failures->digest, failures->text, code_size, words, words_size, member->row);
	else
		digest_add(failures->digest, status,
			   (size_t)snprintf(status, sizeof(status), "http_%u", (unsigned)member->status), words,
			   words_size, member->row);
}

static int64_t add_answered(struct failures *failures, const struct member *member, struct error *err)
{
	const struct vault_reader *reader = member->source == 'o' ? &failures->output : &failures->errors;
	struct answer answer = { 0 };
	int64_t got = 0;

	if (member->answer_length <= sizeof(failures->line))
		got = vault_read(reader, (int64_t)member->answer_offset, failures->line, member->answer_length);
	if (got < 0)
		return error_set(err, (int)got, "cannot read a download at byte %" PRIu64 ": %s", member->answer_offset,
				 error_name((int)got));
	if (got && (!record_answer_fits(member->answer_check, hash_digest(failures->line, (size_t)got)) ||
		    answer_parse(failures->line, (size_t)got, &answer, NULL)))
		return error_set(err, -EUCLEAN,
				 "shard-%" PRId64 ".%s is damaged: at byte %" PRIu64
				 " stands another line than was collected",
				 failures->shard.number, member->source == 'o' ? "out" : "err", member->answer_offset);
	count(failures, member, failures->line, answer.error_code, answer.error_message);
	return got;
}

static void read_reason(struct reason *reason)
{
	struct scan_span *const spans[] = { &reason->code, &reason->message };
	struct scan_span name;
	struct scan scan;

	scan_init(&scan, reason->json.data, reason->json.size);
	if (scan_enter_object(&scan))
		return;
	for (size_t i = 0; i < ARRAY_SIZE(spans) && scan_next_member(&scan, &name) == 1; i++)
		if (scan_value(&scan, NULL, spans[i]))
			break;
}

static void add_unanswered(struct failures *failures, const struct member *member)
{
	struct reason *reason = &failures->reasons[member->kind];

	if (!reason->json.size) {
		unanswered_error(&reason->json, member->kind, &failures->shard);
		read_reason(reason);
	}
	count(failures, member, reason->json.data, reason->code, reason->message);
}

int64_t failures_add(struct failures *failures, const struct member *member, struct error *err)
{
	if (member->source)
		return add_answered(failures, member, err);
	add_unanswered(failures, member);
	return 0;
}

void failures_refusal(struct failures *failures, const char *code, const char *words)
{
	free(failures->shard.why);
	free(failures->shard.code);
	failures->shard.why = xstrdup(words);
	failures->shard.code = xstrdup(code);
}

const struct digest *failures_digest(const struct failures *failures)
{
	return failures->digest;
}

void failures_free(struct failures *failures)
{
	if (!failures)
		return;
	digest_free(failures->digest);
	vault_reader_release(&failures->output);
	vault_reader_release(&failures->errors);
	free(failures->shard.why);
	free(failures->shard.code);
	for (size_t i = 0; i < ARRAY_SIZE(failures->reasons); i++)
		buffer_release(&failures->reasons[i].json);
	free(failures);
}
