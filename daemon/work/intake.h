/*
 * Validates an input, slice by slice, into a row index: every line is parsed strictly, every fault
 * is kept with its line (up to PROTOCOL_MAX_ERRORS of them; all are counted), every custom_id is
 * compared with every other, and every (model, url) gets a number. Memory is bounded whatever the
 * size of the input: ids are sorted in runs on disk.
 *
 * A line that is wrong is the end of the job; or, where the job skips such lines, it fails alone:
 * then the row index has a record for every line (wire_length and id_length 0 for a wrong one), and
 * the wrong ones are a shard of their own (work/skipped).
 */
#ifndef BATCHD_WORK_INTAKE_H
#define BATCHD_WORK_INTAKE_H

#include <stddef.h>
#include <stdint.h>

struct digest;
struct error;
struct intake;
struct job;
struct vault;

#define INTAKE_MAX_GROUPS 1000

/* A (model, url) of the job, decoded. */
struct intake_group {
	char *model;
	char *url;
	int64_t requests;
	int64_t bytes; /* on the wire */
};

struct intake_result {
	int64_t requests;     /* lines that are right */
	int64_t flaws;	      /* lines that are wrong, and files that are (empty) */
	const char *flaws_json; /* array of {"code","message","param","line"}, by line, of at most PROTOCOL_MAX_ERRORS */
	const char *refusal;  /* why the job cannot go on, one sentence; NULL: it can, and what follows is true */
	int64_t skipped;      /* of the flaws: lines that are left out */
	const struct digest *digest; /* of those; NULL: there are none */
	const struct intake_group *groups;
	size_t group_count;
};

/*
 * Begins with the job's input file. id_key is the store's. Errors are those of opening the input.
 */
int intake_new(struct vault *vault, const struct job *job, uint64_t id_key, struct intake **ret_intake,
	       struct error *err);
/*
 * Works on for about a MiB. 1: there is more to do; 0: done; negative errno: a read or write
 * failed.
 */
int intake_slice(struct intake *intake, struct error *err);
/* After the end. What it points to lives as long as the intake. */
const struct intake_result *intake_result(const struct intake *intake);
/*
 * After the end, without a refusal: keeps the row index as the job's record ROWS_NAME, and the
 * records of the lines that are left out.
 */
int intake_keep(struct intake *intake, struct error *err);
/* NULL is fine; at any time. */
void intake_free(struct intake *intake);

#endif
