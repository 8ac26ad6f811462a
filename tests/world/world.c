#include "tests/world/world.h"

#include <dirent.h>
#include <errno.h>
#include <ftw.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "daemon/base/alloc.h"
#include "daemon/base/buffer.h"
#include "daemon/base/cleanup.h"
#include "daemon/base/error.h"
#include "daemon/base/log.h"
#include "daemon/io/spool.h"
#include "daemon/io/store_sql.h"
#include "daemon/io/vault.h"
#include "daemon/work/pipeline.h"
#include "daemon/work/provider.h"
#include "daemon/work/scheduler.h"
#include "daemon/work/strays.h"
#include "tests/sim/blob.h"
#include "tests/world/loop.h"

#define WEEK_MS (7 * 24 * 60 * 60 * 1000LL)
#define MAX_TURNS 200000
/* The folder is the machine's memory: a test that goes round in circles must end before that is full. */
#define MOST_TURNS 2000000
#define MOST_FILE_BYTES (256 << 20)
#define MOST_FOLDER_BYTES (INT64_C(1) << 30)
#define WEIGH_EVERY 4096 /* turns */

/* clang-format off */
static const struct config_provider quick = {
	.name             = (char *)(uintptr_t) "sim",
	.base_url         = (char *)(uintptr_t) "http://sim/v1",
	.poll_first       = 5000,
	.poll_longest     = 60000,
	.settle           = 600000,
	.retry_first      = 5000,
	.retry_longest    = 900000,
	.connect_timeout  = 10000,
	.call_timeout     = 60000,
	.stall_timeout    = 60000,
	.max_requests     = 50000,
	.max_bytes        = 200000000,
	.max_inputs       = 50000,
	.bytes_per_token  = 4,
	.max_attempts     = 3,
	.probe_lost       = 3600000,
	.resend_lost      = 100,
	.batch_discount   = 5000,
	.max_transfers    = 4,
	.delete           = CONFIG_DELETE_STRAYS,
	.delete_results_after = 86400000,
	.move_after       = 600000,
	.stuck_after      = 86400000,
	.breaker          = 5,
};
/* clang-format on */

/* A step that cannot fail, unless the machine does. */
static void require(bool is_done, const char *what)
{
	if (is_done)
		return;
	(void)fprintf(stderr, "the world ends: %s\n", what);
	abort();
}

/* Nobody sets the provider's clock. */
static int64_t clock_of_sim(void *context)
{
	return loop_true_ms(context);
}

static void on_event(int64_t job, int64_t seq, void *context)
{
	struct world *world = context;

	(void)job;
	world->gaps += seq != world->newest + 1;
	world->newest = seq;
}

static void on_idle(void *context)
{
	struct world *world = context;

	if (world->scheduler)
		scheduler_kick(world->scheduler);
	if (world->strays)
		strays_kick(world->strays);
}

static void on_fatal(int status, void *context)
{
	struct world *world = context;

	world->fatal = status;
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *place)
{
	(void)status, (void)type, (void)place;
	return remove(path);
}

static int64_t weight;

static int weigh_one(const char *path, const struct stat *status, int type, struct FTW *place)
{
	(void)path, (void)type, (void)place;
	weight += status->st_size;
	return 0;
}

static void weigh(struct world *world)
{
	require(world->turns < MOST_TURNS, "it turns for ever");
	if (world->turns % WEIGH_EVERY)
		return;
	weight = 0;
	(void)nftw(world->folder, weigh_one, 8, FTW_PHYS);
	require(weight < MOST_FOLDER_BYTES, "its folder is too large");
}

static int count_entries(const char *path)
{
	DIR *folder = opendir(path);
	int count = 0;

	while (folder && readdir(folder))
		count++;
	if (folder)
		(void)closedir(folder);
	return count;
}

/* The schema is the same every time, and takes longer than many a life: a store is made once, and copied. */
static void copy_empty_store(const char *path)
{
	static struct buffer bytes;
	struct error err = { 0 };
	auto_fclose FILE *file = NULL;

	if (!bytes.size) {
		char block[4096];
		size_t size;
		struct store *store;

		require(store_open(path, 1, &store, &err) == 0, err.text);
		store_close(store);
		file = fopen(path, "re");
		require(file != NULL, "no empty store");
		while ((size = fread(block, 1, sizeof(block), file)))
			buffer_add(&bytes, block, size);
		return;
	}
	file = fopen(path, "we");
	require(file && fwrite(bytes.data, 1, bytes.size, file) == bytes.size, "an empty store cannot be copied");
}

static void keep_key(struct world *world)
{
	auto_free char *path = xasprintf("%s/key", world->folder);
	auto_fclose FILE *file = fopen(path, "we");

	require(file && fputs(world->sim_config.key, file) >= 0, "the key cannot be kept");
	require(fchmod(fileno(file), 0600) == 0, "the key cannot be kept");
	world->provider.api_key_file = take(path);
}

static void open_state(struct world *world)
{
	auto_free char *path = xasprintf("%s/batchd.db", world->folder);
	int64_t copied_at;
	struct error err = { 0 };

	require(spool_open(world->folder, &world->spool, &err) == 0, err.text);
	if (!world->makes_store && access(path, F_OK) < 0)
		copy_empty_store(path);
	require(store_open(path, loop_random(world->loop), &world->store, &err) == 0, err.text);
	require(store_restore(world->store, world_now(world), &copied_at, &err) == 0, err.text);
	world->vault = vault_new(world->store, world->spool);
	require(vault_sweep(world->vault, &err) == 0, err.text);
}

void world_start(struct world *world)
{
	const struct pipeline_callbacks callbacks = {
		.on_event = on_event,
		.on_idle = on_idle,
		.on_fatal = on_fatal,
		.context = world,
	};
	struct error err = { 0 };

	world->fds = count_entries("/proc/self/fd");
	open_state(world);
	world->newest = store_event_newest(world->store);
	world->http = http_new(world->loop, "world");
	http_connect(world->http, &world->network);
	require(providers_new(world->loop, world->http, &world->config, &world->providers, &err) == 0, err.text);
	world->pipeline =
		pipeline_new(world->loop, world->store, world->vault, world->providers, &callbacks);
	world->scheduler = scheduler_new(world->loop, world->store, world->providers, world->pipeline);
	world->strays = strays_new(world->loop, world->store, world->pipeline, world->providers);
}

void world_kill(struct world *world)
{
	if (!world->store)
		return;
	/* What waits for a commit is told that there was none, so that it is not leaked; then nobody is left to act on it. */
	world->store->failure = -ECANCELED;
	(void)store_commit(world->store, NULL);
	strays_free(take(world->strays));
	scheduler_free(take(world->scheduler));
	pipeline_free(take(world->pipeline));
	providers_free(take(world->providers));
	http_free(take(world->http));
	vault_free(take(world->vault));
	store_close(take(world->store));
	spool_close(take(world->spool));
	require(loop_timer_count(world->loop) == 0, "the dead left a timer behind");
	world->leaked += count_entries("/proc/self/fd") != world->fds;
	loop_go_on(world->loop);
}

void world_lose_power(struct world *world, const char *folder)
{
	loop_lose_power(world->loop);
	(void)snprintf(world->folder, sizeof(world->folder), "%s", folder);
	world->scheduler = NULL;
	world->strays = NULL;
	world->pipeline = NULL;
	world->providers = NULL;
	world->http = NULL;
	world->vault = NULL;
	world->store = NULL;
	world->spool = NULL;
}

struct world *world_new(const struct sim_config *sim, uint64_t seed)
{
	const struct rlimit most = { MOST_FILE_BYTES, MOST_FILE_BYTES };
	struct world *world = xcalloc(1, sizeof(*world));
	bool has_memory = access("/dev/shm", W_OK) == 0;

	(void)setrlimit(RLIMIT_FSIZE, &most);
	log_set_level(LOG_LEVEL_ERROR);
	(void)snprintf(world->folder, sizeof(world->folder), "%s/batchd-XXXXXX",
		       has_memory ? "/dev/shm" : "/tmp");
	require(mkdtemp(world->folder) != NULL, "no temporary folder");
	world->loop = loop_new();
	loop_seed(world->loop, seed);
	if (sim)
		world->sim_config = *sim;
	world->sim_config.seed = seed;
	world->sim = sim_new(&world->sim_config, clock_of_sim, world->loop);
	world->network = (struct http_network){ .sim = world->sim, .latency_ms = 20 };
	world->provider = quick;
	if (world->sim_config.key)
		keep_key(world);
	world->config = (struct config){ .providers = &world->provider, .provider_count = 1 };
	world_start(world);
	return world;
}

size_t world_add_provider(struct world *world, const char *name, const struct sim_config *sim)
{
	size_t number = world->config.provider_count++;
	struct sim_config config = *sim;

	require(number < WORLD_MOST_PROVIDERS, "too many providers");
	/* Its ids are not those of another. */
	config.seed = world->sim_config.seed + number;
	world->sims[number] = sim_new(&config, clock_of_sim, world->loop);
	world->network.hosts[world->network.host_count++] = (struct http_host){ name, world->sims[number] };
	world->sections[number] = quick;
	world->sections[number].name = (char *)(uintptr_t)name;
	world->sections[number].base_url = xasprintf("http://%s/v1", name);
	world_kill(world);
	world_start(world);
	return number;
}

void world_free(struct world *world)
{
	world_kill(world);
	http_forget_late(&world->network);
	sim_free(world->sim);
	for (size_t i = 1; i < WORLD_MOST_PROVIDERS; i++) {
		sim_free(world->sims[i]);
		free(world->sections[i].base_url);
	}
	loop_free(world->loop);
	(void)nftw(world->folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
	if (world->sim_config.key)
		free(world->provider.api_key_file);
	free(world);
}

void world_script_of(struct world *world, size_t provider, const char *json)
{
	struct error err = { 0 };

	require(sim_add_script(world->sims[provider], json, strlen(json), &err) == 0, err.text);
}

void world_script(struct world *world, const char *json)
{
	world_script_of(world, 0, json);
}

static void commit(struct world *world)
{
	struct error err = { 0 };

	require(store_commit(world->store, &err) == 0, err.text);
}

int64_t world_submit_as(struct world *world, const struct job *wish, const char *input)
{
	int64_t uid = wish->uid;
	struct vault_writer *writer = vault_writer_new(world->vault, VAULT_FILE_LIMIT);
	const struct store_file file = {
		.uid = uid,
		.purpose = (char *)(uintptr_t) "batch",
		.bytes = (int64_t)strlen(input),
		.created_at = world_now(world),
	};
	struct job job = {
		.uid = uid,
		.input_file = store_file_add(world->store, &file),
		.endpoint = (char *)(uintptr_t) "/v1/chat/completions",
		.window = (char *)(uintptr_t) "24h",
		.provider = world->provider.name,
		.priority = wish->priority,
		.begin_at = wish->begin_at,
		.after_job = wish->after_job,
		.deadline_at = wish->deadline_at,
		.is_on_hold = wish->is_on_hold,
		.budget_tokens = wish->budget_tokens,
		.budget_cost = wish->budget_cost,
		.providers = wish->providers,
	};

	require(vault_write(writer, input, strlen(input), NULL) == 0, "no room for an input");
	require(vault_keep_file(writer, job.input_file, NULL) == 0, "an input was not kept");
	require(pipeline_accept(world->pipeline, &job) != 0, "a job was not stored");
	commit(world);
	scheduler_kick(world->scheduler);
	return job.id;
}

int64_t world_submit_for(struct world *world, int64_t uid, const char *input)
{
	return world_submit_as(world, &(struct job){ .uid = uid, .priority = JOB_PRIORITY }, input);
}

int64_t world_submit_to(struct world *world, const char *providers, const char *input)
{
	return world_submit_as(world, &(struct job){ .uid = WORLD_UID, .priority = JOB_PRIORITY,
						     .providers = (char *)(uintptr_t)providers }, input);
}

int64_t world_submit(struct world *world, const char *input)
{
	return world_submit_for(world, WORLD_UID, input);
}

int64_t world_retry(struct world *world, int64_t old_job)
{
	auto_job old = world_job(world, old_job);
	struct job job = {
		.uid = old.uid,
		.input_file = old.input_file,
		.endpoint = old.endpoint,
		.window = old.window,
		.provider = old.provider,
		.providers = old.providers,
		.retry_of = old.id,
	};

	require(pipeline_accept(world->pipeline, &job) != 0, "a job was not stored");
	commit(world);
	scheduler_kick(world->scheduler);
	return job.id;
}

int world_cancel(struct world *world, int64_t job)
{
	int r = pipeline_cancel(world->pipeline, job);

	commit(world);
	scheduler_kick(world->scheduler);
	return r;
}

void world_turn(struct world *world)
{
	loop_run_once(world->loop, 1);
	commit(world);
	world->turns++;
	weigh(world);
}

void world_lose_turn(struct world *world)
{
	loop_run_once(world->loop, 1);
	world->turns++;
	weigh(world);
	world_kill(world);
	world_start(world);
}

bool world_turn_mortal(struct world *world)
{
	loop_run_once(world->loop, 1);
	world->turns++;
	weigh(world);
	if (!loop_is_halted(world->loop)) {
		commit(world);
		return true;
	}
	world_kill(world);
	world_start(world);
	return false;
}

bool world_run(struct world *world, int64_t limit_ms,
	       bool (*is_reached)(struct world *world, void *context), void *context)
{
	int64_t end = world_now(world) + limit_ms;
	int64_t last_turn = world->turns + MAX_TURNS;

	while (!is_reached(world, context)) {
		if (world_now(world) > end || world->turns > last_turn)
			return false;
		world_turn(world);
	}
	return true;
}

static bool has_ended(struct world *world, void *context)
{
	auto_job job = world_job(world, *(int64_t *)context);

	return job_is_ended(job.state) && !job.due_at;
}

enum job_state world_finish(struct world *world, int64_t job)
{
	auto_job end = { 0 };

	(void)world_run(world, WEEK_MS, has_ended, &job);
	end = world_job(world, job);
	return end.state;
}

int64_t world_now(const struct world *world)
{
	return loop_now_ms(world->loop);
}

struct job world_job(struct world *world, int64_t job)
{
	struct job found = { 0 };

	require(store_job_get(world->store, job, &found) == 0, "a job is gone");
	return found;
}

static void keep_id(const struct shard *shard, void *context)
{
	*(int64_t *)context = shard->id;
}

struct shard world_shard(struct world *world, int64_t job, int64_t number)
{
	struct shard found = { 0 };
	int64_t id = 0;

	(void)store_shard_list(world->store, job, number - 1, 1, keep_id, &id);
	if (id)
		(void)store_shard_get(world->store, id, &found);
	return found;
}

char *world_file(struct world *world, int64_t file)
{
	auto_vault_reader reader = VAULT_READER_NONE;
	char *bytes;

	if (!file)
		return xstrdup("");
	require(vault_open_file(world->vault, file, &reader, NULL) == 0, "a result is gone");
	bytes = xcalloc(1, (size_t)reader.size + 1);
	require(vault_read(&reader, 0, bytes, (size_t)reader.size) == reader.size, "a result is short");
	return bytes;
}

struct search {
	const char *type, *part;
	char *found;
};

static void compare_event(const struct store_event *event, void *context)
{
	struct search *search = context;

	if (!search->found && !strcmp(event->type, search->type) && strstr(event->message, search->part))
		search->found = xstrdup(event->message);
}

char *world_event(struct world *world, int64_t job, const char *type, const char *part)
{
	struct search search = { .type = type, .part = part };

	(void)store_event_list(world->store, job, 0, 100000, compare_event, &search);
	return search.found;
}

/* --- the ledger --- */

static const char *no_parameter(const char *name, void *context)
{
	(void)name, (void)context;
	return NULL;
}

static void ask_sim(struct sim *sim, const char *path, struct sim_answer *ret_answer)
{
	const struct sim_request request = {
		.method = "GET",
		.path = path,
		.query = no_parameter,
		.header = no_parameter,
	};

	sim_call(sim, &request, ret_answer);
}

static int64_t number_at(struct json_object *object, const char *name)
{
	return json_object_get_int64(json_object_object_get(object, name));
}

static int64_t larger(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

static void read_requests(struct sim *sim, struct world_ledger *ledger)
{
	struct sim_answer answer;
	char *rest, *line;

	ask_sim(sim, "/sim/ledger/requests", &answer);
	rest = answer.body->data;
	while ((line = strsep(&rest, "\n")) && *line) {
		struct json_object *object = json_tokener_parse(line);

		ledger->requests++;
		ledger->answers += number_at(object, "answered");
		ledger->most_batches = larger(ledger->most_batches, number_at(object, "batches"));
		ledger->most_answers = larger(ledger->most_answers, number_at(object, "answered"));
		json_object_put(object);
	}
	sim_answer_release(&answer);
}

static int64_t count_live(struct json_object *batches)
{
	static const char *const ended[] = { "completed", "failed", "expired", "cancelled" };
	int64_t live = 0;

	json_object_object_foreach(batches, id, batch) {
		const char *status = json_object_get_string(json_object_object_get(batch, "status"));

		(void)id;
		live++;
		for (size_t i = 0; i < ARRAY_SIZE(ended); i++)
			live -= !strcmp(status, ended[i]);
	}
	return live;
}

struct world_ledger world_ledger_of(struct world *world, size_t provider)
{
	struct world_ledger ledger = { 0 };
	struct sim_answer answer;
	struct json_object *object, *calls;

	ask_sim(world->sims[provider], "/sim/ledger", &answer);
	object = json_tokener_parse(answer.body->data);
	calls = json_object_object_get(object, "calls");
	ledger.uploads = number_at(object, "files_created");
	ledger.batches = number_at(object, "batches_created");
	ledger.successes = number_at(object, "requests_succeeded");
	ledger.live = count_live(json_object_object_get(object, "batches"));
	ledger.creates = number_at(calls, "create");
	ledger.lists = number_at(calls, "list");
	ledger.cancels = number_at(calls, "cancel");
	json_object_put(object);
	sim_answer_release(&answer);
	read_requests(world->sims[provider], &ledger);
	return ledger;
}

struct world_ledger world_ledger(struct world *world)
{
	return world_ledger_of(world, 0);
}

char *world_requests(size_t count, const char *more)
{
	struct buffer text = { 0 };

	for (size_t i = 1; i <= count; i++)
		buffer_add_format(&text,
				  "{\"custom_id\":\"r-%zu\",\"method\":\"POST\",\"url\":\"/v1/chat/completions\","
				  "\"body\":{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":"
				  "\"number %zu\"}]%s}}\n",
				  i, i, more);
	(void)buffer_text(&text);
	return text.data;
}
