#include "daemon/work/expired.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "daemon/base/alloc.h"
#include "daemon/base/cleanup.h"
#include "daemon/base/log.h"
#include "daemon/io/loop.h"
#include "daemon/io/store.h"
#include "daemon/io/vault.h"

#define LOOK_EVERY_MS 60000
/* While there are more. */
#define NEXT_STEP_MS 100
#define FILES_A_STEP 16
/* The clock has gone evenly for so long, by the one that never jumps, */
#define EVEN_MS (10 * 60 * 1000)
/* and was not further from it than this between two looks. */
#define STEP_MS 30000

struct expired {
	struct loop *loop;
	struct store *store;
	struct vault *vault;
	struct loop_timer *timer;
	int64_t offset_ms; /* of the wall clock from the one that never jumps */
	int64_t even_since_ms; /* by the one that never jumps */
};

struct found {
	int64_t files[FILES_A_STEP];
	size_t count;
};

static void note_file(const struct store_file *file, void *context)
{
	struct found *found = context;

	found->files[found->count++] = file->id;
}

static bool is_clock_even(struct expired *expired, int64_t now)
{
	int64_t steady_ms = loop_monotonic_us(expired->loop) / 1000;
	int64_t step = now - steady_ms - expired->offset_ms;

	expired->offset_ms += step;
	if (step < -STEP_MS || step > STEP_MS)
		expired->even_since_ms = steady_ms;
	return steady_ms >= expired->even_since_ms + EVEN_MS;
}

static void on_time(void *context)
{
	struct expired *expired = context;
	int64_t now = loop_now_ms(expired->loop);
	struct found found = { .count = 0 };

	if (is_clock_even(expired, now))
		(void)store_file_expired(expired->store, now, ARRAY_SIZE(found.files), note_file, &found);
	for (size_t i = 0; i < found.count; i++) {
		log_info("a file has expired, its bytes are freed", log_number("FILE", found.files[i]));
		vault_empty_file(expired->vault, found.files[i]);
	}
	loop_timer_set(expired->timer, found.count == ARRAY_SIZE(found.files) ? NEXT_STEP_MS : LOOK_EVERY_MS);
}

struct expired *expired_new(struct loop *loop, struct store *store, struct vault *vault)
{
	struct expired *expired = xcalloc(1, sizeof(*expired));

	expired->loop = loop;
	expired->store = store;
	expired->vault = vault;
	expired->even_since_ms = loop_monotonic_us(loop) / 1000;
	expired->offset_ms = loop_now_ms(loop) - expired->even_since_ms;
	expired->timer = loop_timer_new(loop, on_time, expired);
	loop_timer_set(expired->timer, LOOK_EVERY_MS);
	return expired;
}

void expired_free(struct expired *expired)
{
	if (!expired)
		return;
	loop_timer_free(expired->timer);
	free(expired);
}
