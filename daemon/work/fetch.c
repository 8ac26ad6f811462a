#include "daemon/work/fetch.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "daemon/base/alloc.h"
#include "daemon/base/buffer.h"
#include "daemon/base/cleanup.h"
#include "daemon/base/error.h"
#include "daemon/base/unpack.h"
#include "daemon/io/http.h"
#include "daemon/io/vault.h"
#include "daemon/model/answer.h"
#include "daemon/work/api.h"

#define UNPACKED_PIECE ((size_t)64 << 10)
#define MAX_PACKINGS   2
/* What arrived at once expands to no more, unless its server means ill: it would hold up everything else meanwhile. */
#define MAX_EXPANDED   ((size_t)256 << 20)

static const char byte_order_mark[] = "\xef\xbb\xbf";

struct fetch {
	struct api *api;
	struct vault *vault;
	char *file_id;
	fetch_on_done *on_done;
	void *context;

	struct api_request *request; /* under way, or NULL */
	int64_t asked_from;	     /* of the call under way */
	bool is_judged;		     /* its head was looked at */
	bool is_foreign;	     /* and what it brings is no part of the file */

	struct vault_writer *writer;
	struct unpack *unpacks[MAX_PACKINGS]; /* the outermost first */
	size_t packings;
	bool is_unpacked; /* the beginning of what is in the innermost was seen, */
	struct buffer head; /* and until then it is here */
	size_t expanded; /* bytes that were unpacked out of what came last */
	bool is_said_packed;
	bool is_incomplete; /* by the server's word */
	int64_t received; /* bytes of the file, as it comes */
	int64_t total;	  /* that it has; -1: unknown */
	char *etag;	  /* strong, of a server that can resume; NULL: it cannot */
	int resumes;

	struct buffer line; /* that has not ended yet, if a part of it came before */
	bool is_line_long;
	bool is_past_first; /* line of the file */
	bool is_last_bad;
	int64_t answers, ran, unreadable;

	struct error problem; /* here */
	char *fault;	      /* there: what came cannot be the file */
	bool is_damaged;      /* so that a better connection would not help */
};

/* --- its lines --- */

static bool is_blank(const char *line, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (!strchr(" \t\r", line[i]))
			return false;
	return true;
}

static void read_line(struct fetch *fetch, const char *line, size_t size)
{
	size_t mark = sizeof(byte_order_mark) - 1;
	struct answer answer = { .kind = ANSWER_OK };

	if (!fetch->is_past_first && size >= mark && memcmp(line, byte_order_mark, mark) == 0) {
		line += mark;
		size -= mark;
	}
	fetch->is_past_first = true;
	fetch->is_last_bad = false;
	if (is_blank(line, size))
		return;
	fetch->is_last_bad = !fetch->is_line_long && answer_parse(line, size, &answer, NULL) != 0;
	fetch->unreadable += fetch->is_last_bad;
	fetch->answers += !fetch->is_last_bad;
	fetch->ran += !fetch->is_last_bad && answer.kind != ANSWER_EXPIRED && answer.kind != ANSWER_CANCELLED;
}

/* The line that began in a piece before this one ends with these bytes. */
static void end_line(struct fetch *fetch, const char *bytes, size_t size)
{
	if (!fetch->line.size) {
		read_line(fetch, bytes, size);
		return;
	}
	fetch->is_line_long |= fetch->line.size + size > FETCH_MAX_LINE;
	if (!fetch->is_line_long)
		buffer_add(&fetch->line, bytes, size);
	read_line(fetch, fetch->line.data, fetch->line.size);
	fetch->is_line_long = false;
	buffer_clear(&fetch->line);
}

static void begin_line(struct fetch *fetch, const char *bytes, size_t size)
{
	fetch->is_line_long |= fetch->line.size + size > FETCH_MAX_LINE;
	if (!fetch->is_line_long)
		buffer_add(&fetch->line, bytes, size);
}

static int take_plain(struct fetch *fetch, const char *bytes, size_t size)
{
	const char *end = bytes + size;
	const char *newline;

	for (const char *at = bytes; at < end; at = newline + 1) {
		newline = memchr(at, '\n', (size_t)(end - at));
		if (!newline) {
			begin_line(fetch, at, (size_t)(end - at));
			break;
		}
		end_line(fetch, at, (size_t)(newline - at));
	}
	return vault_write(fetch->writer, bytes, size, &fetch->problem);
}

/* --- its bytes --- */

static int fail(struct fetch *fetch, char *fault)
{
	free(fetch->fault);
	fetch->fault = fault;
	return -EBADMSG;
}

static int take_bytes(struct fetch *fetch, size_t depth, const char *bytes, size_t size);

/*
 * Takes bytes of which it is not known yet whether they are packed once more. How they begin tells, for no JSON begins so, and not what
 * the server says: some store packed files and serve them without a word, or pack them again; a proxy unpacks, and leaves the header.
 */
static int take_head(struct fetch *fetch, const char *bytes, size_t size)
{
	auto_buffer head = { 0 };
	enum unpack_form form;
	int r;

	if (!size)
		return 0;
	buffer_add(&fetch->head, bytes, size);
	r = unpack_form_begun(fetch->head.data, fetch->head.size, &form);
	if (r == -EAGAIN)
		return 0;
	if (!r && fetch->packings == MAX_PACKINGS)
		return fail(fetch, xasprintf("a result file came packed more than %d times", MAX_PACKINGS));
	if (r)
		fetch->is_unpacked = true;
	else
		fetch->unpacks[fetch->packings++] = unpack_new(form);
	head = fetch->head;
	fetch->head = (struct buffer){ 0 };
	return take_bytes(fetch, fetch->packings - !r, head.data, head.size);
}

/* Takes bytes that were unpacked depth times. */
static int take_bytes(struct fetch *fetch, size_t depth, const char *bytes, size_t size)
{
	auto_free char *piece = NULL;
	size_t got = size;
	int r = 0;

	if (depth == fetch->packings)
		return fetch->is_unpacked ? take_plain(fetch, bytes, size) : take_head(fetch, bytes, size);
	piece = xmalloc(UNPACKED_PIECE);
	unpack_feed(fetch->unpacks[depth], bytes, size);
	while (!r && got) {
		struct error err = { 0 };

		if (unpack_read(fetch->unpacks[depth], piece, UNPACKED_PIECE, &got, &err))
			return fail(fetch, xasprintf("a result file came packed, and damaged: %s", err.text));
		fetch->expanded += got;
		if (fetch->expanded > MAX_EXPANDED)
			return fail(fetch, xstrdup("a result file came packed, and grows without measure"));
		r = got ? take_bytes(fetch, depth + 1, piece, got) : 0;
	}
	return r;
}

static void forget_packings(struct fetch *fetch)
{
	while (fetch->packings)
		unpack_free(fetch->unpacks[--fetch->packings]);
	fetch->is_unpacked = fetch->is_said_packed = false;
	buffer_clear(&fetch->head);
}

/* Forgets all that came. */
static void start_over(struct fetch *fetch)
{
	vault_writer_free(fetch->writer);
	fetch->writer = vault_writer_new(fetch->vault, VAULT_RECORD_LIMIT);
	forget_packings(fetch);
	free(take(fetch->etag));
	fetch->received = 0;
	fetch->total = -1;
	buffer_clear(&fetch->line);
	fetch->is_line_long = fetch->is_past_first = fetch->is_last_bad = fetch->is_incomplete = false;
	fetch->answers = fetch->ran = fetch->unreadable = 0;
}

/* --- what an answer is --- */

static bool is_plain(const struct http_response *head)
{
	const char *encoding = head->content_encoding;

	return !encoding || !*encoding || strcasecmp(encoding, "identity") == 0;
}

/* One coding, or several as RFC 9110, 8.4, lists them. */
static bool can_unpack(const char *encoding)
{
	auto_free char *list = xstrdup(encoding);
	enum unpack_form form;
	char *rest = list;

	for (char *name = strtok_r(list, ", \t", &rest); name; name = strtok_r(NULL, ", \t", &rest))
		if (unpack_form_parse(name, &form))
			return false;
	return true;
}

/* A weak one may stand for bytes that differ (RFC 9110, 8.8.1). */
static bool is_strong(const char *etag)
{
	size_t size = etag ? strlen(etag) : 0;

	return size >= 2 && etag[0] == '"' && strchr(etag + 1, '"') == etag + size - 1;
}

static int judge_whole(struct fetch *fetch, const struct http_response *head)
{
	start_over(fetch);
	fetch->total = head->content_length;
	fetch->is_incomplete = head->incomplete && strcasecmp(head->incomplete, "true") == 0;
	if (is_plain(head)) {
		if (head->accept_ranges && strcasecmp(head->accept_ranges, "bytes") == 0 && is_strong(head->etag) &&
		    head->content_length > 0)
			fetch->etag = xstrdup(head->etag);
		return 0;
	}
	if (!can_unpack(head->content_encoding))
		return fail(fetch, xstrdup("a result file came packed in a way that was not asked for and is not known"));
	fetch->is_said_packed = true;
	return 0;
}

/* Reads a decimal number, without a sign, behind which stands end. */
static bool read_number(const char **text, char end, int64_t *ret_number)
{
	int64_t number = 0;
	const char *at = *text;

	if (!isdigit((unsigned char)*at))
		return false;
	for (; isdigit((unsigned char)*at); at++)
		if (__builtin_mul_overflow(number, 10, &number) || __builtin_add_overflow(number, *at - '0', &number))
			return false;
	if (*at != end)
		return false;
	*text = end ? at + 1 : at;
	*ret_number = number;
	return true;
}

/* Whether a Content-Range is "bytes FROM-(TOTAL-1)/TOTAL". */
static bool is_rest(const char *range, int64_t from, int64_t total)
{
	int64_t first, last, all;

	if (!range || strncasecmp(range, "bytes ", 6) != 0)
		return false;
	range += 6;
	return read_number(&range, '-', &first) && read_number(&range, '/', &last) && read_number(&range, '\0', &all) &&
	       first == from && all == total && last == total - 1;
}

static int judge_rest(struct fetch *fetch, const struct http_response *head)
{
	if (is_rest(head->content_range, fetch->received, fetch->total) && is_plain(head) && head->etag &&
	    strcmp(head->etag, fetch->etag) == 0 &&
	    (head->content_length < 0 || head->content_length == fetch->total - fetch->received))
		return 0;
	return fail(fetch, xasprintf("a result file was cut after %" PRId64 " of %" PRId64
				     " bytes, and the server sent another part than the rest",
				     fetch->received, fetch->total));
}

/* Looks at the head of the answer under way, before its first byte is taken. */
static int judge(struct fetch *fetch, const struct http_response *head)
{
	if (fetch->is_judged)
		return 0;
	fetch->is_judged = true;
	if (head->status == 200)
		return judge_whole(fetch, head);
	if (head->status == 206 && fetch->asked_from)
		return judge_rest(fetch, head);
	fetch->is_foreign = true;
	return 0;
}

static int on_content(const struct http_response *head, const char *bytes, size_t size, void *context)
{
	struct fetch *fetch = context;
	int r = judge(fetch, head);

	if (r || fetch->is_foreign)
		return r;
	fetch->received += (int64_t)size;
	fetch->expanded = 0;
	return take_bytes(fetch, 0, bytes, size);
}

/* --- the end of an answer --- */

/*
 * "12345 bytes", "512 MB": a reader of the history wants the order, and the same sentence for the
 * same trouble.
 */
static char *amount(int64_t bytes)
{
	const int64_t mega = 1000000;

	return bytes < mega ? xasprintf("%" PRId64 " bytes", bytes) : xasprintf("%" PRId64 " MB", bytes / mega);
}

static char *cut_words(const struct fetch *fetch)
{
	auto_free char *came = amount(fetch->received);
	auto_free char *all = fetch->total >= 0 ? amount(fetch->total) : xstrdup("an unknown length");

	if ((fetch->packings || fetch->is_said_packed) && fetch->received == fetch->total)
		return xasprintf("a result file came packed, and not whole: its %s end too early", came);
	return xasprintf("a result file was cut after %s of %s%s", came, all,
			 fetch->etag ? "" : "; its server does not say that it can go on from there");
}

static void finish(struct fetch *fetch, enum fetch_end end, const struct api_answer *answer, const char *words)
{
	const struct fetch_result result = {
		.end = end,
		.answer = answer,
		.words = words,
		.problem = &fetch->problem,
		.answers = fetch->answers,
		.ran = fetch->ran,
		.unreadable = fetch->unreadable,
		.is_tail_broken = fetch->line.size && fetch->is_last_bad,
		.is_incomplete = fetch->is_incomplete,
		.is_damaged = fetch->is_damaged,
		.resumes = fetch->resumes,
	};

	fetch->on_done(&result, fetch->context);
}

static void on_answer(const struct api_answer *answer, void *context);

static void ask(struct fetch *fetch)
{
	fetch->asked_from = fetch->received;
	fetch->is_judged = fetch->is_foreign = false;
	fetch->request = api_content(fetch->api, fetch->file_id, fetch->asked_from, fetch->etag, on_content, on_answer,
				     fetch);
}

/*
 * Whether a cut download may go on: the server can, and the call that was cut has brought
 * something.
 */
static bool may_resume(const struct fetch *fetch, const struct api_answer *answer)
{
	return answer->head->transport == HTTP_CUT && fetch->etag && fetch->received > fetch->asked_from &&
	       fetch->received < fetch->total && fetch->resumes < FETCH_MAX_RESUMES;
}

/* All of an answer is here. Whether that is all of the file, and unpacked. */
static bool is_whole(const struct fetch *fetch)
{
	for (size_t i = 0; i < fetch->packings; i++)
		if (!unpack_is_whole(fetch->unpacks[i]))
			return false;
	/* Nothing at all, packed, is some bytes. */
	return !(fetch->is_said_packed && (!fetch->received || fetch->head.size)) && (fetch->total < 0 || fetch->received == fetch->total);
}

/* What was kept back may be all there is. */
static void finish_whole(struct fetch *fetch)
{
	int r = fetch->head.size ? take_plain(fetch, fetch->head.data, fetch->head.size) : 0;

	if (fetch->line.size)
		read_line(fetch, fetch->line.data, fetch->line.size);
	finish(fetch, r ? FETCH_FAILED : FETCH_WHOLE, NULL, NULL);
}

static void on_answer(const struct api_answer *answer, void *context)
{
	struct fetch *fetch = context;
	auto_free char *words = NULL;

	fetch->request = NULL;
	fetch->is_damaged = fetch->fault || answer->verdict == API_OK;
	/* A file without a byte brings its head alone. */
	if (answer->verdict == API_OK)
		(void)judge(fetch, answer->head);
	if (fetch->problem.code) {
		finish(fetch, FETCH_FAILED, NULL, NULL);
	} else if (fetch->fault) {
		words = xstrdup(fetch->fault);
		finish(fetch, FETCH_CUT, NULL, words);
	} else if (answer->verdict == API_OK && is_whole(fetch)) {
		finish_whole(fetch);
	} else if (may_resume(fetch, answer)) {
		fetch->resumes++;
		ask(fetch);
	} else if (answer->verdict == API_OK || (answer->head->transport == HTTP_CUT && fetch->received)) {
		words = cut_words(fetch);
		finish(fetch, FETCH_CUT, NULL, words);
	} else {
		finish(fetch, FETCH_ANSWERED, answer, NULL);
	}
}

struct fetch *fetch_new(struct api *api, struct vault *vault, const char *file_id, fetch_on_done *on_done, void *context)
{
	struct fetch *fetch = xcalloc(1, sizeof(*fetch));

	fetch->api = api;
	fetch->vault = vault;
	fetch->file_id = xstrdup(file_id);
	fetch->on_done = on_done;
	fetch->context = context;
	start_over(fetch);
	ask(fetch);
	return fetch;
}

int fetch_keep(struct fetch *fetch, int64_t job, const char *name, struct error *err)
{
	return vault_keep_record(take(fetch->writer), job, name, err);
}

void fetch_free(struct fetch *fetch)
{
	if (!fetch)
		return;
	api_abort(fetch->request);
	vault_writer_free(fetch->writer);
	forget_packings(fetch);
	buffer_release(&fetch->line);
	buffer_release(&fetch->head);
	free(fetch->file_id);
	free(fetch->etag);
	free(fetch->fault);
	free(fetch);
}
