#include "daemon/work/downloads.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>

#include "daemon/base/cleanup.h"
#include "daemon/base/error.h"
#include "daemon/base/hash.h"
#include "daemon/model/record.h"
#include "daemon/work/lines.h"
#include "daemon/work/rows.h"

static const char *suffix_of(uint8_t source)
{
	return source == 'o' ? "out" : "err";
}

/* The place of the download used longest ago, free now. */
static struct download *vacate(struct downloads *downloads)
{
	struct download *oldest = &downloads->open[0];

	for (size_t i = 1; i < DOWNLOADS_OPEN; i++)
		if (downloads->open[i].used < oldest->used)
			oldest = &downloads->open[i];
	if (oldest->source)
		vault_reader_release(&oldest->reader);
	if (downloads->last == oldest)
		downloads->last = NULL;
	*oldest = (struct download){.reader = VAULT_READER_NONE};
	return oldest;
}

static struct download *find_open(struct downloads *downloads, int64_t shard, uint8_t source)
{
	struct download *last = downloads->last;

	if (last && last->shard == shard && last->source == source)
		return last;
	for (size_t i = 0; i < DOWNLOADS_OPEN; i++)
		if (downloads->open[i].source == source && downloads->open[i].shard == shard)
			return &downloads->open[i];
	return NULL;
}

static int open_download(struct downloads *downloads, int64_t shard, uint8_t source,
			 struct download **ret_download, struct error *err)
{
	auto_free char *name = rows_download_name(shard, suffix_of(source));
	auto_vault_reader reader = VAULT_READER_NONE;
	struct download *download;
	int r = vault_open_record(downloads->vault, downloads->job, name, &reader, err);

	/* Its answers were counted, so its absence is damage. */
	if (r == -ENOENT)
		return error_set(err, -EUCLEAN, "%s of job %" PRId64 " is gone", name,
				 downloads->job);
	if (r)
		return r;
	download = vacate(downloads);
	*download = (struct download){.shard = shard, .source = source, .reader = reader};
	reader = VAULT_READER_NONE;
	*ret_download = download;
	return 0;
}

/* The download of an outcome, opened if need be. */
static int ask(struct downloads *downloads, const struct record_outcome *outcome,
	       struct download **ret_download, struct error *err)
{
	struct download *download = find_open(downloads, outcome->shard, outcome->source);
	int r = download
			? 0
			: open_download(downloads, outcome->shard, outcome->source, &download, err);

	if (r)
		return r;
	download->used = ++downloads->asks;
	downloads->last = download;
	*ret_download = download;
	return 0;
}

static int cannot_read(const struct downloads *downloads, const struct record_outcome *outcome, int code,
		       struct error *err)
{
	return error_set(err, code, "cannot read shard-%" PRIu32 ".%s of job %" PRId64 ": %s", outcome->shard,
			 suffix_of(outcome->source), downloads->job, error_name(code));
}

static int other_line(const struct downloads *downloads, const struct record_outcome *outcome, struct error *err)
{
	return error_set(err, -EUCLEAN,
			 "shard-%" PRIu32 ".%s of job %" PRId64 " is damaged: at byte %" PRIu64
			 " stands another line than was collected",
			 outcome->shard, suffix_of(outcome->source), downloads->job, outcome->offset);
}

void downloads_init(struct downloads *downloads, struct vault *vault, int64_t job)
{
	*downloads = (struct downloads){.vault = vault, .job = job};
}

int downloads_read(struct downloads *downloads, const struct record_outcome *outcome, uint32_t at,
		   char *bytes, size_t size, struct error *err)
{
	bool is_last = at + size == (size_t)outcome->length + 1;
	struct download *download;
	int64_t got;
	int r = ask(downloads, outcome, &download, err);

	if (r)
		return r;
	got = vault_read(&download->reader, (int64_t)outcome->offset + at, bytes, size);
	if (got < 0)
		return cannot_read(downloads, outcome, (int)got, err);
	/* The last line of a file may end with the file; every other ends with its newline. */
	if (is_last && (size_t)got == size - 1)
		bytes[got++] = '\n';
	if ((size_t)got < size || (is_last && bytes[size - 1] != '\n' && bytes[size - 1] != '\r'))
		return error_set(err, -EUCLEAN,
				 "shard-%" PRIu32 ".%s of job %" PRId64
				 " is damaged: no line ends at byte %" PRIu64,
				 outcome->shard, suffix_of(outcome->source), downloads->job,
				 outcome->offset + outcome->length);
	if (!at && is_last && outcome->line_check &&
	    !record_answer_fits(outcome->line_check, hash_digest(bytes, size - 1)))
		return other_line(downloads, outcome, err);
	if (is_last)
		bytes[size - 1] = '\n';
	return 0;
}

int downloads_test(struct downloads *downloads, const struct record_outcome *outcome, struct error *err)
{
	struct download *download;
	uint64_t digest;
	int r = outcome->line_check ? ask(downloads, outcome, &download, err) : 0;

	if (r || !outcome->line_check)
		return r;
	r = lines_digest(&download->reader, (int64_t)outcome->offset, outcome->length, &digest);
	if (r && r != -EUCLEAN)
		return cannot_read(downloads, outcome, r, err);
	return r || !record_answer_fits(outcome->line_check, digest) ? other_line(downloads, outcome, err) : 0;
}

/* Lines that follow each other are told as one piece: most providers answer in order. */
void downloads_will_need(struct downloads *downloads, const struct record_outcome *outcomes,
			 size_t count)
{
	int64_t first = downloads->asks;
	struct download *download = NULL;
	int64_t start = 0, end = 0;
	size_t opened = 0;

	for (size_t i = 0; i < count; i++) {
		struct download *next;

		if (!outcomes[i].length)
			continue;
		next = find_open(downloads, outcomes[i].shard, outcomes[i].source);
		/* More files than are kept open would only push each other out. */
		if ((!next || next->used <= first) && ++opened > DOWNLOADS_OPEN)
			break;
		if (next == download && next && (int64_t)outcomes[i].offset - end <= 2 &&
		    (int64_t)outcomes[i].offset >= end) {
			end = (int64_t)outcomes[i].offset + outcomes[i].length;
			continue;
		}
		if (download)
			vault_will_need(&download->reader, start, end - start);
		if (ask(downloads, &outcomes[i], &download, NULL))
			return;
		start = (int64_t)outcomes[i].offset;
		end = start + outcomes[i].length;
	}
	if (download)
		vault_will_need(&download->reader, start, end - start);
}

void downloads_release(struct downloads *downloads)
{
	for (size_t i = 0; i < DOWNLOADS_OPEN; i++)
		if (downloads->open[i].source)
			vault_reader_release(&downloads->open[i].reader);
}
