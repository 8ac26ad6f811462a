/* What must be so in one job: its records are whole, and every row has exactly one place to be. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/alloc.h"
#include "daemon/base/cleanup.h"
#include "daemon/base/error.h"
#include "daemon/io/spool.h"
#include "daemon/io/store.h"
#include "daemon/io/vault.h"
#include "daemon/model/job.h"
#include "daemon/model/record.h"
#include "daemon/work/downloads.h"
#include "daemon/work/form.h"
#include "daemon/work/needs.h"
#include "daemon/work/rows.h"
#include "daemon/work/skipped.h"
#include "daemon/work/verify_private.h"

/* Of an input that is known to be whole, one line of so many shows that the index is that of this input. */
#define LINES_APART 64
#define FINDINGS_OF_A_FILE 5

/* A look at one job, all of one moment. */
struct look {
	struct verify *verify;
	struct job job;
	struct form form;
	struct vault_reader input;
	bool is_input_whole; /* as far as its digest tells */
	struct rows_reader rows;
	bool has_rows;	  /* the index can be read */
	uint8_t *claimed; /* a bit for each row that a shard has, or had last */
	int64_t claims;
	bool is_in_ruins; /* what is claimed is not known, for a file is damaged */
	int64_t shard_count;
	struct downloads downloads;
};

static bool claim(struct look *look, int64_t row)
{
	uint8_t bit = (uint8_t)(1U << (row % 8));

	if (look->claimed[row / 8] & bit)
		return false;
	look->claimed[row / 8] |= bit;
	look->claims++;
	return true;
}

static void note_error(struct look *look, int64_t shard, const char *name, int code, const struct error *err)
{
	auto_free char *place = spool_job_place(look->job.id, name);

	look->is_in_ruins = true;
	verify_damage(look->verify, look->job.id, shard, place, "%s", code == -ENOENT ? "it is missing" : err->text);
}

/* --- the row index --- */

/* The id of a row is that of its line, and its hash that of this instance. */
static bool is_id_right(struct look *look, const struct record_row *row)
{
	char decoded[REQUEST_MAX_CUSTOM_ID];
	struct row_id id;

	if (!row->id_hash || look->form.has_line_ids)
		return true;
	if (row->id_length > REQUEST_MAX_CUSTOM_ID || form_row_id(&look->form, &look->input, row, &id, NULL))
		return false;
	return form_id_hash(&look->form, store_id_key(look->verify->store), decoded, row_id_decode(&id, decoded)) ==
	       row->id_hash;
}

/* One row; false when it is not what it should be, which is noted. */
static bool check_row(struct look *look, int64_t index)
{
	auto_free char *place = spool_job_place(look->job.id, ROWS_NAME);
	bool is_sample = !look->is_input_whole || index % LINES_APART == 0;
	struct error err = { 0 };
	struct record_row row;
	int r = rows_read(&look->rows, index, &row, &err);

	if (!r && (row.offset > (uint64_t)look->input.size || row.length > (uint64_t)look->input.size - row.offset))
		r = error_set(&err, -EUCLEAN, "row %" PRId64 " lies beyond the end of the input", index + 1);
	if (!r && is_sample)
		r = rows_test_line(&look->input, &row, index, &err);
	if (!r && is_sample && !is_id_right(look, &row))
		r = error_set(&err, -EUCLEAN, "row %" PRId64 " has another custom_id than its line", index + 1);
	if (r)
		verify_damage(look->verify, look->job.id, 0, place, "%s", err.text);
	return !r;
}

static void check_rows(struct look *look)
{
	int bad = 0;

	for (int64_t i = 0; i < look->rows.count && bad < FINDINGS_OF_A_FILE && !look->verify->is_enough; i++)
		bad += !check_row(look, i);
	verify_read(look->verify, look->rows.bytes.size);
}

static void open_rows(struct look *look)
{
	auto_free char *place = spool_job_place(look->job.id, ROWS_NAME);
	struct error err = { 0 };
	int r = rows_open(&look->rows, look->verify->vault, look->job.id, ROWS_NAME, RECORD_ROWS, &err);

	if (r) {
		note_error(look, 0, ROWS_NAME, r, &err);
		return;
	}
	look->has_rows = true;
	look->claimed = xcalloc((size_t)look->rows.count / 8 + 1, 1);
	if (look->rows.count != look->job.counts.total)
		verify_damage(look->verify, look->job.id, 0, place, "it has %" PRId64 " rows, and the job %" PRId64,
			      look->rows.count, look->job.counts.total);
	/* An input that is gone was told, with the files. */
	if (look->input.fd >= 0 || look->input.data)
		check_rows(look);
}

/* --- shards --- */

/* A shard's two records while they are read side by side. */
struct pair {
	struct look *look;
	const struct shard *shard;
	char *members_name;
	char *done_name;
	struct rows_reader members;
	struct rows_reader done;
	struct shard_tally tally;
	int64_t last; /* row */
	int bad;
};

static void pair_release(struct pair *pair)
{
	rows_release(&pair->members);
	rows_release(&pair->done);
	free(pair->members_name);
	free(pair->done_name);
}

static void note_bad(struct pair *pair, const char *name, int code, const struct error *err)
{
	struct look *look = pair->look;
	auto_free char *place = NULL;

	pair->bad++;
	if (pair->shard->state != SHARD_CANCELLED) {
		note_error(look, pair->shard->number, name, code, err);
		return;
	}
	/* Its job was cancelled, which is how one ends whose files are damaged: nobody needs them any more. */
	look->is_in_ruins = true;
	place = spool_job_place(look->job.id, name);
	verify_note(look->verify, &(struct verify_finding){ .job = look->job.id,
							    .shard = pair->shard->number,
							    .place = place,
							    .words = "it is damaged or missing, and not needed any more" });
}

/* The state of a row that decides where it is: with this shard, or with one after it. */
static bool is_passed_on(const struct shard *shard, const struct record_outcome *outcome)
{
	return shard->state == SHARD_DROPPED || (shard->state == SHARD_COLLECTED && outcome->kind == OUTCOME_AGAIN);
}

static void count_outcome(struct shard_tally *tally, const struct record_outcome *outcome)
{
	switch ((enum outcome_kind)outcome->kind) {
	case OUTCOME_OK:
		tally->ok++;
		break;
	case OUTCOME_MISSING:
		tally->missing++;
		tally->failed++;
		break;
	case OUTCOME_LOST:
		tally->lost++;
		tally->failed++;
		break;
	case OUTCOME_FAILED:
	case OUTCOME_REFUSED:
		tally->failed++;
		break;
	case OUTCOME_AGAIN:
		tally->again++;
		break;
	case OUTCOME_EXPIRED:
		tally->expired++;
		break;
	case OUTCOME_CANCELLED:
		tally->cancelled++;
		break;
	case OUTCOME_NONE:
		break;
	}
}

/* An outcome that stands for itself, and its line, if it has one. */
static int check_outcome(struct pair *pair, int64_t index, struct record_outcome *ret_outcome, struct error *err)
{
	struct record_outcome *outcome = ret_outcome;
	int r = rows_read(&pair->done, index, outcome, err);
	bool has_line = outcome->source == 'o' || outcome->source == 'e';

	if (r)
		return r;
	if (outcome->kind == OUTCOME_NONE || outcome->kind > OUTCOME_LOST || outcome->shard != pair->shard->number ||
	    has_line != (outcome->length > 0))
		return error_set(err, -EUCLEAN, "outcome %" PRId64 " is none that a request of it can have", index + 1);
	count_outcome(&pair->tally, outcome);
	return has_line ? downloads_test(&pair->look->downloads, outcome, err) : 0;
}

static void check_member(struct pair *pair, int64_t index)
{
	struct look *look = pair->look;
	struct record_outcome outcome = { 0 };
	struct record_member member;
	struct error err = { 0 };
	int r = rows_read(&pair->members, index, &member, &err);

	if (!r && ((int64_t)member.row <= pair->last || (look->has_rows && member.row >= look->rows.count)))
		r = error_set(&err, -EUCLEAN, "member %" PRId64 " is row %" PRIu32 ", which cannot be", index + 1,
			      member.row + 1);
	if (r) {
		note_bad(pair, pair->members_name, r, &err);
		return;
	}
	pair->last = member.row;
	r = pair->done.kind ? check_outcome(pair, index, &outcome, &err) : 0;
	if (r)
		note_bad(pair, pair->done_name, r, &err);
	else if (look->has_rows && !is_passed_on(pair->shard, &outcome) && !claim(look, member.row))
		verify_damage(look->verify, look->job.id, pair->shard->number, NULL,
			      "row %" PRIu32 " is with another shard too, or has two outcomes", member.row + 1);
}

static bool is_tally_equal(const struct shard_tally *a, const struct shard_tally *b)
{
	return a->ok == b->ok && a->failed == b->failed && a->cancelled == b->cancelled && a->expired == b->expired &&
	       a->missing == b->missing && a->lost == b->lost && a->again == b->again;
}

static void check_sums(struct pair *pair)
{
	const struct shard *shard = pair->shard;
	const struct shard_tally *tally = &shard->tally;
	auto_free char *members = spool_job_place(pair->look->job.id, pair->members_name);
	auto_free char *done = spool_job_place(pair->look->job.id, pair->done_name);
	bool is_counted = tally->ok + tally->failed + tally->cancelled + tally->expired + tally->again > 0;

	if (pair->members.count != shard->requests)
		verify_damage(pair->look->verify, shard->job, shard->number, members,
			      "it has %" PRId64 " members, and the shard %" PRId64 " requests", pair->members.count,
			      shard->requests);
	if (!pair->done.kind || pair->bad)
		return;
	if (pair->done.count != pair->members.count)
		verify_damage(pair->look->verify, shard->job, shard->number, done,
			      "it has %" PRId64 " outcomes for %" PRId64 " members", pair->done.count,
			      pair->members.count);
	else if (is_counted && !is_tally_equal(&pair->tally, tally))
		verify_damage(pair->look->verify, shard->job, shard->number, done,
			      "its outcomes are not those that were counted when it was collected");
}

static int open_pair(struct pair *pair)
{
	struct look *look = pair->look;
	struct vault *vault = look->verify->vault;
	struct error err = { 0 };
	int r = rows_open(&pair->members, vault, look->job.id, pair->members_name, RECORD_MEMBERS, &err);

	if (r) {
		note_bad(pair, pair->members_name, r, &err);
		return r;
	}
	if (pair->shard->state != SHARD_COLLECTED)
		return 0;
	r = rows_open(&pair->done, vault, look->job.id, pair->done_name, RECORD_OUTCOMES, &err);
	if (r)
		note_bad(pair, pair->done_name, r, &err);
	return r;
}

/* Whether a download that was fetched is still there. */
static void check_download(struct look *look, const struct shard *shard, char source)
{
	auto_free char *name = rows_download_name(shard->number, source == 'o' ? "out" : "err");
	auto_vault_reader reader = VAULT_READER_NONE;
	struct error err = { 0 };
	int r = needs_download(shard, source) ?
			vault_open_record(look->verify->vault, look->job.id, name, &reader, &err) :
			0;

	if (r)
		note_error(look, shard->number, name, r, &err);
}

static void check_shard(const struct shard *shard, void *context)
{
	struct look *look = context;
	__attribute__((cleanup(pair_release))) struct pair pair = {
		.look = look,
		.shard = shard,
		.members_name = rows_members_name(shard->number),
		.done_name = rows_done_name(shard->number),
		.last = -1,
	};
	int64_t count;

	look->shard_count++;
	check_download(look, shard, 'o');
	check_download(look, shard, 'e');
	/* Nobody reads the rows of one that gave them away any more. */
	if (shard->state == SHARD_DROPPED || open_pair(&pair))
		return;
	count = pair.members.count;
	if (pair.done.kind && pair.done.count < count)
		count = pair.done.count;
	for (int64_t i = 0; i < count && pair.bad < FINDINGS_OF_A_FILE && !look->verify->is_enough; i++)
		check_member(&pair, i);
	check_sums(&pair);
	verify_read(look->verify, pair.members.bytes.size + pair.done.bytes.size);
}

/* Every row is somewhere, once the job was cut. */
static void check_claims(struct look *look)
{
	const struct job *job = &look->job;
	bool is_cut = job->state == JOB_RUNNING || job->state == JOB_CANCELLING || job->state == JOB_COMPLETED ||
		      ((job->state == JOB_CANCELLED || job->state == JOB_EXPIRED) && job->finalizing_at);

	if (!is_cut || !look->has_rows || look->is_in_ruins || look->claims == look->rows.count)
		return;
	for (int64_t row = 0; row < look->rows.count; row++)
		if (!(look->claimed[row / 8] & (1U << (row % 8)))) {
			verify_damage(look->verify, job->id, 0, NULL,
				      "%" PRId64 " of its rows are with no shard and have no outcome; the first is row %" PRId64,
				      look->rows.count - look->claims, row + 1);
			return;
		}
}

/* --- the job --- */

static void check_file(struct look *look, int64_t file, const char *what)
{
	auto_free char *place = spool_file_place(file);

	if (verify_is_damaged(look->verify, file))
		verify_damage(look->verify, look->job.id, 0, place, "its %s is damaged", what);
}

static void open_input(struct look *look)
{
	auto_store_file file = { 0 };

	if (vault_open_file(look->verify->vault, look->job.input_file, &look->input, NULL))
		look->input = VAULT_READER_NONE;
	look->is_input_whole = !store_file_get(look->verify->store, look->job.input_file, &file) && file.digest &&
			       !file.is_empty && !verify_is_damaged(look->verify, file.id);
}

static void check_unnamed(const char *name, void *context)
{
	struct look *look = context;
	auto_free char *place = spool_job_place(look->job.id, name);

	/* What a step left behind that was not done again. */
	if (job_is_ended(look->job.state) && !needs_knows(name, look->shard_count))
		verify_note(look->verify, &(struct verify_finding){ .job = look->job.id,
								    .place = place,
								    .words = "nothing names it" });
}

static void check_job(struct look *look)
{
	const struct job *job = &look->job;
	auto_vault_reader errors = VAULT_READER_NONE;
	struct error err = { 0 };
	int64_t count = 0;
	int r = 0;

	check_file(look, job->input_file, "input");
	check_file(look, job->output_file, "file of successes");
	check_file(look, job->error_file, "file of failures");
	form_init(&look->form, job);
	open_input(look);
	(void)store_shard_count(look->verify->store, job->id, &count, NULL);
	if (needs_rows(job, count))
		open_rows(look);
	if (job->errors_total)
		r = vault_open_record(look->verify->vault, job->id, ROWS_ERRORS_NAME, &errors, &err);
	if (r)
		note_error(look, 0, ROWS_ERRORS_NAME, r, &err);
	downloads_init(&look->downloads, look->verify->vault, job->id);
	(void)store_shard_list(look->verify->store, job->id, 0, INT32_MAX, check_shard, look);
	check_claims(look);
	spool_visit_job(look->verify->spool, job->id, check_unnamed, look);
}

void verify_look_at_job(struct verify *verify, int64_t number)
{
	struct look look = { .verify = verify, .input = VAULT_READER_NONE };

	if (store_look_begin(verify->store))
		return;
	if (!store_job_get(verify->store, number, &look.job)) {
		check_job(&look);
		downloads_release(&look.downloads);
		rows_release(&look.rows);
		vault_reader_release(&look.input);
		form_release(&look.form);
		free(look.claimed);
		job_release(&look.job);
	}
	store_look_end(verify->store);
}
