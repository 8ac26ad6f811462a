#include "daemon/work/orphans.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/base/alloc.h"
#include "daemon/base/cleanup.h"
#include "daemon/base/log.h"
#include "daemon/io/config.h"
#include "daemon/io/loop.h"
#include "daemon/io/store.h"
#include "daemon/work/api.h"
#include "daemon/work/api_parse.h"
#include "daemon/work/lane.h"
#include "daemon/work/pages.h"
#include "daemon/work/provider.h"
#include "daemon/work/strays.h"
#include "daemon/work/tidy.h"

/* What is kept of a provider: when its list was read. */
#define SWEPT "files_swept"
/* After a first start: a daemon that is started again and again must not read long lists each time. */
#define FIRST_WAIT_MS (10 * 60 * 1000)
/* A page that cannot be had so often ends the reading. */
#define MOST_FAILURES 5
#define MARKER_DIGITS 24

struct orphans {
	struct pages pages;
	int64_t found;
	int64_t failures;
};

/* The marker in a name that is of our making; false: it is not. */
static bool read_marker(const char *name, char ret_marker[MARKER_DIGITS + 1])
{
	static const char before[] = "batchd-";
	auto_free char *whole = NULL;

	if (!name || strncmp(name, before, sizeof(before) - 1) != 0)
		return false;
	name += sizeof(before) - 1;
	if (strspn(name, "0123456789abcdef") != MARKER_DIGITS)
		return false;
	memcpy(ret_marker, name, MARKER_DIGITS);
	ret_marker[MARKER_DIGITS] = '\0';
	whole = strays_file_name(ret_marker);
	return strcmp(whole, name - (sizeof(before) - 1)) == 0;
}

/*
 * Whether the shard needs its input no more. The file of one that was dropped, or cancelled, may be another's of its job, which some
 * servers list under an id of their own: it waits for the job's end.
 */
static bool is_free(struct lane *lane, const struct shard *shard)
{
	auto_job job = { 0 };

	return tidy_is_input_free(shard) &&
	       (shard->state == SHARD_COLLECTED ||
		(!store_job_get(lane->store, shard->job, &job) && job_is_ended(job.state)));
}

static void visit_file(const struct api_file *file, void *context)
{
	struct lane *lane = context;
	struct orphans *orphans = lane->orphans;
	const char *provider = lane->provider->config->name;
	int64_t now = loop_now_ms(lane->loop), number = 0;
	char marker[MARKER_DIGITS + 1];
	auto_shard shard = { 0 };

	pages_note(&orphans->pages, file->created_at);
	if (!read_marker(file->name, marker) || (file->purpose && strcmp(file->purpose, "batch") != 0) ||
	    store_shard_marked(lane->store, marker, &number) || store_shard_get(lane->store, number, &shard) ||
	    !is_free(lane, &shard) || store_stray_is_needed(lane->store, file->id) != 0 ||
	    store_stray_is_known(lane->store, provider, file->id) != 0)
		return;
	orphans->found++;
	(void)store_stray_add(lane->store, &(struct store_stray){
						   .provider = (char *)(uintptr_t)provider,
						   .shard = number,
						   .name = file->name,
						   .file_id = file->id,
						   .bytes = shard.bytes,
						   .sent_at = now,
						   .due_at = now,
						   .kind = STRAY_INPUT,
					   });
}

static void end_reading(struct lane *lane, const char *why)
{
	const struct config_provider *config = lane->provider->config;
	int64_t now = loop_now_ms(lane->loop);
	const struct store_learned swept = {
		.model = (char *)(uintptr_t)"",
		.name = (char *)(uintptr_t)SWEPT,
		.value = lane->orphans->found,
		.at = now,
	};

	if (why)
		log_info("the provider's list of files was not read to its end", log_text("PROVIDER", config->name),
			 log_text("WHY", why));
	if (lane->orphans->found)
		log_info("inputs that nobody needs any more were found", log_text("PROVIDER", config->name),
			 log_number("COUNT", lane->orphans->found));
	store_learned_set(lane->store, config->name, &swept);
	lane->orphans_at = now + config->sweep_files;
	/* With all that is under way. */
	lane_settle(lane);
}

static void on_failed(struct lane *lane, int64_t retry_after_ms, const char *why)
{
	if (++lane->orphans->failures == MOST_FAILURES)
		end_reading(lane, why);
	lane_rest(lane, retry_after_ms);
	strays_kick(lane->strays);
}

static void on_page(const struct api_answer *answer, void *context)
{
	struct lane *lane = context;
	struct pages *pages = &lane->orphans->pages;
	char *last_id = NULL;
	int has_more = -1, more;

	lane->request = NULL;
	if (answer->verdict == API_REFUSED || answer->verdict == API_GONE) {
		end_reading(lane, pages->after ? "it does not go on" : "it lists none");
		return;
	}
	if (answer->verdict != API_OK) {
		on_failed(lane, answer->retry_after_ms, "the provider could not be asked");
		return;
	}
	pages_begin(pages);
	if (api_parse_files(answer->body, answer->size, visit_file, lane, &has_more, &last_id, NULL)) {
		on_failed(lane, -1, "it cannot be read");
		return;
	}
	lane_pause(lane, LANE_GAP_MS);
	more = pages_end(pages, has_more, last_id);
	if (more > 0)
		strays_kick(lane->strays);
	else
		end_reading(lane, more ? "it is too long, or goes in a circle" : NULL);
}

void orphans_init(struct lane *lane)
{
	const struct config_provider *config = lane->provider->config;
	int64_t now = loop_now_ms(lane->loop);
	struct store_learned swept = { 0 };

	lane->orphans_at = now + FIRST_WAIT_MS;
	if (store_learned_get(lane->store, config->name, "", SWEPT, &swept))
		return;
	free(swept.words);
	/* A time to come is of a clock that was set back since. */
	if (swept.at <= now && swept.at + config->sweep_files > lane->orphans_at)
		lane->orphans_at = swept.at + config->sweep_files;
}

bool orphans_are_read(struct lane *lane)
{
	if (!lane->orphans)
		return false;
	lane->request = api_list_files(lane->provider->api, lane->orphans->pages.after, on_page, lane);
	return true;
}

void orphans_read(struct lane *lane)
{
	const struct config_provider *config = lane->provider->config;
	int64_t now = loop_now_ms(lane->loop);

	/* The same for what is due. */
	if (lane->orphans_at > now + config->sweep_files + FIRST_WAIT_MS)
		lane->orphans_at = now + config->sweep_files;
	if (!config->sweep_files || lane->is_unable || !strays_may_delete(lane->provider, STRAY_INPUT) ||
	    now < lane->orphans_at)
		return;
	lane->orphans = xcalloc(1, sizeof(*lane->orphans));
	(void)orphans_are_read(lane);
}

void orphans_free(struct orphans *orphans)
{
	if (!orphans)
		return;
	pages_release(&orphans->pages);
	free(orphans);
}
