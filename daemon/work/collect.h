/*
 * Matches the answers of a shard's two downloaded files to its rows, slice by slice, and writes
 * shard-N.done: one outcome for each of its rows, in their order, with a check of its answer line, so that whoever
 * reads that later knows it again. Answers come in any order, in either file; some come
 * twice, some not at all, some belong to nobody, some cannot be read: all of that is counted and told.
 */
#ifndef BATCHD_WORK_COLLECT_H
#define BATCHD_WORK_COLLECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/model/job.h"
#include "daemon/model/load.h"

struct collect;
struct digest;
struct error;
struct vault;

/* How a batch ended at the provider: decides what becomes of rows without an answer. */
enum collect_end {
	COLLECT_COMPLETED,
	COLLECT_LOST, /* a result file that it named cannot be had, or the provider has forgotten it */
	COLLECT_EXPIRED,
	COLLECT_CANCELLED,
	COLLECT_REFUSED, /* it did no work and never will: its file or the batch was refused for good */
	COLLECT_INVALID, /* its validation failed for the lines that shard-N.err is about; the others did not run */
};

/* After so many shards in a row whose validation failed, the rows that none of them named are refused. */
#define COLLECT_MOST_ROUNDS 10

/* Kinds of rows that go again. */
#define COLLECT_AGAIN_COUNT 3

struct collect_plan {
	uint64_t id_key;
	enum collect_end end;
	bool is_job_cancelled; /* we asked for the cancel: what did not run stays cancelled */
	bool is_job_expired;   /* because of the job's deadline: it is OUTCOME_EXPIRED in place of OUTCOME_CANCELLED, without a line */
	int64_t max_attempts;  /* of one request, counting those that cost one */
	int64_t resend_lost;   /* so many of 10,000 may be sent again unasked though their answers may have been paid for */
	struct load_limits limits; /* for the loads of what goes again */
	bool has_next; /* there is another provider for rows that this one cannot answer */
	struct load_limits next_limits; /* its */
};

struct collect_result {
	int64_t rows; /* of the shard: the sum of the final outcomes and of those that go again, unless it is held */
	int64_t ok, failed, cancelled, expired, missing, lost; /* final outcomes; failed has neither missing nor lost in it */
	/*
	 * Rows that go to new shards (OUTCOME_AGAIN): [0] those that did not cost an attempt, [1] those that did, [2] those that go to
	 * the next provider.
	 */
	struct load again[COLLECT_AGAIN_COUNT];
	int64_t resent;	    /* of those: how many may have been answered, and paid for, already */
	int64_t twice;	    /* answers for a row that had one; the first counts */
	int64_t unknown;    /* answers whose custom_id is not of this shard */
	int64_t unreadable; /* lines that are no JSON object with a custom_id, or longer than LINES_MAX; blank ones are nothing */
	int64_t input_tokens, output_tokens;
	/* Too many answers cannot be had to send those rows again unasked: a person must speak. Then nothing has an outcome yet. */
	bool is_held;
	int64_t doubtful;    /* rows whose answers may have been made, and cannot be had */
	int64_t most_resent; /* how many of those may be sent again unasked */
	bool is_given_up;    /* rows were refused after COLLECT_MOST_ROUNDS */
};

/*
 * Begins; the downloads are the records shard-N.out and shard-N.err, either of which may be absent. Rules for a row:
 *	answered ok			OUTCOME_OK (an ok answer wins over a failure of the same row, else the first counts)
 *	answered, final failure		OUTCOME_FAILED; OUTCOME_AGAIN at the next provider if this one does not have the model or the url
 *	answered, may do better		OUTCOME_AGAIN while attempts < max_attempts and the job is not cancelled, else OUTCOME_FAILED;
 *					costs an attempt; with none left OUTCOME_AGAIN at the next provider
 *	batch_expired, or no answer and the batch expired	OUTCOME_AGAIN without cost; OUTCOME_CANCELLED if the job is cancelled;
 *					in a validation OUTCOME_FAILED after COLLECT_MOST_ROUNDS
 *	batch_cancelled, or no answer and it was cancelled	the same: AGAIN if we did not ask for it, else OUTCOME_CANCELLED
 *	no answer, batch completed	doubtful: OUTCOME_MISSING at last
 *	no answer, a file or the batch is lost	doubtful: OUTCOME_LOST at last
 *	no answer, batch refused	OUTCOME_REFUSED (counted as failed)
 *	no answer, batch invalid	OUTCOME_AGAIN without cost; OUTCOME_REFUSED after COLLECT_MOST_ROUNDS (shard->redone)
 * A batch that expired or was cancelled and says that it completed more than it delivers leaves that many doubtful rows too.
 * Doubtful rows go again and cost an attempt, unless the job is cancelled or no attempt is left: up to resend_lost of the shard's
 * rows (one at least, if it allows any), or however many if shard->word says RESEND, even without an attempt left. Otherwise the shard is
 * held, unless the word is ACCEPT. To the next provider goes, where there is one, what it has a batch for, unless the job is cancelled.
 *
 * shard->attempt is how often each row was tried before plus one; a row's attempts is set from it (attempt, or attempt - 1
 * where it cost none, as with a refused batch, which ran nothing). The tokens of an answer that counts are counted, whatever it says.
 */
int collect_new(struct vault *vault, const struct job *job, const struct shard *shard,
		const struct collect_plan *plan, struct collect **ret_collect, struct error *err);
/* Works on for about a MiB. 1: there is more; 0: done; negative errno (-EUCLEAN: a record or the input is damaged), then for good. */
int collect_slice(struct collect *collect, struct error *err);
/* After the end. */
const struct collect_result *collect_result(const struct collect *collect);
/* After the end: the final failures by what they say. */
const struct digest *collect_digest(const struct collect *collect);
/*
 * After the end, unless it is held: keeps shard-N.done, and the member files of the shards that rows go to again: those that cost no
 * attempt first, as shard next_number, then those that did, then those for the next provider (which may be more than one batch of its
 * holds), each as the number after. A kind without rows gets no file and no number.
 */
int collect_keep(struct collect *collect, int64_t next_number, struct error *err);
void collect_free(struct collect *collect);

/* The words and the code of the refusal of rows that were given up. */
#define COLLECT_GIVEN_UP_CODE "validation_failed"
#define COLLECT_GIVEN_UP_WORDS                                                                     \
	"Its validation failed again and again, each time for other lines; this request was in none of them, and was " \
	"given up."

#endif
