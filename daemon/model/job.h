/*
 * Jobs and shards: what is known of them, and the picture of both machines. A state is a fact on
 * disk; what is under way stands nowhere, so a start after a crash is like any other start.
 *
 * Every transition, with the function in work/ that decides it; pipeline_job_state() and
 * pipeline_shard_state() perform it, and nothing else does. No arrow points back (G5).
 *
 *	ACCEPTED   -> VALID	  [intake]	the input was read whole, its row index is on disk
 *	ACCEPTED   -> FAILED	  [intake]	the input has lines that are wrong
 *	ACCEPTED   -> CANCELLED	  [pipeline_cancel]
 *	VALID	   -> RUNNING	  [cut]		every row belongs to a shard
 *	VALID	   -> CANCELLED	  [pipeline_cancel]
 *	RUNNING	   -> COMPLETED	  [merge]	every shard ended, results are on disk
 *	RUNNING	   -> CANCELLING  [pipeline_cancel, order]
 *	RUNNING	   -> FAILED	  [merge]	the rows could not be accounted for: a person must look
 *	CANCELLING -> CANCELLED	  [merge]	every shard ended; what was answered is kept
 *	CANCELLING -> FAILED	  [merge]
 *	ACCEPTED   -> EXPIRED	  [order]	its deadline passed before anything of it was sent
 *	VALID	   -> EXPIRED	  [order]	the same
 *	CANCELLING -> EXPIRED	  [merge]	it is cancelled because its deadline passed (is_expiring)
 *
 *	CUT	   -> UPLOADED	  [upload]	the provider has the rows as a file
 *	CUT	   -> DROPPED	  [upload]	too large for the provider: its halves are new shards
 *	CUT	   -> DROPPED	  [collect]	it waited for more rows to be tried again: a new shard has both
 *	CUT	   -> DROPPED	  [move]	its provider cannot take it: its rows are another's, in new shards
 *	CUT	   -> ENDED	  [upload]	the provider refused its file for good: its rows fail
 *	CUT	   -> CANCELLED	  [upload]	the job was cancelled before anything was sent
 *	UPLOADED   -> CREATED	  [create]	the provider has a batch for the file: made, or found after doubt
 *	UPLOADED   -> UNCERTAIN	  [lookup]	whether a batch exists cannot be told: a person decides
 *	UPLOADED   -> CANCELLED	  [create]	cancelled before anything was created, for certain
 *	UPLOADED   -> ENDED	  [create]	the provider refused the batch for good: its rows fail
 *	UPLOADED   -> DROPPED	  [create]	its file is gone there, or was not taken in: its rows went to a new shard
 *	UPLOADED   -> DROPPED	  [move]	its provider cannot serve: its rows went to a new shard at the next
 *	CREATED	   -> ENDED	  [poll]	completed, expired, cancelled there, failed for good, or forgotten there
 *	CREATED	   -> DROPPED	  [poll]	it did no work there and may do better: its rows went to a new shard
 *	CREATED	   -> DROPPED	  [move]	it failed there without work, for want of the model or url
 *	ENDED	   -> FETCHED	  [fetch]	both result files are on disk
 *	FETCHED	   -> COLLECTED	  [collect]	every row has its outcome; rows to try again have a new shard
 *	(begin)	   -> FETCHED	  [cut]		rows that no batch could hold: they are refused without being sent
 *	(begin)	   -> FETCHED	  [move]	rows that the next provider takes in no batch: refused as by the one before
 *	(begin)	   -> COLLECTED	  [intake]	lines that are wrong, where the job goes on without them
 *	FETCHED	   -> CANCELLED	  [collect]	its own files are damaged, and the job was cancelled: its rows end so
 *	CUT	   -> CREATED	  [lookup]	the store is a restored copy: the batch had been made after the copy was
 *	CUT	   -> UNCERTAIN	  [lookup]	the same, and it cannot be told
 *	UNCERTAIN  -> CREATED	  [settle]	a person named its batch, and the provider has it
 *	UNCERTAIN  -> DROPPED	  [settle]	a person says that there is none: its rows went to a new shard
 *	UNCERTAIN  -> CANCELLED	  [settle]	its job was cancelled, which is a person's word too
 */
#ifndef BATCHD_MODEL_JOB_H
#define BATCHD_MODEL_JOB_H

#include <stdbool.h>
#include <stdint.h>

/* A job's priority where none was asked for, and the highest that needs no operator. */
#define JOB_PRIORITY 50
#define JOB_MAX_PRIORITY 100

/* These numbers are on disk: never change one. */
enum job_state {
	JOB_ACCEPTED = 0,
	JOB_VALID = 1,
	JOB_RUNNING = 2,
	JOB_CANCELLING = 3,
	JOB_COMPLETED = 4,
	JOB_FAILED = 5,
	JOB_CANCELLED = 6,
	JOB_EXPIRED = 7,
};
#define JOB_STATE_COUNT 8

enum shard_state {
	SHARD_CUT = 0,
	SHARD_UPLOADED = 1,
	SHARD_CREATED = 2,
	SHARD_ENDED = 3,
	SHARD_FETCHED = 4,
	SHARD_COLLECTED = 5,
	SHARD_UNCERTAIN = 6,
	SHARD_DROPPED = 7,
	SHARD_CANCELLED = 8,
};
#define SHARD_STATE_COUNT 9

/* How a job's requests ended so far; their sum never exceeds total, and equals it when the job has ended (G3). */
struct job_counts {
	int64_t total;
	int64_t ok;
	int64_t failed; /* missing ones among them */
	int64_t cancelled;
	int64_t expired;
	int64_t missing; /* of the failed: those the provider gave no answer for */
	int64_t lost;	 /* of the failed: those whose answers were made and cannot be had */
	int64_t invalid; /* of the failed: lines that were wrong and were skipped */
	int64_t resent;	 /* requests sent again though an answer may have been paid for already */
	int64_t twice;	 /* answers beyond the first of a request; the first counts */
};

/* Times are Unix milliseconds; 0 where it did not happen. Strings are owned; NULL where absent. */
struct job {
	int64_t id;
	enum job_state state;
	int64_t uid; /* the owner */
	int64_t input_file;
	int64_t output_file; /* 0: none (yet) */
	int64_t error_file;
	char *endpoint;
	char *window;
	char *metadata; /* the user's JSON object, as text */
	char *file_name;
	char *provider; /* the first of providers, or the default when it was submitted */
	char *errors; /* JSON array of refused lines */
	int64_t errors_total;
	int64_t output_expires_s; /* output_expires_after.seconds; 0: not asked for */
	struct job_counts counts;
	int64_t created_at;
	int64_t in_progress_at;
	int64_t finalizing_at;
	int64_t completed_at;
	int64_t failed_at;
	int64_t expired_at;
	int64_t cancelling_at;
	int64_t cancelled_at;
	int64_t due_at; /* when its next step may run; 0: it waits for its shards, or ended */
	int64_t tries;	/* failures in a row of the step that is due */
	char *why;	/* what it waits for */
	char *labels;	/* JSON object of texts: for people to find it by */
	char *model;	/* of wrapped lines that name none; NULL: each names its own */
	bool skips_invalid; /* wrong lines fail alone */
	bool is_wrapped;    /* a line is a bare body; endpoint is its url */
	bool has_line_ids;  /* custom_id is "line-N", by the line's number from 1, whatever the line says */
	int64_t max_attempts; /* of one request; 0: as the provider's section says */
	int64_t retry_of;     /* the job whose requests without a success these are; 0: none */
	char *providers;    /* those that its owner named, as model/names has them; NULL: as the routes say, else provider */
	int64_t priority;   /* 0 to 100; the higher goes first */
	int64_t begin_at;   /* not cut before; 0: at once */
	int64_t after_job;  /* not cut before that job has ended; 0: of none */
	int64_t deadline_at; /* 0: none; then it ends with what it has */
	bool is_on_hold;    /* a person's word: nothing more of it is sent until another one */
	bool is_expiring;   /* its cancel is its deadline's: whoever comes first, that or a person, says how it ends */
	int64_t budget_tokens; /* 0: no bound */
	int64_t budget_cost;   /* millionths of the currency; 0: no bound */
	int64_t spent_tokens;  /* by the answers, and what is reserved for those to come */
	int64_t spent_cost;
};

/* What collect found in the results of a shard, as it ended. */
struct shard_tally {
	int64_t ok, failed, cancelled, expired; /* final outcomes */
	int64_t missing, lost; /* of the failed */
	int64_t again;	       /* rows that went to new shards */
	int64_t resent;	       /* of those: rows whose answer may have been paid for */
	int64_t twice;	       /* answers for a row that had one */
	int64_t unknown;       /* answers to nobody */
	int64_t unreadable;    /* lines that are no answer */
	int64_t input_tokens, output_tokens; /* of all answers that count, told by the provider */
};

/* A person's word: about answers that cannot be had, or about a batch that may exist. Numbers are on disk. */
enum shard_word {
	SHARD_WORD_NONE = 0,
	SHARD_WORD_RESEND = 1, /* send those requests again, and pay again */
	SHARD_WORD_ACCEPT = 2, /* go on without them */
	SHARD_WORD_BATCH = 3,  /* of an uncertain shard: batch_id is its batch */
	SHARD_WORD_NO_BATCH = 4, /* of an uncertain shard: the provider has none of it */
	SHARD_WORD_ASKED = 5,	 /* none yet: a fetched shard waits for one of the first two */
};

/* Whether a shard that is to be sent may be. Numbers are on disk. */
enum shard_queue {
	SHARD_FREE = 0,	   /* it does not wait for a place: it has one, or needs none */
	SHARD_WAITING = 1, /* for its turn, and for room within the provider's limits */
	SHARD_PARKED = 2,  /* its job is on hold */
};

struct shard {
	int64_t id;
	int64_t job;
	int64_t number; /* 1, 2, ... within the job */
	enum shard_state state;
	char *model;
	char *url;
	int64_t requests;
	int64_t bytes;	 /* of the file as uploaded */
	int64_t attempt; /* 1 for rows that were never tried before at this provider */
	char *marker;	 /* 24 hexadecimal digits, drawn when it was cut */
	char *provider_file;
	int64_t intended_at; /* a create may have left since then; 0: no doubt */
	int64_t absent_at;   /* when a complete listing first did not show it; 0: not yet; negative: when a create was found absent for good */
	char *batch_id;
	char *remote_status; /* the provider's word, as it came */
	int64_t remote_completed;
	int64_t remote_failed;
	char *remote_output; /* ids of the provider's result files */
	char *remote_error;
	bool is_cancel_sent;
	char *refusal; /* the provider's words when it refused the shard for good; for its owner alone */
	char *refusal_code; /* its error code, or ours; NULL: none */
	int64_t inputs;	    /* embedding inputs */
	int64_t tokens;	    /* of the input, estimated */
	int64_t word;	    /* enum shard_word */
	struct shard_tally tally;
	int64_t uploaded_at;
	int64_t batch_created_at;
	int64_t ended_at;
	int64_t due_at; /* 0: nothing will happen by itself */
	int64_t tries;	/* failures in a row of the step that is due */
	int64_t polls;	/* polls in a row without a change */
	int64_t redone; /* shards before it, in a row, that failed without work for the same rows: patience ends */
	int64_t waits;	/* shards before it, in a row, that found the queue full or expired idle: patience does not end */
	char *provider;	   /* where its rows go; never changed once a batch may exist */
	enum shard_queue queue;
	int64_t admitted_at;	 /* since when it counts against the provider's limits, until it ends; 0: it does not */
	int64_t reserved_tokens; /* so many of those it may enqueue */
	int64_t budgeted_at;	 /* when its part of its job's and its owner's budgets was taken; 0: none is, or it was settled */
	int64_t budgeted_tokens; /* so many, of input and output */
	int64_t reserved_cost;	 /* and so much; millionths of the currency */
	int64_t changed_at;	 /* when the provider last told something new of its batch */
	int64_t missed_at; /* when answers that should be there were first looked for in vain, or since its provider does not know its batch; 0: not so */
	char *why;
};

/* Lower-case words: "accepted" ... ; "cut" ... */
const char *job_state_name(enum job_state state);
const char *shard_state_name(enum shard_state state);
/* The state called name, or -EINVAL. */
int job_state_parse(const char *name, enum job_state *ret_state);

/* What the front door calls it: "validating", "in_progress", "finalizing", ... */
const char *job_status(const struct job *job);

/* Nothing more will happen to it. */
bool job_is_ended(enum job_state state);
bool shard_is_ended(enum shard_state state);

/* Whether the picture above has this arrow. */
bool job_may_go(enum job_state from, enum job_state to);
bool shard_may_go(enum shard_state from, enum shard_state to);

/* Frees what the struct owns, and clears it. */
void job_release(struct job *job);
void shard_release(struct shard *shard);

#define auto_job __attribute__((cleanup(job_release))) struct job
#define auto_shard __attribute__((cleanup(shard_release))) struct shard

#endif
