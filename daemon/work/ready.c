#include "daemon/work/ready.h"

#include "daemon/base/alloc.h"
#include "daemon/base/cleanup.h"
#include "daemon/io/config.h"
#include "daemon/io/loop.h"
#include "daemon/model/backoff.h"
#include "daemon/model/dialect.h"
#include "daemon/work/api.h"
#include "daemon/work/api_parse.h"
#include "daemon/work/provider.h"
#include "daemon/work/redo.h"
#include "daemon/work/task.h"

#define PATIENCE_MS (30 * 60 * 1000)
#define LONGEST_MS (60 * 1000)
/* Files that could not be taken in are followed by so many new uploads. */
#define NEW_UPLOADS 2

struct ready {
	void (*on_ready)(struct task *task);
};

static void go_on(struct task *task)
{
	void (*on_ready)(struct task *task) = ((struct ready *)task->work)->on_ready;

	free(take(task->work));
	on_ready(task);
}

/* A clock that was set back since would make the wait last for years. */
static bool is_patient(const struct task *task)
{
	int64_t now = task_now(task);

	return now >= task->shard.uploaded_at && now < task->shard.uploaded_at + PATIENCE_MS;
}

static void wait_or_go_on(struct task *task, const char *words)
{
	const struct config_provider *config = task->provider->config;
	int64_t longest_ms = config->retry_longest < LONGEST_MS ? config->retry_longest : LONGEST_MS;
	auto_free char *impatient = NULL;

	if (is_patient(task)) {
		task->wait_ms = backoff_poll_ms(config->retry_first, longest_ms, (uint32_t)task->shard.polls++,
						loop_random(task_loop(task)));
		task_finish(task, TASK_NOT_YET, words);
		return;
	}
	impatient = xasprintf("%s; the batch is created all the same", words);
	task_tell(task, "shard.note", "warning", impatient);
	go_on(task);
}

static void on_broken(struct task *task)
{
	static const char words[] = "the provider could not take the file in";
	const struct config_provider *config = task->provider->config;

	if (task_is_cancelled(task))
		task_go(task, SHARD_CANCELLED, "cancelled before a batch was created");
	else if (task->shard.redone < NEW_UPLOADS)
		redo_same(task, SHARD_CUT,
			  backoff_retry_ms(config->retry_first, config->retry_longest,
					   (uint32_t)task->shard.redone + 1, loop_random(task_loop(task))),
			  words);
	else
		task_finish(task, TASK_HOPELESS, words);
}

static void on_file(struct task *task, const struct api_answer *answer)
{
	struct api_file file = { 0 };
	auto_free char *words = NULL;

	(void)api_parse_file(answer->body, answer->size, &file, NULL);
	words = xasprintf("the provider is taking the file in: %s", file.status ? file.status : "-");
	switch (api_file_state_of(file.status)) {
	case API_FILE_READY:
		go_on(task);
		break;
	case API_FILE_BROKEN:
		on_broken(task);
		break;
	case API_FILE_UNDER_WAY:
		wait_or_go_on(task, words);
		break;
	}
	api_file_release(&file);
}

static void on_asked(const struct api_answer *answer, void *context)
{
	struct task *task = context;

	task->request = NULL;
	switch (answer->verdict) {
	case API_OK:
		on_file(task, answer);
		break;
	case API_GONE:
		wait_or_go_on(task, "the provider does not show the file yet");
		break;
	case API_REFUSED:
	case API_TOO_LARGE:
	case API_DOUBT:
		/* It has no such call: the create will tell. */
		go_on(task);
		break;
	case API_AGAIN:
	case API_FULL:
	case API_PAUSE:
		task_finish_answer(task, answer);
		break;
	}
}

void ready_await(struct task *task, void (*on_ready)(struct task *task))
{
	struct ready *ready;

	if (!api_terms(task->provider->api)->waits_for_file) {
		on_ready(task);
		return;
	}
	ready = xcalloc(1, sizeof(*ready));
	ready->on_ready = on_ready;
	task->work = ready;
	task->work_free = free;
	task->request = api_file(task->provider->api, task->shard.provider_file, on_asked, task);
}
