#include "daemon/work/screen.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/alloc.h"
#include "daemon/model/job.h"

static int parse(const struct screen *screen, const char *line, size_t size,
		 struct request *ret_request, struct request_flaw *ret_flaw)
{
	if (screen->is_wrapped)
		return request_parse_body(line, size, screen->url, screen->model != NULL,
					  ret_request, ret_flaw);
	if (screen->has_line_ids)
		return request_parse_numbered(line, size, ret_request, ret_flaw);
	return request_parse(line, size, ret_request, ret_flaw);
}

/* Both decoded, a NUL between them. */
struct pair {
	char text[REQUEST_MAX_URL + 1 + REQUEST_MAX_MODEL];
	size_t url_size;
	size_t model_size;
};

/* The url was found to be a known one, so it is short. */
static void write_pair(const struct screen *screen, const char *line, const struct request *request,
		       struct pair *pair)
{
	if (screen->is_wrapped) {
		pair->url_size = strlen(screen->url);
		memcpy(pair->text, screen->url, pair->url_size);
	} else {
		pair->url_size = scan_decode(line, request->url, pair->text);
	}
	pair->text[pair->url_size] = '\0';
	if (request->model.at) {
		pair->model_size =
			scan_decode(line, request->model, pair->text + pair->url_size + 1);
	} else {
		pair->model_size = screen->model_size;
		memcpy(pair->text + pair->url_size + 1, screen->model, screen->model_size);
	}
}

void screen_init(struct screen *screen, const struct job *job, uint64_t key)
{
	*screen = (struct screen){
		.key = key,
		.is_wrapped = job->is_wrapped,
		.has_line_ids = job->has_line_ids || job->is_wrapped,
		.url = xstrdup(job->endpoint ? job->endpoint : ""),
	};
	if (job->model && *job->model) {
		screen->model = xstrdup(job->model);
		screen->model_size = strlen(job->model);
	}
}

void screen_release(struct screen *screen)
{
	free(screen->url);
	free(screen->model);
	groups_release(&screen->groups);
	*screen = (struct screen){0};
}

int screen_line(struct screen *screen, const char *line, size_t size, struct request *ret_request,
		int *ret_group, struct request_flaw *ret_flaw)
{
	struct pair pair;

	if (size > REQUEST_MAX_LINE)
		return request_refuse(ret_flaw, "request_too_large", NULL,
				      "This request has more than %u bytes, the most that one may have.",
				      REQUEST_MAX_LINE);
	if (parse(screen, line, size, ret_request, ret_flaw))
		return -EBADMSG;
	if (!ret_request->model.at && screen->model_size > REQUEST_MAX_MODEL)
		return request_refuse(ret_flaw, "invalid_value", "body.model",
				      "Invalid 'model': that of the job is too long.");
	write_pair(screen, line, ret_request, &pair);
	if (memchr(pair.text + pair.url_size + 1, '\0', pair.model_size))
		return request_refuse(ret_flaw, "invalid_value", "body.model",
				      "Invalid 'model': it must not contain a NUL character.");
	*ret_group = groups_find(&screen->groups, screen->key, pair.text, pair.url_size,
				 pair.model_size);
	return 0;
}
