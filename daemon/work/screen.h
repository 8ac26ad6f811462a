/*
 * Judges one line of a job's input, as the job wants its lines: a request of a (model, url), or
 * what is wrong with it. The same line is judged alike whenever it is asked about, so words that
 * nobody kept can be had again.
 */
#ifndef BATCHD_WORK_SCREEN_H
#define BATCHD_WORK_SCREEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/model/request.h"
#include "daemon/work/groups.h"

struct job;

struct screen {
	uint64_t key;
	bool is_wrapped;
	bool has_line_ids;
	char *url;	   /* of wrapped lines */
	char *model;	   /* of wrapped lines that name none; NULL: each must */
	size_t model_size;
	struct groups groups; /* of all requests that were seen */
};

/* key: of the hashes of groups. */
void screen_init(struct screen *screen, const struct job *job, uint64_t key);
void screen_release(struct screen *screen);

/*
 * Judges a line; of one longer than REQUEST_MAX_LINE no byte is read. *ret_group is the number of
 * its group, or negative where that would be one too many. -EBADMSG: it is wrong, and *ret_flaw
 * says why.
 */
int screen_line(struct screen *screen, const char *line, size_t size, struct request *ret_request,
		int *ret_group, struct request_flaw *ret_flaw);

#endif
