#include "client/progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "client/output.h"
#include "client/words.h"
#include "daemon/base/buffer.h"

#define DRAW_EVERY_MS 100
#define RATE_EVERY_MS 1000
#define RATE_NEW_PART 0.15 /* of each second's rate in the smoothed one */
#define BAR_LEAST     10
#define BAR_MOST      30
#define LONGEST_ETA_S (99 * 24 * 3600.0)
#define MAX_LABEL     24

static void measure_rate(struct progress *progress, int64_t now_ms)
{
	int64_t elapsed_ms = now_ms - progress->rated_at_ms;
	double rate;

	if (elapsed_ms < RATE_EVERY_MS)
		return;
	rate = (double)(progress->done - progress->rated_done) * 1000 / (double)elapsed_ms;
	progress->rate = progress->rate < 0
				 ? rate
				 : progress->rate + (rate - progress->rate) * RATE_NEW_PART;
	progress->rated_at_ms = now_ms;
	progress->rated_done = progress->done;
}

/* "61%  6123/10000  3 failed  52/s  eta 1h10m": all that follows the bar. */
static void add_figures(const struct progress *progress, struct buffer *buffer)
{
	char done[WORDS_FIGURE], total[WORDS_FIGURE], rate[WORDS_FIGURE], eta[WORDS_FIGURE];
	double left_s;

	if (progress->total)
		buffer_add_format(buffer, "%3d%%  ",
				  (int)((double)progress->done * 100 / (double)progress->total));
	if (progress->is_bytes)
		buffer_add_format(buffer, "%s of %s", words_size(progress->done, done),
				  words_size(progress->total, total));
	else
		buffer_add_format(buffer, "%" PRId64 "/%" PRId64, progress->done, progress->total);
	if (progress->failed)
		buffer_add_format(buffer, "  %" PRId64 " failed", progress->failed);
	if (progress->eta_s >= 0)
		buffer_add_format(buffer, "  eta ~%s", words_elapsed(progress->eta_s, eta));
	if (progress->rate <= 0)
		return;
	if (progress->is_bytes)
		buffer_add_format(buffer, "  %s/s", words_size((int64_t)progress->rate, rate));
	else if (progress->rate >= 1)
		buffer_add_format(buffer, "  %.0f/s", progress->rate);
	else
		buffer_add_format(buffer, "  %.1f/min", progress->rate * 60);
	left_s = (double)(progress->total - progress->done) / progress->rate;
	if (progress->eta_s < 0 && left_s > 0 && left_s < LONGEST_ETA_S)
		buffer_add_format(buffer, "  eta %s", words_elapsed((int64_t)left_s, eta));
}

static void add_bar(const struct progress *progress, size_t columns, bool is_utf8,
		    struct buffer *buffer)
{
	size_t full = 0;

	if (progress->total > 0)
		full = (size_t)((double)progress->done / (double)progress->total * (double)columns);
	if (full > columns)
		full = columns;
	buffer_add_text(buffer, "[");
	for (size_t i = 0; i < columns; i++)
		buffer_add_text(buffer, is_utf8 ? (i < full ? "\xe2\x96\x88" : "\xe2\x96\x91")
						: (i < full ? "#" : "-"));
	buffer_add_text(buffer, "]  ");
}

void progress_init(struct progress *progress, const char *label, bool is_bytes, int64_t total,
		   int64_t now_ms)
{
	*progress = (struct progress){
		.label = label,
		.is_bytes = is_bytes,
		.is_shown = output_may_draw(),
		.total = total,
		.drawn_at_ms = now_ms,
		.rated_at_ms = now_ms,
		.rate = -1,
		.eta_s = -1,
	};
}

void progress_update(struct progress *progress, int64_t done, int64_t failed, int64_t now_ms)
{
	auto_buffer line = {0};

	if (!progress->is_shown)
		return;
	progress->done = done;
	progress->failed = failed;
	measure_rate(progress, now_ms);
	if (now_ms - progress->drawn_at_ms < DRAW_EVERY_MS)
		return;
	progress->drawn_at_ms = now_ms;
	progress_format(progress, output_columns(stderr), output_is_utf8(), &line);
	output_bar(buffer_text(&line));
}

void progress_clear(struct progress *progress)
{
	if (progress->is_shown)
		output_bar(NULL);
}

void progress_format(const struct progress *progress, size_t columns, bool is_utf8,
		     struct buffer *buffer)
{
	auto_buffer label = {0}, figures = {0};
	size_t used, size = strlen(progress->label);

	/* Of a long path the end tells more than the beginning. */
	if (size > MAX_LABEL) {
		size_t cut = size - MAX_LABEL;

		while (((unsigned char)progress->label[cut] & 0xc0) == 0x80)
			cut++;
		output_escape(&label, progress->label + cut, size - cut, is_utf8);
	} else {
		output_escape(&label, progress->label, size, is_utf8);
	}
	add_figures(progress, &figures);
	used = output_width(buffer_text(&label), label.size) + figures.size + 6;
	/* The last column stays free: some terminals wrap when it is written. */
	if (used + BAR_LEAST >= columns) {
		size_t room = columns ? columns - 1 : 0;

		buffer_add(buffer, buffer_text(&figures),
			   figures.size < room ? figures.size : room);
		return;
	}
	buffer_add(buffer, label.data, label.size);
	buffer_add_text(buffer, "  ");
	used = columns - 1 - used;
	add_bar(progress, used < BAR_MOST ? used : BAR_MOST, is_utf8, buffer);
	buffer_add(buffer, figures.data, figures.size);
}
