/* A person's word about a shard whose batch nobody else can tell of. */
#include <errno.h>
#include <inttypes.h>
#include <stdint.h>
#include <string.h>

#include "daemon/base/buffer.h"
#include "daemon/base/hash.h"
#include "daemon/base/utf8.h"
#include "daemon/door/accept.h"
#include "daemon/door/visit.h"
#include "daemon/door/wish.h"
#include "daemon/io/server.h"
#include "daemon/io/store.h"
#include "daemon/protocol.h"
#include "daemon/work/pipeline.h"

#define NUMBERS_TOLD 20

struct word {
	enum shard_word kind;
	const char *batch_id; /* of the query; NULL: the provider has none */
	int64_t shard;	      /* number; 0: the only one */
};

static bool is_batch_id(const char *text)
{
	if (!*text || strlen(text) > PROTOCOL_MAX_BATCH_ID || !utf8_is_valid(text))
		return false;
	for (; *text; text++)
		if ((unsigned char)*text < ' ' || *text == 0x7f)
			return false;
	return true;
}

static int read_word(struct visit *visit, struct word *ret_word)
{
	const char *batch_id = exchange_query(visit->exchange, "batch");
	bool is_none = visit_query_flag(visit, "none");

	if ((batch_id != NULL) == is_none)
		visit_error(visit, 400, "invalid_value", batch_id ? "none" : "batch",
			    "Say which batch it is, or that there is none: 'batch=ID' or 'none=1'.");
	else if (batch_id && !is_batch_id(batch_id))
		visit_error(visit, 400, "invalid_value", "batch",
			    "Invalid 'batch': an id has 1 to %d bytes, none of them a control character.",
			    PROTOCOL_MAX_BATCH_ID);
	if (visit->is_answered)
		return -EINVAL;
	ret_word->kind = batch_id ? SHARD_WORD_BATCH : SHARD_WORD_NO_BATCH;
	ret_word->batch_id = batch_id;
	return visit_query_number(visit, "shard", 1, INT64_MAX, 0, &ret_word->shard);
}

static void resolve_digest(int64_t job, const struct word *word, uint8_t *ret_digest)
{
	static const char name[] = "resolve";
	const int64_t numbers[] = { job, word->kind, word->shard };
	struct hash_sha256 *sha256 = hash_sha256_new();

	hash_sha256_add(sha256, name, sizeof(name));
	hash_sha256_add(sha256, numbers, sizeof(numbers));
	if (word->batch_id)
		hash_sha256_add(sha256, word->batch_id, strlen(word->batch_id));
	hash_sha256_finish(sha256, ret_digest);
	hash_sha256_free(sha256);
}

/* The shards that a word may be about, and whether it was followed already. */
struct finding {
	const struct word *word;
	int64_t id;	    /* of the last one that is uncertain, */
	struct shard shard; /* and itself, when there is no other */
	size_t uncertain;
	struct buffer numbers;
	bool is_followed;
};

static void note_uncertain(const struct shard *shard, void *context)
{
	struct finding *finding = context;

	if (finding->word->shard && finding->word->shard != shard->number)
		return;
	if (finding->uncertain++ < NUMBERS_TOLD)
		buffer_add_format(&finding->numbers, "%s%" PRId64, finding->numbers.size ? ", " : "", shard->number);
	finding->id = shard->id;
}

/* A word that was given before, and what it says is so: then giving it again means nothing. */
static void note_followed(const struct shard *shard, void *context)
{
	struct finding *finding = context;
	const struct word *word = finding->word;

	if ((word->shard && word->shard != shard->number) || shard->state == SHARD_UNCERTAIN)
		return;
	if (word->batch_id ? shard->batch_id && strcmp(shard->batch_id, word->batch_id) == 0 :
			     shard->word == SHARD_WORD_NO_BATCH)
		finding->is_followed = true;
}

static int find(struct visit *visit, const struct job *job, struct finding *finding)
{
	struct store *store = visit->door->parts.store;
	size_t limit = finding->word->shard ? SIZE_MAX / 2 : NUMBERS_TOLD + 1;
	int r = store_shard_uncertain(store, job->id, limit, note_uncertain, finding);

	if (!r)
		r = store_shard_list(store, job->id, 0, SIZE_MAX / 2, note_followed, finding);
	if (!r && finding->uncertain == 1)
		r = store_shard_get(store, finding->id, &finding->shard);
	if (r)
		visit_error(visit, 503, PROTOCOL_CODE_UNKNOWN, NULL, "The store could not be read.");
	return r;
}

static void refuse_none(struct visit *visit, const struct job *job, int64_t shard)
{
	if (shard)
		visit_error(visit, 409, PROTOCOL_CODE_NOTHING_TO_RESOLVE, "shard",
			    "Job %" PRId64 " has no shard %" PRId64 " that is uncertain.", job->id, shard);
	else
		visit_error(visit, 409, PROTOCOL_CODE_NOTHING_TO_RESOLVE, NULL,
			    "Job %" PRId64 " has no shard that is uncertain.", job->id);
}

static void refuse_several(struct visit *visit, const struct job *job, struct finding *finding)
{
	visit_error(visit, 409, PROTOCOL_CODE_WHICH_SHARD, "shard",
		    "Job %" PRId64 " has several shards that are uncertain; say which one: %s%s.", job->id,
		    buffer_text(&finding->numbers), finding->uncertain > NUMBERS_TOLD ? ", ..." : "");
}

static void follow(struct visit *visit, const struct job *job, struct finding *finding, const uint8_t *digest)
{
	const struct door_parts *parts = &visit->door->parts;
	const struct word *word = finding->word;

	if (finding->uncertain == 1 && !(finding->is_followed && word->batch_id))
		pipeline_resolve(parts->pipeline, job, &finding->shard, word->kind, word->batch_id);
	(void)accept_note_key(visit, digest, job->id);
	accept_answer(visit, job->id);
	parts->on_change(parts->context);
}

void batches_resolve(struct visit *visit)
{
	uint8_t digest[HASH_SHA256_SIZE];
	struct word word = { 0 };
	struct finding finding = { .word = &word };
	auto_job job = { 0 };

	if (wish_key(visit) || visit_job(visit, &job) || read_word(visit, &word))
		return;
	resolve_digest(job.id, &word, digest);
	if (accept_was_made(visit, digest))
		return;
	if (!find(visit, &job, &finding)) {
		if (finding.uncertain > 1 && !(finding.is_followed && word.batch_id))
			refuse_several(visit, &job, &finding);
		else if (!finding.uncertain && !finding.is_followed)
			refuse_none(visit, &job, word.shard);
		else
			follow(visit, &job, &finding, digest);
	}
	shard_release(&finding.shard);
	buffer_release(&finding.numbers);
}
