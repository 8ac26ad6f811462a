/* A copy of the state folder, and what a look through it finds. Both are for operators: they hold everybody's. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/alloc.h"
#include "daemon/base/cleanup.h"
#include "daemon/base/error.h"
#include "daemon/base/log.h"
#include "daemon/door/visit.h"
#include "daemon/io/child.h"
#include "daemon/io/config.h"
#include "daemon/io/loop.h"
#include "daemon/io/server.h"
#include "daemon/protocol.h"
#include "daemon/work/backup.h"

/* Of one turn: long enough to be worth it, short enough that nobody else notices. */
#define TURN_BUDGET_US 1000
#define STEPS_A_CALL 8

struct saving {
	struct visit *visit;
	struct backup *backup;
	struct loop_timer *again;
	bool is_streaming;
};

static void free_saving(void *own)
{
	struct saving *saving = own;

	saving->visit->door->saving = NULL;
	loop_timer_free(saving->again);
	backup_free(saving->backup);
	free(saving);
}

static int64_t produce_backup(char *bytes, size_t size, void *context)
{
	struct saving *saving = context;
	struct error err = { 0 };

	for (int step = 0; step < STEPS_A_CALL; step++) {
		int64_t got = backup_read(saving->backup, bytes, size, &err);

		if (got > 0)
			return got;
		if (got == BACKUP_END) {
			log_notice("a backup was handed out", log_number("USER", saving->visit->uid));
			return SERVER_STREAM_END;
		}
		if (got < 0) {
			log_error("a backup cannot go on", log_text("WHY", err.text));
			return SERVER_STREAM_BROKEN;
		}
	}
	loop_timer_set(saving->again, 0);
	return 0;
}

static void refuse_backup(struct visit *visit, int code, const struct error *err)
{
	log_error("a backup cannot be made", log_text("WHY", err->text));
	if (code == -ENOSPC)
		visit_error(visit, 507, PROTOCOL_CODE_DISK, NULL, "No backup was made: %s.", err->text);
	else if (code == -ENOENT)
		visit_error(visit, 409, PROTOCOL_CODE_INCOMPLETE, NULL, "No backup was made: %s.", err->text);
	else
		visit_error(visit, 500, NULL, NULL, "No backup was made: %s.", err->text);
}

/* First the preparations, a bit a turn; then, where the reader waits, it may be that there is something to read. */
static void on_again(void *context)
{
	struct saving *saving = context;
	struct visit *visit = saving->visit;
	struct loop *loop = visit->door->parts.loop;
	int64_t end = loop_monotonic_us(loop) + TURN_BUDGET_US;
	struct error err = { 0 };
	int r;

	if (saving->is_streaming) {
		exchange_wake(visit->exchange);
		return;
	}
	do
		r = backup_prepare(saving->backup, &err);
	while (r > 0 && loop_monotonic_us(loop) < end);
	if (r > 0) {
		loop_timer_set(saving->again, 0);
	} else if (r < 0) {
		refuse_backup(visit, r, &err);
	} else {
		saving->is_streaming = true;
		visit->is_answered = true;
		exchange_reply_stream(visit->exchange, 200, PROTOCOL_TAR, -1, produce_backup, saving);
	}
}

void daemon_backup(struct visit *visit)
{
	struct door *door = visit->door;
	const struct backup_plan plan = {
		.now = loop_now_ms(door->parts.loop),
		.min_free = door->parts.config->min_free,
		.is_partial = visit_query_flag(visit, "partial"),
	};
	struct backup *backup = NULL;
	struct error err = { 0 };
	struct saving *saving;
	int r;

	if (visit_refuse_others(visit))
		return;
	if (door->saving) {
		exchange_add_header(visit->exchange, "Retry-After", "60");
		visit_error(visit, 429, PROTOCOL_CODE_TOO_MANY, NULL, "Another backup is being made.");
		return;
	}
	r = backup_new(door->parts.store, door->parts.spool, door->parts.vault, &plan, &backup, &err);
	if (r) {
		refuse_backup(visit, r, &err);
		return;
	}
	saving = xcalloc(1, sizeof(*saving));
	*saving = (struct saving){ .visit = visit, .backup = backup };
	saving->again = loop_timer_new(door->parts.loop, on_again, saving);
	loop_timer_set(saving->again, 0);
	door->saving = saving;
	visit->own = saving;
	visit->own_free = free_saving;
}

/* --- verify: the program runs once more, as a child, and what it finds is passed on --- */

struct looking {
	struct visit *visit;
	struct child *child;
};

static void free_looking(void *own)
{
	struct looking *looking = own;

	looking->visit->door->looking = NULL;
	child_drop(looking->child);
	free(looking);
}

static void on_news(void *context)
{
	struct looking *looking = context;

	exchange_wake(looking->visit->exchange);
}

static int64_t produce_findings(char *bytes, size_t size, void *context)
{
	struct looking *looking = context;
	int64_t got = child_read(looking->child, bytes, size);

	if (got == CHILD_END)
		return SERVER_STREAM_END;
	return got < 0 ? SERVER_STREAM_BROKEN : got;
}

void daemon_verify(struct visit *visit)
{
	struct door *door = visit->door;
	const char *const arguments[] = { "batchd", "--verify", "--json", "--config", door->parts.config_path, NULL };
	struct error err = { 0 };
	struct looking *looking;

	if (visit_refuse_others(visit))
		return;
	if (door->looking) {
		exchange_add_header(visit->exchange, "Retry-After", "60");
		visit_error(visit, 429, PROTOCOL_CODE_TOO_MANY, NULL, "The state folder is being looked through already.");
		return;
	}
	looking = xcalloc(1, sizeof(*looking));
	looking->visit = visit;
	visit->own = looking;
	visit->own_free = free_looking;
	door->looking = looking;
	if (child_start(door->children, CHILD_SELF, arguments, on_news, looking, &looking->child, &err)) {
		visit_error(visit, 500, NULL, NULL, "The look cannot begin: %s.", err.text);
		return;
	}
	visit->is_answered = true;
	exchange_reply_stream(visit->exchange, 200, PROTOCOL_NDJSON, -1, produce_findings, looking);
}
