#include "client/job.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "client/exits.h"
#include "client/interrupt.h"
#include "client/words.h"
#include "daemon/base/alloc.h"
#include "daemon/protocol.h"

/* clang-format off */
static const struct {
	int http;
	const char *code;	/* NULL: any */
	int status;
	bool is_passing;
} answers[] = {
	{ 400, PROTOCOL_CODE_ENCODING, EXIT_INPUT, false },
	{ 401, NULL, EXIT_REFUSED, false },
	{ 403, NULL, EXIT_REFUSED, false },
	{ 404, NULL, EXIT_NO_JOB, false },
	{ 409, PROTOCOL_CODE_NOT_FINISHED, EXIT_NOT_FINISHED, false },
	{ 413, NULL, EXIT_INPUT, false },
	{ 415, NULL, EXIT_INPUT, false },
	{ 429, NULL, EXIT_LATER, false },
	{ 503, PROTOCOL_CODE_UNKNOWN, EXIT_LATER, true },
	{ 503, NULL, EXIT_LATER, false },
	{ 507, PROTOCOL_CODE_UNKNOWN, EXIT_LATER, true },
	{ 507, NULL, EXIT_LATER, false },
};

static const struct {
	const char *name;
	bool is_over;
	enum output_colour colour;
} statuses[] = {
	{ "validating",  false, OUTPUT_BUSY },
	{ "in_progress", false, OUTPUT_BUSY },
	{ "finalizing",  false, OUTPUT_BUSY },
	{ "cancelling",  false, OUTPUT_BUSY },
	{ "completed",   true,  OUTPUT_GOOD },
	{ "failed",      true,  OUTPUT_BAD },
	{ "expired",     true,  OUTPUT_BAD },
	{ "cancelled",   true,  OUTPUT_BAD },
};
/* clang-format on */

static int read_transport(int result, const struct error *err, struct failure *failure)
{
	(void)snprintf(failure->text, sizeof(failure->text), "%s", err->text);
	switch (result) {
	case -EINTR:
		failure->status = interrupt_status();
		break;
	case -ETIME:
		failure->status = EXIT_TIMEOUT;
		break;
	case -EACCES:
		failure->status = EXIT_REFUSED;
		break;
	case -EIO:
	case -EMSGSIZE:
	case -ECANCELED:
		failure->status = EXIT_OTHER;
		break;
	default:
		failure->status = EXIT_UNREACHABLE;
		failure->is_passing = true;
		failure->is_unsent = result != -ECONNRESET && result != -ETIMEDOUT;
	}
	return failure->status;
}

static int read_answer(const struct connection_reply *reply, struct failure *failure)
{
	const char *code = json_text(reply->object, "error.code", "");
	const char *message = json_text(reply->object, "error.message", NULL);

	(void)snprintf(failure->code, sizeof(failure->code), "%s", code);
	if (message)
		(void)snprintf(failure->text, sizeof(failure->text), "%s", message);
	else
		(void)snprintf(failure->text, sizeof(failure->text),
			       "batchd answered with status %d and no reason", reply->status);
	failure->retry_after_s = reply->retry_after_s;
	failure->status = EXIT_OTHER;
	for (size_t i = 0; i < ARRAY_SIZE(answers); i++)
		if (answers[i].http == reply->status &&
		    (!answers[i].code || strcmp(answers[i].code, code) == 0)) {
			failure->status = answers[i].status;
			failure->is_passing = answers[i].is_passing;
			break;
		}
	return failure->status;
}

static int call_object(struct connection *connection, const struct connection_call *call,
		       struct json_object **ret_object, struct failure *ret_failure)
{
	auto_reply reply = {0};
	struct error err = {0};
	int status = failure_read(connection_perform(connection, call, &reply, &err), &err, &reply,
				  ret_failure);

	if (status)
		return status;
	if (!reply.object) {
		*ret_failure = (struct failure){.status = EXIT_OTHER};
		(void)snprintf(ret_failure->text, sizeof(ret_failure->text),
			       "the answer of batchd is no JSON object");
		return ret_failure->status;
	}
	*ret_object = take(reply.object);
	return 0;
}

static int64_t count_of(struct json_object *batch, const char *ours, const char *documented)
{
	int64_t count = json_number(batch, ours, -1);

	return count >= 0 ? count : json_number(batch, documented, 0);
}

int failure_read(int result, const struct error *err, const struct connection_reply *reply,
		 struct failure *ret_failure)
{
	*ret_failure = (struct failure){0};
	if (result < 0)
		return read_transport(result, err, ret_failure);
	if (reply->status >= 200 && reply->status < 300)
		return 0;
	return read_answer(reply, ret_failure);
}

int failure_tell(const struct failure *failure, int64_t job)
{
	const char *code = *failure->code ? failure->code : NULL;

	if (interrupt_came() && failure->status == interrupt_status())
		return failure->status;
	if (failure->status == EXIT_NO_JOB && job)
		return output_fail(EXIT_NO_JOB, NULL, job, "no such job");
	return output_fail(failure->status, code, job, "%s", failure->text);
}

int service_get(struct connection *connection, const char *path, int64_t deadline_ms,
		struct json_object **ret_object, struct failure *ret_failure)
{
	struct connection_call call = {.method = "GET", .path = path, .deadline_ms = deadline_ms};

	return call_object(connection, &call, ret_object, ret_failure);
}

int service_post(struct connection *connection, const char *path, struct json_object **ret_object,
		 struct failure *ret_failure)
{
	struct connection_call call = {.method = "POST", .path = path};

	return call_object(connection, &call, ret_object, ret_failure);
}

int job_get(struct connection *connection, int64_t job, int64_t deadline_ms,
	    struct json_object **ret_batch, struct failure *ret_failure)
{
	auto_free char *path = job_path(job, "");

	return service_get(connection, path, deadline_ms, ret_batch, ret_failure);
}

int job_post(struct connection *connection, int64_t job, const char *suffix, const char *key,
	     struct json_object **ret_batch, struct failure *ret_failure)
{
	auto_free char *path = job_path(job, suffix);
	struct connection_call call = {.method = "POST", .path = path, .key = key};

	return call_object(connection, &call, ret_batch, ret_failure);
}

char *job_path(int64_t job, const char *suffix)
{
	return xasprintf("%s/%s%" PRId64 "%s", PROTOCOL_BATCHES, PROTOCOL_BATCH_PREFIX, job,
			 suffix);
}

int64_t job_number(struct json_object *batch)
{
	int64_t job = json_number(batch, "batchd.job", 0);

	return job > 0 || words_job(json_text(batch, "id", ""), &job) == 0 ? job : 0;
}

const char *job_eta(struct json_object *object, const char *member, char *out)
{
	int64_t seconds = json_number(object, member, -1);
	char elapsed[WORDS_FIGURE];

	if (seconds < 0)
		return "-";
	(void)snprintf(out, WORDS_FIGURE, "~%s", words_elapsed(seconds, elapsed));
	return out;
}

const char *job_status(struct json_object *batch)
{
	return json_text(batch, "status", "-");
}

bool job_is_over(struct json_object *batch)
{
	for (size_t i = 0; i < ARRAY_SIZE(statuses); i++)
		if (strcmp(statuses[i].name, job_status(batch)) == 0)
			return statuses[i].is_over;
	return false;
}

int job_outcome(struct json_object *batch)
{
	if (!job_is_over(batch))
		return EXIT_NOT_FINISHED;
	if (strcmp(job_status(batch), "completed") != 0)
		return EXIT_ENDED;
	return count_of(batch, "batchd.counts.ok", "request_counts.completed") == job_total(batch)
		       ? EXIT_DONE
		       : EXIT_SOME_FAILED;
}

bool job_is_held(struct json_object *shard)
{
	static const char *const ended[] = {"collected", "dropped", "cancelled"};

	for (size_t i = 0; i < ARRAY_SIZE(ended); i++)
		if (strcmp(json_text(shard, "state", ""), ended[i]) == 0)
			return false;
	return json_text(shard, "why", NULL) && !json_at(shard, "due_at");
}

struct json_object *job_shards(struct json_object *batch, size_t *ret_count)
{
	struct json_object *shards = json_at(batch, "batchd.shards");

	*ret_count =
		json_object_is_type(shards, json_type_array) ? json_object_array_length(shards) : 0;
	return shards;
}

size_t job_held(struct json_object *batch)
{
	size_t count, held = 0;
	struct json_object *shards = job_shards(batch, &count);

	for (size_t i = 0; i < count; i++)
		held += job_is_held(json_object_array_get_idx(shards, i));
	return held;
}

int64_t job_total(struct json_object *batch)
{
	return count_of(batch, "batchd.counts.total", "request_counts.total");
}

int64_t job_done(struct json_object *batch)
{
	/* request_counts move with the provider's reports, before answers are here: the livelier of
	 * both. */
	int64_t reported = json_number(batch, "request_counts.completed", 0) +
			   json_number(batch, "request_counts.failed", 0);
	int64_t here = json_number(batch, "batchd.counts.ok", 0) + job_failed(batch);

	return here > reported ? here : reported;
}

int64_t job_failed(struct json_object *batch)
{
	int64_t failed = json_number(batch, "batchd.counts.failed", 0) +
			 json_number(batch, "batchd.counts.cancelled", 0) +
			 json_number(batch, "batchd.counts.expired", 0);
	int64_t reported = json_number(batch, "request_counts.failed", 0);

	return failed > reported ? failed : reported;
}

enum output_colour job_colour(struct json_object *batch)
{
	for (size_t i = 0; i < ARRAY_SIZE(statuses); i++)
		if (strcmp(statuses[i].name, job_status(batch)) == 0)
			return statuses[i].colour;
	return OUTPUT_PLAIN;
}

int job_read_id(const char *word, int64_t *ret_job)
{
	if (words_job(word, ret_job) < 0)
		return output_fail(EXIT_USAGE, NULL, 0, "%s is not a job id", word);
	return 0;
}
