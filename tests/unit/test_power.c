#include <ftw.h>
#include <sqlite3.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/base/alloc.h"
#include "daemon/base/cleanup.h"
#include "daemon/io/spool.h"
#include "daemon/io/store.h"
#include "daemon/io/store_sql.h"
#include "tests/crash/power_campaign.h"
#include "tests/crash/power_disk.h"
#include "tests/crash/power_draw.h"
#include "tests/crash/power_picture.h"
#include "tests/crash/power_record.h"
#include "tests/unit/check.h"

/* --- the model of a disk --- */

static struct picture *show(const struct disk *disk, enum fate fate)
{
	struct disk_op *const *ops;
	size_t count = disk_pending(disk, &ops);
	auto_free enum fate *fates = xcalloc(count + 1, sizeof(*fates));

	for (size_t i = 0; i < count; i++)
		fates[i] = fate;
	return picture_new(disk, fates, 1);
}

/* The same disk made by other ways shows the same. */
static bool shows(const struct disk *disk, enum fate fate, const struct disk *wanted)
{
	struct picture *picture = show(disk, fate), *other = show(wanted, FATE_DONE);
	bool is_same = picture_fingerprint(picture) == picture_fingerprint(other);

	picture_free(picture);
	picture_free(other);
	return is_same;
}

static struct disk *disk_with(const char *name, const char *bytes)
{
	struct disk *disk = disk_new();

	if (name)
		disk_write(disk, disk_make(disk, disk_root(disk), name, false), 0, bytes, strlen(bytes));
	return disk;
}

static void a_flushed_file_without_its_folder_has_no_name(void)
{
	struct disk *disk = disk_with("a", "bytes"), *empty = disk_with(NULL, NULL), *whole = disk_with("a", "bytes");

	disk_sync(disk, disk_find(disk_root(disk), "a"));
	CU_ASSERT(shows(disk, FATE_LOST, empty));
	CU_ASSERT(shows(disk, FATE_DONE, whole));
	disk_sync(disk, disk_root(disk));
	CU_ASSERT(shows(disk, FATE_LOST, whole));
	disk_free(disk);
	disk_free(empty);
	disk_free(whole);
}

static void a_flushed_name_does_not_bring_the_bytes(void)
{
	struct disk *disk = disk_with("a", "bytes"), *empty = disk_with("a", ""), *whole = disk_with("a", "bytes");

	disk_sync(disk, disk_root(disk));
	CU_ASSERT(shows(disk, FATE_LOST, empty));
	CU_ASSERT(shows(disk, FATE_DONE, whole));
	disk_free(disk);
	disk_free(empty);
	disk_free(whole);
}

static void a_rename_shows_the_old_or_the_new(void)
{
	struct disk *disk = disk_with("a", "old"), *old = disk_with("a", "old"), *new = disk_with("a", "new");
	struct disk_node *other = disk_make(disk, disk_root(disk), "b", false);

	disk_write(disk, other, 0, "new", 3);
	disk_sync(disk, other);
	disk_sync(disk, disk_find(disk_root(disk), "a"));
	disk_leave(disk, disk_root(disk), "nothing");
	disk_sync(disk, disk_root(disk));
	(void)disk_make(old, disk_root(old), "b", false);
	disk_write(old, disk_find(disk_root(old), "b"), 0, "new", 3);
	disk_move(disk, disk_root(disk), "b", disk_root(disk), "a");
	CU_ASSERT(shows(disk, FATE_LOST, old));
	CU_ASSERT(shows(disk, FATE_DONE, new));
	disk_sync(disk, disk_root(disk));
	CU_ASSERT(shows(disk, FATE_LOST, new));
	disk_free(disk);
	disk_free(old);
	disk_free(new);
}

static void a_flushed_target_leaves_the_source_in_doubt(void)
{
	struct disk *disk = disk_new(), *both = disk_with("a", ""), *one = disk_new();
	struct disk_node *folder = disk_make(disk, disk_root(disk), "f", true);
	struct disk_op *const *ops;

	(void)disk_make(disk, disk_root(disk), "a", false);
	disk_sync(disk, disk_root(disk));
	disk_move(disk, disk_root(disk), "a", folder, "b");
	disk_sync(disk, folder);
	CU_ASSERT_EQUAL(disk_pending(disk, &ops), 1);
	disk_make(both, disk_make(both, disk_root(both), "f", true), "b", false);
	disk_make(one, disk_make(one, disk_root(one), "f", true), "b", false);
	CU_ASSERT(shows(disk, FATE_LOST, both));
	CU_ASSERT(shows(disk, FATE_DONE, one));
	disk_free(disk);
	disk_free(both);
	disk_free(one);
}

/* What came to a sector before something that it shows is there as well. */
static void a_sector_shows_one_moment(void)
{
	struct disk *disk = disk_with("a", "");
	struct disk *wanted = disk_with("a", "12");
	struct disk_node *file = disk_find(disk_root(disk), "a");
	static const enum fate fates[] = { FATE_LOST, FATE_DONE };
	struct picture *picture, *other;

	disk_write(disk, file, 0, "1", 1);
	disk_sync(disk, disk_root(disk));
	disk_write(disk, file, 1, "2", 1);
	picture = picture_new(disk, fates, 1);
	other = show(wanted, FATE_DONE);
	CU_ASSERT_EQUAL(picture_fingerprint(picture), picture_fingerprint(other));
	picture_free(picture);
	picture_free(other);
	disk_free(disk);
	disk_free(wanted);
}

static void a_size_without_bytes_is_zeroes(void)
{
	struct disk *disk = disk_with("a", "bytes"), *wanted = disk_with("a", "");

	disk_resize(wanted, disk_find(disk_root(wanted), "a"), 5);
	disk_sync(disk, disk_root(disk));
	CU_ASSERT(shows(disk, FATE_ZEROES, wanted));
	disk_free(disk);
	disk_free(wanted);
}

static void a_cut_that_anything_follows_is_done(void)
{
	struct disk *disk = disk_with("a", "a long text"), *wanted = disk_with("a", "new");
	struct disk_node *file = disk_find(disk_root(disk), "a");
	static const enum fate fates[] = { FATE_LOST, FATE_DONE };
	struct picture *picture, *other;

	disk_sync(disk, file);
	disk_sync(disk, disk_root(disk));
	disk_resize(disk, file, 0);
	disk_write(disk, file, 0, "new", 3);
	picture = picture_new(disk, fates, 1);
	other = show(wanted, FATE_DONE);
	CU_ASSERT_EQUAL(picture_fingerprint(picture), picture_fingerprint(other));
	picture_free(picture);
	picture_free(other);
	disk_free(disk);
	disk_free(wanted);
}

/* --- the recording --- */

struct place {
	char folder[32], copy[40];
	int64_t effects, flushes;
};

static void count_effect(void *context)
{
	struct place *place = context;

	place->effects++;
	place->flushes += record_is_flush();
}

static void place_begin(struct place *place)
{
	*place = (struct place){ 0 };
	(void)snprintf(place->folder, sizeof(place->folder), "/tmp/batchd-XXXXXX");
	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(place->folder));
	(void)snprintf(place->copy, sizeof(place->copy), "%s-2", place->folder);
	CU_ASSERT_EQUAL_FATAL(record_start(place->folder, count_effect, place), 0);
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *at)
{
	(void)status, (void)type, (void)at;
	return remove(path);
}

static void place_end(struct place *place)
{
	record_stop();
	(void)nftw(place->folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
	(void)nftw(place->copy, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* How many ops of a file's bytes are pending. */
static size_t count_pending(const char *path)
{
	const struct disk_node *node = disk_find(disk_root(record_disk()), path);
	struct disk_op *const *ops;
	size_t count = disk_pending(record_disk(), &ops), found = 0;

	for (size_t i = 0; i < count; i++)
		found += ops[i]->node == node && ops[i]->kind == DISK_WRITE;
	return found;
}

/* Another process finds what the first one had written: all of it. */
static void die(struct place *place)
{
	struct picture *picture = show(record_disk(), FATE_DONE);

	CU_ASSERT_EQUAL_FATAL(mkdir(place->copy, 0700), 0);
	CU_ASSERT_EQUAL_FATAL(picture_draw(picture, place->copy), 0);
	picture_free(picture);
	record_move(place->copy);
}

static void all_that_the_store_and_the_spool_do_is_recorded(void)
{
	struct place place;
	struct spool *spool = NULL;
	struct store *store = NULL;
	struct spool_draft *draft;
	struct disk *seen = disk_new();
	auto_free char *path = NULL;

	place_begin(&place);
	path = xasprintf("%s/batchd.db", place.folder);
	CU_ASSERT_EQUAL_FATAL(spool_open(place.folder, &spool, NULL), 0);
	CU_ASSERT_EQUAL_FATAL(store_open(path, 1, &store, NULL), 0);
	CU_ASSERT_EQUAL_FATAL(spool_draft_new(spool, &draft, NULL), 0);
	CU_ASSERT_EQUAL(spool_draft_write(draft, path, strlen(path), NULL), 0);
	CU_ASSERT_EQUAL(spool_draft_keep(draft, "jobs/7/rows", NULL), 0);
	store_close(store);
	spool_close(spool);
	CU_ASSERT(place.effects > 30);
	CU_ASSERT(place.flushes > 5);
	/* What is there in truth is what the recording says, but for what it leaves out. */
	{
		auto_free char *lock = xasprintf("%s/lock", place.folder);

		CU_ASSERT_EQUAL(unlink(lock), 0);
	}
	CU_ASSERT_EQUAL(disk_adopt(seen, place.folder), 0);
	CU_ASSERT(shows(record_disk(), FATE_DONE, seen));
	disk_free(seen);
	place_end(&place);
}

#define KEPT "files/7"

/* One of the texts that were ever kept, or nothing, as long as none was. */
struct keeper {
	const char *before, *after; /* NULL: nothing */
	size_t size;		    /* of each */
	int64_t states;
	bool is_fine;
};

static bool is_text(const char *bytes, size_t size, const char *text, size_t wanted)
{
	return bytes && text ? size == wanted && memcmp(bytes, text, wanted) == 0 : !bytes && !text;
}

static void look_at_kept(void *context)
{
	struct keeper *keeper = context;
	struct disk_op *const *ops;
	size_t count = disk_pending(record_disk(), &ops);
	auto_free enum fate *fates = xcalloc(count + 1, sizeof(*fates));

	for (int64_t number = 0; number < 60; number++) {
		struct picture *picture;
		size_t size = 0;
		const char *bytes;

		draw_fates((uint64_t)keeper->states, number, count, fates);
		picture = picture_new(record_disk(), fates, (uint64_t)number);
		bytes = picture_file(picture, KEPT, &size);
		keeper->is_fine = keeper->is_fine && (is_text(bytes, size, keeper->before, keeper->size) ||
						      is_text(bytes, size, keeper->after, keeper->size));
		keeper->states++;
		picture_free(picture);
	}
}

/* Draft after draft for the same place, each of another letter. */
static void a_file_in_its_place_is_whole_at_every_moment(void)
{
	static const size_t sizes[] = { 1, 512, 40000, 3 << 20 };

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct keeper keeper = { .size = sizes[i], .is_fine = true };
		char *texts[3] = { 0 };
		struct place place;
		struct spool *spool = NULL;

		place_begin(&place);
		record_stop();
		CU_ASSERT_EQUAL_FATAL(spool_open(place.folder, &spool, NULL), 0);
		CU_ASSERT_EQUAL_FATAL(record_start(place.folder, look_at_kept, &keeper), 0);
		spool_close(spool);
		CU_ASSERT_EQUAL_FATAL(spool_open(place.folder, &spool, NULL), 0);
		for (int j = 0; j < 3; j++) {
			struct spool_draft *draft;

			texts[j] = xmalloc(sizes[i]);
			memset(texts[j], 'a' + j, sizes[i]);
			keeper.after = texts[j];
			CU_ASSERT_EQUAL_FATAL(spool_draft_new(spool, &draft, NULL), 0);
			CU_ASSERT_EQUAL(spool_draft_write(draft, texts[j], sizes[i], NULL), 0);
			CU_ASSERT_EQUAL(spool_draft_keep(draft, KEPT, NULL), 0);
			keeper.before = texts[j];
			look_at_kept(&keeper);
		}
		CU_ASSERT(keeper.is_fine);
		CU_ASSERT(keeper.states > 1000);
		spool_close(spool);
		place_end(&place);
		for (int j = 0; j < 3; j++)
			free(texts[j]);
	}
}

static void what_the_dead_did_not_flush_is_flushed_before_it_is_told(void)
{
	struct place place;
	struct store *dead = NULL, *store = NULL;
	const struct store_file file = { .purpose = (char *)(uintptr_t) "batch", .bytes = 1, .created_at = 1 };
	auto_store_file found = { 0 };
	auto_free char *path = NULL, *copy = NULL;

	place_begin(&place);
	path = xasprintf("%s/batchd.db", place.folder);
	copy = xasprintf("%s/batchd.db", place.copy);
	CU_ASSERT_EQUAL_FATAL(store_open(path, 1, &dead, NULL), 0);
	CU_ASSERT_EQUAL(sqlite3_exec(dead->db, "PRAGMA synchronous = OFF", NULL, NULL, NULL), SQLITE_OK);
	CU_ASSERT_EQUAL(store_file_add(dead, &file), 1);
	CU_ASSERT_EQUAL(store_commit(dead, NULL), 0);
	CU_ASSERT(count_pending("batchd.db-wal") > 0);
	die(&place);
	CU_ASSERT_EQUAL_FATAL(store_open(copy, 1, &store, NULL), 0);
	CU_ASSERT_EQUAL(store_file_get(store, 1, &found), 0);
	CU_ASSERT_EQUAL(count_pending("batchd.db-wal"), 0);
	store_close(store);
	store_close(dead);
	place_end(&place);
}

/* --- the campaign --- */

/* clang-format off */
static const struct { const char *scene; int64_t states, every, deaths; } slices[] = {
	{ "small",     2, 2, 4 },
	{ "large",     2, 4, 0 },
	{ "files",     2, 4, 0 },
	{ "old-store", 2, 4, 0 },
	{ "shards",    1, 8, 1 },
};
/* clang-format on */

static void no_loss_of_power_breaks_a_promise(void)
{
	for (size_t i = 0; i < sizeof(slices) / sizeof(*slices); i++) {
		const struct campaign campaign = {
			.processes = 2,
			.first_seed = 1,
			.seeds = 1,
			.states = slices[i].states,
			.deaths = slices[i].deaths,
			.every = slices[i].every * (CHECK_IS_SANITIZED ? 5 : 1),
			.scene = slices[i].scene,
			.only_death = -1,
			.only_state = -1,
		};
		struct campaign_report report;

		CHECK_ROW(slices[i].scene, campaign_run(&campaign, &report) == 0);
		CHECK_ROW(slices[i].scene, report.violations == 0);
		CHECK_ROW(slices[i].scene, report.states >= (CHECK_IS_SANITIZED ? 10 : 60));
	}
}

CHECK_MAIN("power", CHECK(a_flushed_file_without_its_folder_has_no_name),
	   CHECK(a_flushed_name_does_not_bring_the_bytes), CHECK(a_rename_shows_the_old_or_the_new),
	   CHECK(a_flushed_target_leaves_the_source_in_doubt), CHECK(a_sector_shows_one_moment),
	   CHECK(a_size_without_bytes_is_zeroes), CHECK(a_cut_that_anything_follows_is_done),
	   CHECK(all_that_the_store_and_the_spool_do_is_recorded),
	   CHECK(a_file_in_its_place_is_whole_at_every_moment),
	   CHECK(what_the_dead_did_not_flush_is_flushed_before_it_is_told), CHECK(no_loss_of_power_breaks_a_promise))
