/*
 * Any bytes as gzip and as zstd: however they are fed and however little room there is, the same
 * comes out, and they are whole or not; what is wrong stays wrong. The first byte says how they are
 * cut.
 */
#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "daemon/base/alloc.h"
#include "daemon/base/buffer.h"
#include "daemon/base/cleanup.h"
#include "daemon/base/error.h"
#include "daemon/base/unpack.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

DEFINE_CLEANUP(struct unpack *, unpack_free)

#define MOST ((size_t)256 << 10) /* bytes of output, then it is enough */

struct outcome {
	struct buffer out;
	int result;
	bool is_whole;
	bool is_enough;
};

static int read_all(struct unpack *unpack, size_t room, struct outcome *outcome, struct error *err)
{
	auto_free char *out = xmalloc(room);
	size_t got = 1;

	while (got && outcome->out.size < MOST) {
		int r = unpack_read(unpack, out, room, &got, err);

		if (r)
			return r;
		assert(got <= room);
		buffer_add(&outcome->out, out, got);
	}
	outcome->is_enough = outcome->out.size >= MOST;
	return 0;
}

static void unpack_by(enum unpack_form form, const uint8_t *data, size_t size, size_t feed,
		      size_t room, struct outcome *outcome)
{
	auto_with(unpack_free) struct unpack *unpack = unpack_new(form);
	struct error err = {0};

	for (size_t at = 0; at < size && !outcome->result && !outcome->is_enough; at += feed) {
		size_t count = size - at < feed ? size - at : feed;
		/* A copy of exactly this size, so that a sanitizer sees any byte read beyond it. */
		auto_free char *piece = xmalloc(count);

		memcpy(piece, data + at, count);
		unpack_feed(unpack, piece, count);
		outcome->result = read_all(unpack, room, outcome, &err);
	}
	outcome->is_whole = unpack_is_whole(unpack);
	assert(!outcome->result ||
	       (outcome->result == -EBADMSG && err.text[0] && !outcome->is_whole));
	assert(unpack_memory(unpack) <= (size_t)130 << 20);
	if (outcome->result) {
		char byte;
		size_t got = 0;

		assert(unpack_read(unpack, &byte, 1, &got, NULL) == -EBADMSG);
	}
}

/*
 * A frame may tell the size of its content and hold less. libzstd 1.5.4 notices where there is room
 * for all of it at once, and not where the last block is empty and there is less room.
 */
static bool is_known_difference(enum unpack_form form, const struct outcome *whole,
				const struct outcome *pieces)
{
	return form == UNPACK_ZSTD && whole->result && !pieces->result;
}

static void check_form(enum unpack_form form, const uint8_t *data, size_t size, size_t feed,
		       size_t room)
{
	struct outcome whole = {0}, pieces = {0};
	size_t common;

	unpack_by(form, data, size, size ? size : 1, MOST, &whole);
	unpack_by(form, data, size, feed, room, &pieces);
	common = whole.out.size < pieces.out.size ? whole.out.size : pieces.out.size;
	assert(!common || memcmp(whole.out.data, pieces.out.data, common) == 0);
	if (!whole.is_enough && !pieces.is_enough && !is_known_difference(form, &whole, &pieces)) {
		assert(whole.result == pieces.result && whole.is_whole == pieces.is_whole);
		assert(whole.result || whole.out.size == pieces.out.size);
	}
	buffer_release(&whole.out);
	buffer_release(&pieces.out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t feed = size ? (size_t)(data[0] & 15) + 1 : 1;
	size_t room = size ? (size_t)(data[0] >> 4) * 16 + 1 : 1;
	enum unpack_form form;

	if (size) {
		data++;
		size--;
	}
	if (unpack_form_detect(data, size, &form) == 0)
		assert(size >= 2 && unpack_form_name(form));
	check_form(UNPACK_GZIP, data, size, feed, room);
	check_form(UNPACK_ZSTD, data, size, feed, room);
	return 0;
}
