#include "daemon/base/unpack.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "daemon/base/alloc.h"
#include "daemon/base/cleanup.h"
#include "daemon/base/error.h"

#define GZIP_WINDOW (15 + 16) /* the largest there is, and a gzip header around it */
#define GZIP_MEMORY (48 * 1024)
#define ZSTD_WINDOW 27 /* as far as the tool itself goes unasked: 128 MiB */

struct unpack {
	enum unpack_form form;
	z_stream gzip;
	ZSTD_DCtx *zstd;
	const unsigned char *next; /* what was fed and is not used yet */
	size_t left;
	int64_t used;	    /* bytes before next, of all that was ever fed */
	bool is_within;	    /* a member has begun and has not ended */
	bool is_pending;    /* the last output was filled, so there may be more of it */
	bool has_member;    /* one has ended */
	const char *reason; /* why it is not of its form; NULL: it is, so far */
};

static void use(struct unpack *unpack, size_t size)
{
	unpack->next += size;
	unpack->left -= size;
	unpack->used += (int64_t)size;
}

/* Decodes on; true at the end of a member. What is wrong becomes the reason. */
static bool step_gzip(struct unpack *unpack, void *out, size_t size, size_t *ret_size)
{
	z_stream *gzip = &unpack->gzip;
	uInt given = unpack->left < UINT_MAX ? (uInt)unpack->left : UINT_MAX;
	uInt room = size < UINT_MAX ? (uInt)size : UINT_MAX;
	int r;

	/* zlib asks for a place even where there is nothing to read. */
	gzip->next_in = given ? (Bytef *)unpack->next : (Bytef *)"";
	gzip->avail_in = given;
	gzip->next_out = out;
	gzip->avail_out = room;
	r = inflate(gzip, Z_NO_FLUSH);
	use(unpack, given - gzip->avail_in);
	*ret_size = room - gzip->avail_out;
	if (r == Z_MEM_ERROR)
		alloc_give_up();
	if (r == Z_STREAM_END)
		(void)inflateReset(gzip);
	else if (r != Z_OK && r != Z_BUF_ERROR)
		unpack->reason = gzip->msg ? gzip->msg : "invalid data";
	return r == Z_STREAM_END;
}

static bool step_zstd(struct unpack *unpack, void *out, size_t size, size_t *ret_size)
{
	ZSTD_inBuffer input = { unpack->next, unpack->left, 0 };
	ZSTD_outBuffer output = { out, size, 0 };
	size_t r;

	/*
	 * A frame begins with 28 b5 2f fd, one to be skipped with 5X 2a 4d 18. The library takes those of its
	 * own drafts besides, whose decoders are old and know no limit of memory.
	 */
	if (!unpack->is_within && unpack->left && *unpack->next != 0x28 && (*unpack->next & 0xf0) != 0x50) {
		unpack->reason = "no frame begins here";
		return false;
	}
	r = ZSTD_decompressStream(unpack->zstd, &output, &input);
	use(unpack, input.pos);
	*ret_size = output.pos;
	if (!ZSTD_isError(r))
		return r == 0;
	if (ZSTD_getErrorCode(r) == ZSTD_error_memory_allocation)
		alloc_give_up();
	unpack->reason = ZSTD_getErrorName(r);
	return false;
}

/* clang-format off */
static const struct {
	const char *name;
	const char *other_name;
	const char *magic;
	bool (*step)(struct unpack *unpack, void *out, size_t size, size_t *ret_size);
} forms[] = {
	[UNPACK_GZIP] = { "gzip", "x-gzip", "\x1f\x8b",         step_gzip },
	[UNPACK_ZSTD] = { "zstd", NULL,     "\x28\xb5\x2f\xfd", step_zstd },
};
/* clang-format on */

int unpack_form_parse(const char *name, enum unpack_form *ret_form)
{
	for (size_t i = 0; i < ARRAY_SIZE(forms); i++)
		if (strcasecmp(name, forms[i].name) == 0 ||
		    (forms[i].other_name && strcasecmp(name, forms[i].other_name) == 0)) {
			*ret_form = (enum unpack_form)i;
			return 0;
		}
	return -EINVAL;
}

int unpack_form_detect(const void *bytes, size_t size, enum unpack_form *ret_form)
{
	for (size_t i = 0; i < ARRAY_SIZE(forms); i++)
		if (size >= strlen(forms[i].magic) && memcmp(bytes, forms[i].magic, strlen(forms[i].magic)) == 0) {
			*ret_form = (enum unpack_form)i;
			return 0;
		}
	return -ENOENT;
}

int unpack_form_begun(const void *bytes, size_t size, enum unpack_form *ret_form)
{
	static const char skipped[] = "\x50\x2a\x4d\x18";
	const char *at = bytes;
	size_t compared = size < 4 ? size : 4;

	if (unpack_form_detect(bytes, size, ret_form) == 0)
		return 0;
	if (size && (at[0] & 0xf0) == skipped[0] && memcmp(at + 1, skipped + 1, compared - 1) == 0) {
		*ret_form = UNPACK_ZSTD;
		return compared == 4 ? 0 : -EAGAIN;
	}
	for (size_t i = 0; i < ARRAY_SIZE(forms); i++)
		if (compared < strlen(forms[i].magic) && memcmp(at, forms[i].magic, compared) == 0)
			return -EAGAIN;
	return -ENOENT;
}

const char *unpack_form_name(enum unpack_form form)
{
	return forms[form].name;
}

struct unpack *unpack_new(enum unpack_form form)
{
	struct unpack *unpack = xcalloc(1, sizeof(*unpack));

	unpack->form = form;
	if (form == UNPACK_GZIP) {
		if (inflateInit2(&unpack->gzip, GZIP_WINDOW) != Z_OK)
			alloc_give_up();
		return unpack;
	}
	unpack->zstd = ZSTD_createDCtx();
	if (!unpack->zstd || ZSTD_isError(ZSTD_DCtx_setParameter(unpack->zstd, ZSTD_d_windowLogMax, ZSTD_WINDOW)))
		alloc_give_up();
	return unpack;
}

void unpack_free(struct unpack *unpack)
{
	if (!unpack)
		return;
	if (unpack->form == UNPACK_GZIP)
		(void)inflateEnd(&unpack->gzip);
	(void)ZSTD_freeDCtx(unpack->zstd);
	free(unpack);
}

size_t unpack_memory(const struct unpack *unpack)
{
	return unpack->form == UNPACK_GZIP ? GZIP_MEMORY : ZSTD_sizeof_DCtx(unpack->zstd);
}

void unpack_feed(struct unpack *unpack, const void *bytes, size_t size)
{
	assert(unpack->left == 0);
	unpack->next = bytes;
	unpack->left = size;
}

int unpack_read(struct unpack *unpack, void *out, size_t size, size_t *ret_size, struct error *err)
{
	size_t written = 0;

	assert(size > 0);
	while (!unpack->reason && written < size && (unpack->left || unpack->is_pending)) {
		size_t had = unpack->left, more = 0;
		bool is_end = forms[unpack->form].step(unpack, (char *)out + written, size - written, &more);

		written += more;
		unpack->is_within = !is_end && (unpack->is_within || unpack->left < had);
		unpack->has_member |= is_end;
		unpack->is_pending = !is_end && written == size;
	}
	if (unpack->reason)
		return error_set(err, -EBADMSG, "byte %" PRId64 ": this is not %s, or damaged (%s)", unpack->used + 1,
				 unpack_form_name(unpack->form), unpack->reason);
	*ret_size = written;
	return 0;
}

bool unpack_is_whole(const struct unpack *unpack)
{
	return unpack->has_member && !unpack->is_within && !unpack->left && !unpack->reason;
}
