/*
 * One result file on its way from the provider to the vault. It is asked for as it is; what comes
 * packed in spite of that, said or not, is undone, and a packed stream that is not whole is a cut download. Every
 * line is read while it is written. A download that is cut goes on where it stopped, at once, if
 * the server has proved that it can: its first answer had Accept-Ranges: bytes, a strong ETag, a
 * length, and no Content-Encoding; and each next one is 206 with exactly the part that was asked
 * for, of the same length and ETag. Nothing else is ever appended.
 */
#ifndef BATCHD_WORK_FETCH_H
#define BATCHD_WORK_FETCH_H

#include <stdbool.h>
#include <stdint.h>

struct api;
struct api_answer;
struct error;
struct fetch;
struct vault;

#define FETCH_MAX_RESUMES 100
#define FETCH_MAX_LINE ((size_t)16 << 20) /* a longer line counts as an answer and is not looked into */

enum fetch_end {
	FETCH_WHOLE,	/* the file is here: fetch_keep */
	FETCH_CUT,	/* a part of it came, or something damaged: from the start, later */
	FETCH_ANSWERED, /* not the file, but what answer says */
	FETCH_FAILED,	/* it could not be written here: problem */
};

struct fetch_result {
	enum fetch_end end;
	const struct api_answer *answer; /* of FETCH_ANSWERED */
	const char *words;		 /* of FETCH_CUT: one sentence, with how far it came */
	const struct error *problem;	 /* of FETCH_FAILED */
	int64_t answers;		 /* the rest of FETCH_WHOLE: lines that are an answer to somebody */
	int64_t ran;			 /* of those: of requests that ran, for they were neither expired nor cancelled */
	int64_t unreadable;		 /* lines that are none; blank ones are nothing */
	bool is_tail_broken;		 /* the last of them has no newline, as if the file had been cut */
	bool is_damaged;		 /* of FETCH_CUT: no lack of the connection, so that looking again may not help */
	bool is_incomplete;		 /* the server says that more will be written to it */
	int resumes;
};

/*
 * Runs once for every fetch that was not freed before; the result dies after it. It may free the
 * fetch.
 */
typedef void fetch_on_done(const struct fetch_result *result, void *context);

/* api and vault must outlive it; file_id is copied. */
struct fetch *fetch_new(struct api *api, struct vault *vault, const char *file_id,
			fetch_on_done *on_done, void *context);
/* After FETCH_WHOLE, once: keeps the file as the job's record called name. */
int fetch_keep(struct fetch *fetch, int64_t job, const char *name, struct error *err);
/* Ends what is under way without its callback. NULL is fine. */
void fetch_free(struct fetch *fetch);

#endif
