#include "daemon/work/verify.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/alloc.h"
#include "daemon/base/cleanup.h"
#include "daemon/base/error.h"
#include "daemon/base/hash.h"
#include "daemon/io/spool.h"
#include "daemon/io/store.h"
#include "daemon/io/vault.h"
#include "daemon/model/job.h"
#include "daemon/model/record.h"
#include "daemon/work/verify_private.h"

#define DATABASE "batchd.db"
#define PIECE (256 * 1024)
#define PAGE 256
#define MOST_LOOKS 4
#define PROGRESS_STEP (32 << 20)
#define MOST_FINDINGS 100 /* of one look: of a thing in ruins the first are enough */
/* What came to its place so lately may belong to a turn whose commit is on its way. */
#define GRACE_MS 60000
/* Of a request, beyond its input and its result: a row, a member, an outcome. */
#define RECORDS_OF_A_REQUEST ((int64_t)(sizeof(struct record_row) + sizeof(struct record_member) + \
					sizeof(struct record_outcome)))

/* --- what a look finds --- */

static void release_finding(struct verify_finding *finding)
{
	free((char *)(uintptr_t)finding->place);
	free((char *)(uintptr_t)finding->words);
}

static void list_release(struct verify_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		release_finding(&list->findings[i]);
	free(list->findings);
	*list = (struct verify_list){ 0 };
}

static bool is_text_equal(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool is_in(const struct verify_list *list, const struct verify_finding *finding)
{
	for (size_t i = 0; i < list->count; i++) {
		const struct verify_finding *other = &list->findings[i];

		if (other->is_damage == finding->is_damage && other->job == finding->job &&
		    other->shard == finding->shard && is_text_equal(other->place, finding->place) &&
		    is_text_equal(other->words, finding->words))
			return true;
	}
	return false;
}

/* Keeps what the other list has too; returns whether that was all. */
static bool keep_common(struct verify_list *list, const struct verify_list *other)
{
	size_t kept = 0;
	bool is_all;

	for (size_t i = 0; i < list->count; i++) {
		if (is_in(other, &list->findings[i]))
			list->findings[kept++] = list->findings[i];
		else
			release_finding(&list->findings[i]);
	}
	is_all = kept == list->count;
	list->count = kept;
	return is_all;
}

static void tell(struct verify *verify, const struct verify_finding *finding)
{
	*(finding->is_damage ? &verify->sums.damages : &verify->sums.notes) += 1;
	verify->callbacks.on_finding(finding, verify->callbacks.context);
}

void verify_note(struct verify *verify, const struct verify_finding *finding)
{
	struct verify_list *list = &verify->list;

	if (list->count == MOST_FINDINGS)
		return;
	list->findings = xreallocarray(list->findings, list->count + 1, sizeof(*list->findings));
	list->findings[list->count] = *finding;
	list->findings[list->count].place = xstrdup(finding->place);
	list->findings[list->count++].words = xstrdup(finding->words);
}

void verify_damage(struct verify *verify, int64_t job, int64_t shard, const char *place, const char *format, ...)
{
	auto_free char *words = NULL;
	va_list arguments;

	va_start(arguments, format);
	words = xvasprintf(format, arguments);
	va_end(arguments);
	verify_note(verify, &(struct verify_finding){
				    .is_damage = true, .job = job, .shard = shard, .place = place, .words = words });
}

void verify_read(struct verify *verify, int64_t bytes)
{
	verify->sums.bytes += bytes;
	if (!verify->callbacks.on_progress || verify->sums.bytes - verify->told_at < PROGRESS_STEP)
		return;
	verify->told_at = verify->sums.bytes;
	if (!verify->callbacks.on_progress(verify->sums.bytes, verify->total, verify->callbacks.context))
		verify->is_enough = true;
}

/*
 * Looks at a thing, and if something seems wrong again and again, each time in another moment, until two looks agree: the daemon
 * beside may have been at work on it.
 */
static void confirm(struct verify *verify, void (*look)(struct verify *verify, int64_t number), int64_t number)
{
	struct verify_list before;
	bool is_settled = false;

	list_release(&verify->list);
	look(verify, number);
	for (int i = 1; i < MOST_LOOKS && verify->list.count && !is_settled && !verify->is_enough; i++) {
		before = verify->list;
		verify->list = (struct verify_list){ 0 };
		look(verify, number);
		is_settled = keep_common(&verify->list, &before);
		list_release(&before);
	}
	for (size_t i = 0; i < verify->list.count && !verify->is_enough; i++)
		tell(verify, &verify->list.findings[i]);
}

/* --- the store --- */

static void tell_of_store(const struct store_finding *finding, void *context)
{
	tell(context, &(struct verify_finding){ .is_damage = true,
						.job = finding->job,
						.shard = finding->shard,
						.place = DATABASE,
						.words = finding->words });
}

static void add_input(const struct store_file *file, int64_t kept, void *context)
{
	(void)kept;
	((struct verify *)context)->total += file->is_empty ? 0 : file->bytes;
}

static void add_records(const struct job *job, void *context)
{
	((struct verify *)context)->total += job->counts.total * RECORDS_OF_A_REQUEST;
}

static void look_at_store(struct verify *verify)
{
	(void)store_file_walk(verify->store, 0, SIZE_MAX / 2, add_input, verify);
	(void)store_job_list(verify->store, -1, ~0U, 0, SIZE_MAX / 2, add_records, verify);
	verify->total += store_bytes(verify->store);
	(void)store_check_pages(verify->store, tell_of_store, verify);
	(void)store_check_rows(verify->store, tell_of_store, verify);
	verify_read(verify, store_bytes(verify->store));
}

/* --- files --- */

bool verify_is_damaged(const struct verify *verify, int64_t file)
{
	for (size_t i = 0; i < verify->damaged_count; i++)
		if (verify->damaged_files[i] == file)
			return true;
	return false;
}

static void check_bytes(struct verify *verify, const struct store_file *file, const struct vault_reader *reader,
			const char *place)
{
	struct hash_digest *digest = hash_digest_new();
	auto_free char *piece = xmalloc(PIECE);
	int64_t at = 0, got = 1;

	if (reader->size != file->bytes)
		verify_damage(verify, 0, 0, place, "it has %" PRId64 " bytes, and should have %" PRId64, reader->size,
			      file->bytes);
	for (; got > 0 && !verify->is_enough; at += got) {
		got = vault_read(reader, at, piece, PIECE);
		if (got <= 0)
			break;
		hash_digest_add(digest, piece, (size_t)got);
		verify_read(verify, got);
	}
	if (got < 0)
		verify_damage(verify, 0, 0, place, "it cannot be read at byte %" PRId64 ": %s", at, error_name((int)got));
	else if (file->digest && at == file->bytes && hash_digest_value(digest) != file->digest)
		verify_damage(verify, 0, 0, place, "its bytes are not those that were written");
	hash_digest_free(digest);
}

static void look_at_file(struct verify *verify, int64_t number)
{
	auto_free char *place = spool_file_place(number);
	auto_vault_reader reader = VAULT_READER_NONE;
	auto_store_file file = { 0 };
	int r;

	if (store_look_begin(verify->store))
		return;
	/* A row that cannot be read was told as a page that cannot. */
	if (!store_file_get(verify->store, number, &file) && !file.is_empty) {
		r = vault_open_file(verify->vault, number, &reader, NULL);
		if (r == -ENOENT)
			verify_damage(verify, 0, 0, place, "it is missing");
		else if (r)
			verify_damage(verify, 0, 0, place, "it cannot be read: %s", error_name(r));
	}
	store_look_end(verify->store);
	if (file.id && (reader.data || reader.fd >= 0))
		check_bytes(verify, &file, &reader, place);
}

/* Numbers of one page of a list. */
struct page {
	int64_t numbers[PAGE];
	size_t count;
};

static void list_file(const struct store_file *file, int64_t kept, void *context)
{
	struct page *page = context;

	(void)kept;
	page->numbers[page->count++] = file->id;
}

static void look_at_files(struct verify *verify)
{
	int64_t after = 0;
	struct page page;

	do {
		page.count = 0;
		(void)store_file_walk(verify->store, after, PAGE, list_file, &page);
		for (size_t i = 0; i < page.count && !verify->is_enough; i++) {
			int64_t damages = verify->sums.damages;

			/* A tree in ruins may lead in a circle. */
			if (page.numbers[i] <= after)
				return;
			after = page.numbers[i];
			verify->sums.files++;
			confirm(verify, look_at_file, after);
			if (verify->sums.damages == damages)
				continue;
			verify->damaged_files = xreallocarray(verify->damaged_files, verify->damaged_count + 1,
							      sizeof(*verify->damaged_files));
			verify->damaged_files[verify->damaged_count++] = after;
		}
	} while (page.count && !verify->is_enough);
}

/* --- jobs --- */

static void list_job(const struct job *job, void *context)
{
	struct page *page = context;

	page->numbers[page->count++] = job->id;
}

static void look_at_jobs(struct verify *verify)
{
	int64_t before = INT64_MAX;
	struct page page;

	do {
		page.count = 0;
		(void)store_job_list(verify->store, -1, ~0U, before, PAGE, list_job, &page);
		for (size_t i = 0; i < page.count && !verify->is_enough; i++) {
			if (page.numbers[i] >= before)
				return;
			before = page.numbers[i];
			verify->sums.jobs++;
			confirm(verify, verify_look_at_job, before);
		}
	} while (page.count && !verify->is_enough);
}

/* --- what nothing names --- */

static void note_unnamed(struct verify *verify, const char *place)
{
	int64_t changed_at = spool_changed_at(verify->spool, place);

	if (changed_at > 0 && changed_at < verify->now - GRACE_MS)
		verify_note(verify, &(struct verify_finding){ .place = place,
							      .words = "nothing names it; the next start removes it" });
}

static void look_at_one(int64_t number, int is_job, void *context)
{
	struct verify *verify = context;
	auto_free char *place = is_job ? xasprintf("jobs/%" PRId64, number) : spool_file_place(number);
	auto_store_file file = { 0 };
	auto_job job = { 0 };

	if ((is_job ? store_job_get(verify->store, number, &job) : store_file_get(verify->store, number, &file)) ==
	    -ENOENT)
		note_unnamed(verify, place);
}

static void look_at_spool(struct verify *verify, int64_t number)
{
	(void)number;
	spool_visit(verify->spool, look_at_one, verify);
}

/* --- all of it --- */

static void look_at_log(struct verify *verify, int64_t number)
{
	auto_free char *path = xasprintf("%s/" DATABASE, spool_folder(verify->spool));
	struct error err = { 0 };

	(void)number;
	if (store_log_check(path, &err))
		verify_damage(verify, 0, 0, DATABASE, "%s", err.text);
}

static int open_all(struct verify *verify, const char *folder, struct error *err)
{
	auto_free char *path = xasprintf("%s/" DATABASE, folder);
	int r = spool_open_to_read(folder, &verify->spool, err);

	/* First, for where the log is damaged the store may not open. */
	if (!r)
		confirm(verify, look_at_log, 0);
	if (!r)
		r = store_open_to_read(path, &verify->store, err);
	if (!r)
		verify->vault = vault_new(verify->store, verify->spool);
	return r;
}

static void run(struct verify *verify)
{
	look_at_store(verify);
	look_at_files(verify);
	if (!verify->is_enough)
		look_at_jobs(verify);
	if (!verify->is_enough)
		confirm(verify, look_at_spool, 0);
}

int verify_run(const char *folder, int64_t now, const struct verify_callbacks *callbacks, struct verify_sums *ret_sums)
{
	struct verify verify = { .callbacks = *callbacks, .now = now };
	struct error err = { 0 };
	int r = open_all(&verify, folder, &err);

	if (r)
		tell(&verify, &(struct verify_finding){ .is_damage = true, .words = err.text });
	else
		run(&verify);
	list_release(&verify.list);
	free(verify.damaged_files);
	vault_free(verify.vault);
	store_close(verify.store);
	spool_close(verify.spool);
	*ret_sums = verify.sums;
	if (r)
		return r;
	return verify.is_enough ? -ECANCELED : verify.sums.damages > 0;
}
