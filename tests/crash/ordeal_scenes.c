#include "tests/crash/ordeal.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/alloc.h"
#include "daemon/base/cleanup.h"
#include "tests/crash/older.h"

#define NEVER_MS "600000"
#define HELD	 "\"action\":\"delay\",\"ms\":" NEVER_MS
#define JSONL	 "Content-Type: application/jsonl\r\n"
#define SUBMIT	 "/v1/batches?endpoint=/v1/chat/completions&completion_window=24h"
#define BOUNDARY "ordeal-5f1d3c"
#define SEVERAL	 4

/* --- what a client wants, and says until it is heard --- */

/* A refusal is a sentence, and no lie: trouble of ours is not the client's. */
static bool was_done(struct ordeal *ordeal, const char *what, struct answer *answer)
{
	const char *text = buffer_text(&answer->text);
	bool is_full = ordeal->plan && (ordeal->plan->only == ONLY_GROWTH);

	if (answer->status >= 200 && answer->status < 300)
		return answer->is_whole;
	if (!answer->status)
		return false;
	if (answer->status < 500)
		complain(ordeal, "%s is answered by %d: %.300s", what, answer->status, text);
	else if (answer->is_whole && !strstr(text, "\"message\""))
		complain(ordeal, "%s is refused (%d) without a sentence: %.300s", what, answer->status, text);
	else if (is_full && answer->status != 507 && ordeal->is_killable && ordeal->board->is_armed)
		complain(ordeal, "%s is refused by %d though the disk is full: %.300s", what, answer->status, text);
	return false;
}

static char *input_text(struct ordeal *ordeal, size_t *ret_size)
{
	auto_free char *path = xasprintf("%s/%s.jsonl", ordeal->folder, ordeal->input);

	return file_text(path, ret_size);
}

/* Calls path with POST; headers may be NULL. */
static bool post(struct ordeal *ordeal, const char *what, const char *path, const char *headers, const char *body,
		 size_t size)
{
	auto_answer answer = { 0 };

	ask(ordeal, ordeal->door, "POST", path, headers, body, size, &answer);
	return was_done(ordeal, what, &answer);
}

static bool submit(struct ordeal *ordeal, const char *key)
{
	auto_free char *headers = xasprintf(JSONL "Idempotency-Key: %s\r\n", key);
	size_t size;
	auto_free char *body = input_text(ordeal, &size);

	return post(ordeal, "submit", SUBMIT, headers, body, size);
}

static bool follow(struct ordeal *ordeal, int job)
{
	auto_free char *path = xasprintf("/v1/batches/%d/events?follow=1", job);
	auto_answer answer = { 0 };

	ask(ordeal, ordeal->door, "GET", path, NULL, NULL, 0, &answer);
	if (answer.status && answer.status != 200)
		return was_done(ordeal, "events", &answer);
	return answer.status == 200 && strstr(buffer_text(&answer.text), "\"is_last\":true");
}

static bool job_ends(struct ordeal *ordeal)
{
	return submit(ordeal, "one") && follow(ordeal, 1);
}

/* --- scenes that begin with nothing --- */

static void nothing(struct ordeal *ordeal)
{
	(void)ordeal;
}

static void expire_and_lose_file(struct ordeal *ordeal)
{
	sim_tell(ordeal, "/sim/script",
		 "[{\"call\":\"create\",\"nth\":1,\"action\":\"expire\",\"percent\":50},"
		 "{\"call\":\"create\",\"nth\":2,\"action\":\"file_not_found\"}]");
}

/* As a client sends what it does not know the length of. */
static bool in_chunks(struct ordeal *ordeal)
{
	size_t size, half;
	auto_free char *body = input_text(ordeal, &size);
	auto_buffer chunks = { 0 };

	half = size / 2;
	buffer_add_format(&chunks, "%zx\r\n", half);
	buffer_add(&chunks, body, half);
	buffer_add_format(&chunks, "\r\n%zx\r\n", size - half);
	buffer_add(&chunks, body + half, size - half);
	buffer_add_text(&chunks, "\r\n0\r\n\r\n");
	return post(ordeal, "submit", SUBMIT, JSONL "Idempotency-Key: one\r\n" ASK_CHUNKED, chunks.data, chunks.size) &&
	       follow(ordeal, 1);
}

/* Jobs that are sent and answered side by side. */
static bool several(struct ordeal *ordeal)
{
	size_t size;
	auto_free char *body = input_text(ordeal, &size);
	int connections[SEVERAL];
	bool are_done = true;

	for (int i = 0; i < SEVERAL; i++) {
		auto_free char *headers = xasprintf(JSONL "Idempotency-Key: several-%d\r\n", i);

		connections[i] = ask_begin(ordeal, ordeal->door, "POST", SUBMIT, headers, body, size);
	}
	for (int i = 0; i < SEVERAL; i++) {
		auto_answer answer = { 0 };

		ask_end(ordeal, connections[i], &answer);
		are_done &= was_done(ordeal, "submit", &answer);
	}
	for (int i = 0; are_done && i < SEVERAL; i++)
		are_done = follow(ordeal, i + 1);
	return are_done;
}

/* The id of the input that is there, whatever number it got: one that a failure took is not given again. NULL: none, or not known. */
static char *input_id(struct ordeal *ordeal, bool *ret_is_known)
{
	auto_answer list = { 0 };
	const char *id;

	ask(ordeal, ordeal->door, "GET", "/v1/files?purpose=batch", NULL, NULL, 0, &list);
	*ret_is_known = was_done(ordeal, "list of files", &list);
	id = *ret_is_known ? strstr(buffer_text(&list.text), "\"file-") : NULL;
	return id ? xmemdup0(id + 1, strcspn(id + 1, "\"")) : NULL;
}

/* A file, then a job of it: what is there already is not sent again. */
static bool upload(struct ordeal *ordeal)
{
	size_t size;
	auto_free char *input = input_text(ordeal, &size);
	auto_buffer form = { 0 };
	bool is_known;
	auto_free char *id = input_id(ordeal, &is_known);

	if (id || !is_known)
		return id != NULL;
	buffer_add_text(&form, "--" BOUNDARY "\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nbatch\r\n");
	buffer_add_text(&form, "--" BOUNDARY "\r\nContent-Disposition: form-data; name=\"file\"; filename=\"in.jsonl\"\r\n\r\n");
	buffer_add(&form, input, size);
	buffer_add_text(&form, "\r\n--" BOUNDARY "--\r\n");
	return post(ordeal, "upload", "/v1/files", "Content-Type: multipart/form-data; boundary=" BOUNDARY "\r\n", form.data,
		    form.size);
}

static bool upload_and_create(struct ordeal *ordeal)
{
	bool is_known;
	auto_free char *id = upload(ordeal) ? input_id(ordeal, &is_known) : NULL;
	auto_free char *body = xasprintf("{\"input_file_id\":\"%s\",\"endpoint\":\"/v1/chat/completions\",\"completion_window\":\"24h\"}",
					 id ? id : "");

	return id &&
	       post(ordeal, "create", "/v1/batches", "Content-Type: application/json\r\nIdempotency-Key: one\r\n", body,
		    strlen(body)) &&
	       follow(ordeal, 1);
}

static void have_file(struct ordeal *ordeal)
{
	if (!upload(ordeal))
		complain(ordeal, "the file does not come in");
}

/* One that is gone already was deleted by an answer that did not come. */
static bool delete_file(struct ordeal *ordeal)
{
	auto_answer answer = { 0 }, after = { 0 };

	ask(ordeal, ordeal->door, "DELETE", "/v1/files/file-1", NULL, NULL, 0, &answer);
	if (answer.status != 404 && !was_done(ordeal, "delete", &answer))
		return false;
	ask(ordeal, ordeal->door, "GET", "/v1/files/file-1", NULL, NULL, 0, &after);
	if (after.status == 200)
		complain(ordeal, "a deleted file is there");
	return after.status == 404;
}

/* --- scenes that begin with a job --- */

static void have_job(struct ordeal *ordeal)
{
	if (!job_ends(ordeal))
		complain(ordeal, "the job does not end");
}

static void never_ends(struct ordeal *ordeal)
{
	sim_tell(ordeal, "/sim/script", "{\"action\":\"durations\",\"validate_ms\":" NEVER_MS "}");
	if (!submit(ordeal, "one"))
		complain(ordeal, "the job does not come in");
	free(sim_text(ordeal, "/sim/wait?call=retrieve&count=1"));
}

/* A batch that would never end by itself. */
static bool cancel(struct ordeal *ordeal)
{
	return submit(ordeal, "one") && post(ordeal, "cancel", "/v1/batches/1/cancel", NULL, NULL, 0) && follow(ordeal, 1);
}

static bool retry(struct ordeal *ordeal)
{
	return post(ordeal, "retry", "/v1/batches/1/retry", "Idempotency-Key: again\r\n", NULL, 0) && follow(ordeal, 2);
}

/* All answers of its batch are gone, so it is held until somebody says what to do. */
static void is_held(struct ordeal *ordeal)
{
	auto_answer answer = { 0 };
	int64_t until = now_ms() + 10000;

	sim_tell(ordeal, "/sim/script", "{\"call\":\"content\",\"action\":\"gone\"}");
	if (!submit(ordeal, "one"))
		complain(ordeal, "the job does not come in");
	do {
		answer_release(&answer);
		ask(ordeal, ordeal->door, "GET", "/v1/batches/1", NULL, NULL, 0, &answer);
	} while (!strstr(buffer_text(&answer.text), "batchctl retry") && now_ms() < until);
	if (!strstr(buffer_text(&answer.text), "batchctl retry"))
		complain(ordeal, "it is not held: %.2000s", buffer_text(&answer.text));
	sim_tell(ordeal, "/sim/script?reset=1", "");
}

/* Once it was said, there is nothing to retry any more. */
static bool let_go(struct ordeal *ordeal)
{
	auto_answer answer = { 0 };

	ask(ordeal, ordeal->door, "POST", "/v1/batches/1/retry?lost=resend", NULL, NULL, 0, &answer);
	if (answer.status != 409 && !was_done(ordeal, "retry", &answer))
		return false;
	return follow(ordeal, 1);
}

static bool stream(struct ordeal *ordeal)
{
	auto_answer answer = { 0 };

	ask(ordeal, ordeal->door, "GET", "/v1/batches/1/results?form=lines", NULL, NULL, 0, &answer);
	if (!was_done(ordeal, "results", &answer))
		return false;
	if (ordeal->wanted && answer.is_whole && strcmp(buffer_text(&answer.text), ordeal->wanted->results[0]) != 0)
		complain(ordeal, "the results are not those of the job");
	return true;
}

/* --- the stop, and starts on what is there --- */

/* A stop is all that is asked of the daemon with trouble; who comes after it ends the job. */
static bool stop(struct ordeal *ordeal)
{
	if (!ordeal->is_killable)
		return job_ends(ordeal);
	daemon_end(ordeal, SIGTERM);
	return true;
}

static void is_waiting(struct ordeal *ordeal)
{
	static const char rules[] = "{\"call\":\"create\",\"nth\":1,\"action\":\"delay\",\"ms\":300}";

	sim_tell(ordeal, "/sim/script", rules);
	if (!submit(ordeal, "one"))
		complain(ordeal, "the job does not come in");
	free(sim_text(ordeal, "/sim/wait?call=create&count=1"));
}

/* The daemon is gone in the middle of a call that the API holds back. */
static void die_in(struct ordeal *ordeal, const char *call, const char *rules)
{
	auto_free char *wait = xasprintf("/sim/wait?call=%s&count=1", call);

	sim_tell(ordeal, "/sim/script", rules);
	if (!daemon_start(ordeal, ordeal->batchd) || !submit(ordeal, "one"))
		complain(ordeal, "the job does not come in");
	free(sim_text(ordeal, wait));
	daemon_end(ordeal, SIGKILL);
	sim_tell(ordeal, "/sim/script?reset=1", "");
}

static void in_upload(struct ordeal *ordeal)
{
	die_in(ordeal, "upload", "{\"call\":\"upload\"," HELD "}");
}

static void in_create(struct ordeal *ordeal)
{
	die_in(ordeal, "create", "{\"call\":\"create\"," HELD "}");
}

static void before_create(struct ordeal *ordeal)
{
	die_in(ordeal, "create", "[{\"call\":\"create\",\"action\":\"status\"},{\"call\":\"create\"," HELD "}]");
}

static void in_list(struct ordeal *ordeal)
{
	die_in(ordeal, "list", "[{\"call\":\"create\",\"nth\":1,\"action\":\"drop_before\"},{\"call\":\"list\"," HELD "}]");
}

static void in_poll(struct ordeal *ordeal)
{
	die_in(ordeal, "retrieve", "{\"call\":\"retrieve\"," HELD "}");
}

static void in_fetch(struct ordeal *ordeal)
{
	die_in(ordeal, "content", "{\"call\":\"content\",\"action\":\"stall\",\"stall_at\":20000}");
}

/* The daemon is gone at a rename of its own. */
static void die_at(struct ordeal *ordeal, const char *place)
{
	const struct plan kept = ordeal->kept, *plan = ordeal->plan ? &kept : NULL;
	const struct plan rename_of = { .calls = UINT64_C(1) << CALL_RENAMEAT, .deed = DEED_DIE, .at = 1 };

	ordeal_plan(ordeal, &rename_of);
	(void)snprintf(ordeal->board->match, sizeof(ordeal->board->match), "%s", place);
	ordeal_arm(ordeal, true);
	if (daemon_start(ordeal, ordeal->killable))
		(void)job_ends(ordeal);
	if (!ordeal->board->hits)
		complain(ordeal, "it does not die at %s", place);
	daemon_end(ordeal, SIGKILL);
	ordeal_plan(ordeal, plan);
}

static void in_validate(struct ordeal *ordeal)
{
	die_at(ordeal, "jobs/1/rows");
}

static void in_collect(struct ordeal *ordeal)
{
	die_at(ordeal, "jobs/1/shard-1.done");
}

static void in_merge(struct ordeal *ordeal)
{
	die_at(ordeal, "files/2");
}

/* A job for each state that waits for the API, one behind the other. */
static void in_every_state(struct ordeal *ordeal)
{
	static const struct {
		const char *key, *rules, *wait;
	} jobs[] = {
		{ "one", NULL, "/sim/wait?call=content&count=1" },
		{ "two", "{\"call\":\"content\"," HELD "}", "/sim/wait?call=content&count=2" },
		{ "three", "{\"call\":\"retrieve\"," HELD "}", "/sim/wait?call=create&count=3" },
		{ "four", "{\"call\":\"create\"," HELD "}", "/sim/wait?call=create&count=4" },
		{ "five", "{\"call\":\"upload\"," HELD "}", "/sim/wait?call=upload&count=5" },
	};

	if (!daemon_start(ordeal, ordeal->batchd) || !job_ends(ordeal))
		complain(ordeal, "the first job does not end");
	for (size_t i = 0; i < ARRAY_SIZE(jobs); i++) {
		if (jobs[i].rules)
			sim_tell(ordeal, "/sim/script", jobs[i].rules);
		if (!submit(ordeal, jobs[i].key))
			complain(ordeal, "job %zu does not come in", i + 1);
		free(sim_text(ordeal, jobs[i].wait));
	}
	daemon_end(ordeal, SIGKILL);
	sim_tell(ordeal, "/sim/script?reset=1", "");
}

static bool all_end(struct ordeal *ordeal)
{
	for (int job = 1; job <= 5; job++)
		if (!follow(ordeal, job))
			return false;
	return true;
}

/* Two jobs of schema 2: one ended, one waiting for its batch. */
static void was_older(struct ordeal *ordeal)
{
	auto_free char *path = xasprintf("%s/batchd.db", ordeal->state);

	if (!daemon_start(ordeal, ordeal->batchd) || !job_ends(ordeal))
		complain(ordeal, "the first job does not end");
	sim_tell(ordeal, "/sim/script", "{\"call\":\"retrieve\"," HELD "}");
	if (!submit(ordeal, "two"))
		complain(ordeal, "the second job does not come in");
	free(sim_text(ordeal, "/sim/wait?call=create&count=2"));
	daemon_end(ordeal, SIGKILL);
	sim_tell(ordeal, "/sim/script?reset=1", "");
	if (older_store(path, 2) < 0)
		complain(ordeal, "the older store cannot be made");
}

static bool both_end(struct ordeal *ordeal)
{
	return submit(ordeal, "one") && follow(ordeal, 1) && submit(ordeal, "two") && follow(ordeal, 2);
}

/* clang-format off */
static const struct scene scenes[] = {
	/* name, input, what is the same, before, setup, act, stride, has_died */
	{ "small",      "small", LOOK_ALL,   NULL,           nothing,              job_ends,          0,  false },
	{ "big",        "big",   LOOK_ALL,   NULL,           nothing,              job_ends,          0,  false },
	{ "several",    "small", LOOK_ALL,   NULL,           nothing,              several,           0,  false },
	{ "stdin",      "small", LOOK_ALL,   NULL,           nothing,              in_chunks,         0,  false },
	{ "mixed",      "mixed", LOOK_ALL,   NULL,           nothing,              job_ends,          0,  false },
	{ "tries",      "tries", LOOK_TRIES, NULL,           expire_and_lose_file, job_ends,          0,  false },
	{ "files",      "big",   LOOK_ALL,   NULL,           nothing,              upload_and_create, 0,  false },
	{ "delete",     "big",   LOOK_ALL,   NULL,           have_file,            delete_file,       0,  false },
	{ "cancel",     "small", 0,          NULL,           never_ends,           cancel,            0,  false },
	{ "retry",      "mixed", LOOK_TRIES, NULL,           have_job,             retry,             0,  false },
	{ "held",       "big",   LOOK_TRIES, NULL,           is_held,              let_go,            0,  false },
	{ "stream",     "big",   LOOK_ALL,   NULL,           have_job,             stream,            0,  false },
	{ "stop",       "small", LOOK_ALL,   NULL,           have_job,             stop,              0,  false },
	{ "stop-busy",  "small", LOOK_ALL,   NULL,           is_waiting,           stop,              0,  false },
	{ "start",      "small", LOOK_ALL,   NULL,           NULL,                 job_ends,          0,  false },
	{ "validate",   "big",   LOOK_ALL,   in_validate,    NULL,                 job_ends,          0,  true },
	{ "upload",     "big",   LOOK_ALL,   in_upload,      NULL,                 job_ends,          0,  false },
	{ "create",     "small", LOOK_ALL,   in_create,      NULL,                 job_ends,          0,  false },
	{ "create-not", "small", LOOK_ALL,   before_create,  NULL,                 job_ends,          0,  false },
	{ "list",       "small", LOOK_ALL,   in_list,        NULL,                 job_ends,          0,  false },
	{ "poll",       "small", LOOK_ALL,   in_poll,        NULL,                 job_ends,          0,  false },
	{ "fetch",      "big",   LOOK_ALL,   in_fetch,       NULL,                 job_ends,          0,  true  },
	{ "collect",    "big",   LOOK_ALL,   in_collect,     NULL,                 job_ends,          0,  true },
	{ "merge",      "big",   LOOK_ALL,   in_merge,       NULL,                 job_ends,          0,  true },
	{ "start-busy", "small", LOOK_ALL,   in_every_state, NULL,                 all_end,           0,  false },
	{ "migrate",    "small", LOOK_ALL,   was_older,      NULL,                 both_end,          0,  false },
	{ "wide",       "wide",  LOOK_ALL,   NULL,           nothing,              job_ends,          0,  false },
	{ "huge",       "huge",  LOOK_ALL,   NULL,           nothing,              job_ends,          97, false },
};
/* clang-format on */

const struct scene *scene_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(scenes); i++)
		if (strcmp(scenes[i].name, name) == 0)
			return &scenes[i];
	return NULL;
}

const struct scene *scene_at(size_t index)
{
	return index < ARRAY_SIZE(scenes) ? &scenes[index] : NULL;
}
