/*
 * The rows of a shard in memory, each with the answer that counts for it, found by the custom_id
 * that an answer bears. Memory holds one shard's rows at most, never a job's.
 */
#ifndef BATCHD_WORK_MEMBERS_H
#define BATCHD_WORK_MEMBERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/io/vault.h"
#include "daemon/work/form.h"
#include "daemon/work/rows.h"

struct error;
struct job;
struct scan_span;

/* A row of the shard, and its answer as whoever asks for it has noted it. */
struct member {
	uint64_t id_hash;
	uint64_t offset; /* of the line, in the input */
	uint64_t answer_offset;
	uint32_t answer_length;
	uint32_t answer_check; /* record_answer_check of it */
	uint32_t row;
	uint32_t wire_length;
	uint32_t inputs;
	uint32_t id_at;
	uint32_t id_length;
	uint32_t input_tokens;
	uint32_t output_tokens;
	uint16_t status;
	uint8_t source; /* 'o' or 'e'; 0: not answered */
	uint8_t answer; /* enum answer_kind */
	uint8_t kind;   /* enum outcome_kind, at the end */
	bool is_free;   /* it cost no attempt */
	bool is_elsewhere; /* its answer says that another provider may have one */
	bool is_moved;	   /* it goes again to the next provider */
};

struct members {
	int64_t job;
	int64_t shard;
	uint64_t id_key;
	struct form form;
	struct vault_reader input;
	struct rows_reader rows;
	struct rows_reader members;
	struct member *list; /* in the order of shard-N.rows */
	size_t count;
	size_t loaded;
	uint32_t *slots; /* open addressing by id_hash: number of the member plus 1, 0 is free */
	size_t slot_mask;
};

/* Opens a shard's rows; members_release also after a failure. -EUCLEAN: a record is damaged. */
int members_open(struct members *members, struct vault *vault, const struct job *job, int64_t shard, uint64_t id_key,
		 struct error *err);
/* Reads some of them. 1: there are more; 0: all are there; or -errno. */
int members_load(struct members *members, struct error *err);
/* The row that an answer with this custom_id belongs to; NULL for nobody's. -EUCLEAN: the input changed under its index. */
int members_find(struct members *members, const char *line, struct scan_span id, struct member **ret_member,
		 struct error *err);
/* A zeroed struct with input VAULT_READER_NONE is fine. */
void members_release(struct members *members);

#endif
