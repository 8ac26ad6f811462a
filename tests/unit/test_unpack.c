#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include <zlib.h>
#include <zstd.h>

#include "daemon/base/alloc.h"
#include "daemon/base/buffer.h"
#include "daemon/base/cleanup.h"
#include "daemon/base/error.h"
#include "daemon/base/unpack.h"
#include "tests/unit/check.h"

#define SAMPLE_SIZE 300000

DEFINE_CLEANUP(struct unpack *, unpack_free)

static const enum unpack_form forms[] = { UNPACK_GZIP, UNPACK_ZSTD };

/* Text that packs well in places and badly in others. */
static void make_sample(struct buffer *buffer, size_t size)
{
	uint64_t state = size + 1;

	while (buffer->size < size) {
		char word[16];

		state = state * 6364136223846793005 + 1442695040888963407;
		if ((state >> 40) % 4)
			buffer_add_text(buffer, "{\"custom_id\":\"the same again\"}\n");
		for (size_t i = 0; i < sizeof(word); i++)
			word[i] = (char)(state >> (i % 8 * 8));
		buffer_add(buffer, word, sizeof(word));
	}
	buffer->size = size;
}

static void pack_gzip(struct buffer *packed, const void *bytes, size_t size)
{
	z_stream stream = { 0 };
	size_t room = size + size / 100 + 1000;
	auto_free unsigned char *out = xmalloc(room);

	if (deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK)
		abort();
	stream.next_in = (Bytef *)bytes;
	stream.avail_in = (uInt)size;
	stream.next_out = out;
	stream.avail_out = (uInt)room;
	if (deflate(&stream, Z_FINISH) != Z_STREAM_END)
		abort();
	buffer_add(packed, out, stream.total_out);
	(void)deflateEnd(&stream);
}

static void pack_zstd(struct buffer *packed, const void *bytes, size_t size, int window)
{
	ZSTD_CCtx *context = ZSTD_createCCtx();
	size_t room = ZSTD_compressBound(size);
	auto_free void *out = xmalloc(room);
	ZSTD_outBuffer output = { out, room, 0 };
	ZSTD_inBuffer input = { bytes, size, 0 };

	(void)ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1);
	if (window)
		(void)ZSTD_CCtx_setParameter(context, ZSTD_c_windowLog, window);
	/* As a stream: with its size known it would need no window. */
	while (input.pos < input.size)
		if (ZSTD_isError(ZSTD_compressStream2(context, &output, &input, ZSTD_e_continue)))
			abort();
	if (ZSTD_compressStream2(context, &output, &input, ZSTD_e_end) != 0)
		abort();
	buffer_add(packed, out, output.pos);
	(void)ZSTD_freeCCtx(context);
}

static void pack(enum unpack_form form, struct buffer *packed, const void *bytes, size_t size)
{
	if (form == UNPACK_GZIP)
		pack_gzip(packed, bytes, size);
	else
		pack_zstd(packed, bytes, size, 0);
}

/* Unpacks it fed in pieces of so many bytes, read in pieces of others. Each piece fed is a copy, so that a look beyond it is seen. */
static int unpack_all(struct unpack *unpack, const struct buffer *packed, size_t feed, size_t room, struct buffer *ret_out,
		      struct error *err)
{
	auto_free char *out = xmalloc(room);

	for (size_t at = 0; at < packed->size; at += feed) {
		size_t size = packed->size - at < feed ? packed->size - at : feed;
		auto_free char *piece = xmalloc(size);
		size_t got = 1;

		memcpy(piece, packed->data + at, size);
		unpack_feed(unpack, piece, size);
		while (got) {
			int r = unpack_read(unpack, out, room, &got, err);

			if (r)
				return r;
			CU_ASSERT(got <= room);
			buffer_add(ret_out, out, got);
		}
	}
	return 0;
}

static bool is_same(const struct buffer *a, const struct buffer *b)
{
	return a->size == b->size && (!a->size || memcmp(a->data, b->data, a->size) == 0);
}

static void gives_back_what_was_packed_in_pieces_of_any_size(void)
{
	static const size_t sizes[] = { 0, 1, 2, 100, 65536, SAMPLE_SIZE };
	static const size_t steps[][2] = { { 1, 1 }, { 1, 65536 }, { 7, 1000 }, { 4096, 3 }, { 1 << 20, 1 << 20 } };

	for (size_t i = 0; i < ARRAY_SIZE(sizes) * ARRAY_SIZE(steps) * ARRAY_SIZE(forms); i++) {
		enum unpack_form form = forms[i % ARRAY_SIZE(forms)];
		const size_t *step = steps[i / ARRAY_SIZE(forms) % ARRAY_SIZE(steps)];
		auto_with(unpack_free) struct unpack *unpack = unpack_new(form);
		auto_buffer plain = { 0 }, packed = { 0 }, out = { 0 };
		struct error err = { 0 };

		make_sample(&plain, sizes[i / ARRAY_SIZE(forms) / ARRAY_SIZE(steps)]);
		pack(form, &packed, plain.data ? plain.data : "", plain.size);
		CHECK_ROW(unpack_form_name(form), unpack_all(unpack, &packed, step[0], step[1], &out, &err) == 0);
		CHECK_ROW(unpack_form_name(form), is_same(&plain, &out));
		CHECK_ROW(unpack_form_name(form), unpack_is_whole(unpack));
	}
}

static void takes_several_members_as_one_content(void)
{
	static const size_t feeds[] = { 1, 5, 100000 };

	for (size_t i = 0; i < ARRAY_SIZE(forms) * ARRAY_SIZE(feeds); i++) {
		enum unpack_form form = forms[i % 2];
		auto_with(unpack_free) struct unpack *unpack = unpack_new(form);
		auto_buffer plain = { 0 }, packed = { 0 }, out = { 0 };
		struct error err = { 0 };

		make_sample(&plain, 1000);
		pack(form, &packed, plain.data, 400);
		pack(form, &packed, "", 0);
		pack(form, &packed, plain.data + 400, 600);
		CU_ASSERT(unpack_all(unpack, &packed, feeds[i / 2], 64, &out, &err) == 0);
		CU_ASSERT(is_same(&plain, &out) && unpack_is_whole(unpack));
	}
}

static void passes_over_what_zstd_marks_to_be_skipped(void)
{
	auto_with(unpack_free) struct unpack *unpack = unpack_new(UNPACK_ZSTD);
	auto_buffer packed = { 0 }, out = { 0 };
	struct error err = { 0 };

	buffer_add(&packed, "\x5a\x2a\x4d\x18\x03\0\0\0xyz", 11);
	pack(UNPACK_ZSTD, &packed, "hello", 5);
	buffer_add(&packed, "\x50\x2a\x4d\x18\0\0\0\0", 8);
	CU_ASSERT(unpack_all(unpack, &packed, 1, 64, &out, &err) == 0);
	CU_ASSERT_STRING_EQUAL(buffer_text(&out), "hello");
	CU_ASSERT(unpack_is_whole(unpack));
}

static void notices_every_cut(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
		auto_buffer packed = { 0 }, plain = { 0 };

		make_sample(&plain, 500);
		pack(forms[i], &packed, plain.data, plain.size);
		for (size_t size = 0; size <= packed.size; size++) {
			auto_with(unpack_free) struct unpack *unpack = unpack_new(forms[i]);
			const struct buffer cut = { .data = packed.data, .size = size };
			auto_buffer out = { 0 };

			CU_ASSERT(unpack_all(unpack, &cut, 16, 64, &out, NULL) == 0);
			CU_ASSERT(unpack_is_whole(unpack) == (size == packed.size));
		}
	}
}

/* Both forms carry a checksum, so no byte of the content can change unnoticed. */
static void notices_every_changed_byte_of_the_content(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
		auto_buffer packed = { 0 }, plain = { 0 };

		make_sample(&plain, 500);
		pack(forms[i], &packed, plain.data, plain.size);
		for (size_t at = 0; at < packed.size; at++) {
			auto_with(unpack_free) struct unpack *unpack = unpack_new(forms[i]);
			auto_buffer out = { 0 };
			struct error err = { 0 };
			int r;

			packed.data[at] ^= 0x10;
			r = unpack_all(unpack, &packed, 16, 64, &out, &err);
			packed.data[at] ^= 0x10;
			/* What gzip says of time and system, and what zstd does with memory, are not the content. */
			CU_ASSERT(r == -EBADMSG || !unpack_is_whole(unpack) || is_same(&plain, &out));
			CU_ASSERT(r == 0 || err.text[0]);
		}
	}
}

static void refuses_what_is_not_of_its_form(void)
{
	/* clang-format off */
	static const struct { enum unpack_form form; const char *bytes; size_t size; const char *sentence; } rows[] = {
		{ UNPACK_GZIP, "{\"custom_id\":1}\n", 16, "byte 3: this is not gzip, or damaged (incorrect header check)" },
		{ UNPACK_GZIP, "\x78\x9c\x03\x00\x00\x00\x00\x01", 8, "byte 3: this is not gzip, or damaged (incorrect header check)" },
		{ UNPACK_ZSTD, "{\"custom_id\":1}\n", 16, "byte 1: this is not zstd, or damaged (no frame begins here)" },
		/* A frame of the drafts v0.7 and v0.1. */
		{ UNPACK_ZSTD, "\x27\xb5\x2f\xfd\x00\x00\x00\x00\x00", 9, "byte 1: this is not zstd, or damaged (no frame begins here)" },
		{ UNPACK_ZSTD, "\xfd\x2f\xb5\x1e\x00\x00\x00\x00\x00", 9, "byte 1: this is not zstd, or damaged (no frame begins here)" },
	};
	/* clang-format on */

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_with(unpack_free) struct unpack *unpack = unpack_new(rows[i].form);
		const struct buffer packed = { .data = (char *)rows[i].bytes, .size = rows[i].size };
		auto_buffer out = { 0 };
		struct error err = { 0 };

		CHECK_ROW(rows[i].sentence, unpack_all(unpack, &packed, 100, 64, &out, &err) == -EBADMSG);
		CHECK_ROW(err.text, strcmp(err.text, rows[i].sentence) == 0);
		CHECK_ROW(rows[i].sentence, !unpack_is_whole(unpack));
	}
}

static void refuses_bytes_behind_the_last_member_for_good(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
		auto_with(unpack_free) struct unpack *unpack = unpack_new(forms[i]);
		auto_buffer packed = { 0 }, out = { 0 };
		struct error err = { 0 };
		size_t got;
		char byte;

		pack(forms[i], &packed, "hello", 5);
		buffer_add_text(&packed, "more of it");
		CU_ASSERT(unpack_all(unpack, &packed, 1, 64, &out, &err) == -EBADMSG);
		CU_ASSERT_STRING_EQUAL(buffer_text(&out), "hello");
		CU_ASSERT(unpack_read(unpack, &byte, 1, &got, &err) == -EBADMSG);
	}
}

/* 100 MB of zeros are some kB of gzip, and less of zstd: neither output nor memory may follow them. */
static void gives_a_bomb_out_in_pieces(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
		auto_with(unpack_free) struct unpack *unpack = unpack_new(forms[i]);
		auto_free char *zeros = xcalloc(1, 100000000);
		auto_buffer packed = { 0 };
		size_t pieces = 0, total = 0, got = 1;
		static char out[65536];

		pack(forms[i], &packed, zeros, 100000000);
		CU_ASSERT(packed.size < 200000);
		unpack_feed(unpack, packed.data, packed.size);
		for (; got; pieces++) {
			CU_ASSERT_FATAL(unpack_read(unpack, out, sizeof(out), &got, NULL) == 0);
			CU_ASSERT(got == sizeof(out) || total + got == 100000000 || !got);
			total += got;
		}
		CU_ASSERT(total == 100000000 && pieces > 1500 && unpack_is_whole(unpack));
		CU_ASSERT(unpack_memory(unpack) < 4 << 20);
	}
}

static void limits_the_window_of_zstd(void)
{
	auto_free char *zeros = xcalloc(1, 1000);

	for (int window = 26; window <= 29; window++) {
		auto_with(unpack_free) struct unpack *unpack = unpack_new(UNPACK_ZSTD);
		auto_buffer packed = { 0 }, out = { 0 };
		struct error err = { 0 };

		pack_zstd(&packed, zeros, 1000, window);
		CU_ASSERT(unpack_all(unpack, &packed, 1000, 1000, &out, &err) == (window <= 27 ? 0 : -EBADMSG));
		CU_ASSERT(window > 27 || unpack_memory(unpack) > (size_t)1 << window);
		CU_ASSERT(window <= 27 || strstr(err.text, "too much memory"));
	}
}

static void survives_any_bytes(void)
{
	uint64_t state = 7;

	for (int round = 0; round < 4000; round++) {
		enum unpack_form form = forms[round % 2];
		auto_with(unpack_free) struct unpack *unpack = unpack_new(form);
		auto_buffer packed = { 0 }, out = { 0 };
		auto_buffer plain = { 0 };

		make_sample(&plain, 200);
		pack(form, &packed, plain.data, plain.size);
		for (int i = 0; i < 3; i++) {
			state = state * 6364136223846793005 + 1442695040888963407;
			packed.data[(state >> 33) % packed.size] = (char)(state >> 20);
		}
		(void)unpack_all(unpack, &packed, 50, 100, &out, NULL);
		CU_ASSERT(out.size < 100000000);
	}
}

static void knows_its_forms_by_name_and_by_magic(void)
{
	/* clang-format off */
	static const struct { const char *name; int status; enum unpack_form form; } names[] = {
		{ "gzip", 0, UNPACK_GZIP }, { "GZip", 0, UNPACK_GZIP }, { "x-gzip", 0, UNPACK_GZIP }, { "zstd", 0, UNPACK_ZSTD },
		{ "br", -EINVAL, 0 }, { "deflate", -EINVAL, 0 }, { "", -EINVAL, 0 }, { "gzip, gzip", -EINVAL, 0 }, { "identity", -EINVAL, 0 },
	};
	static const struct { const char *bytes; size_t size; int status; enum unpack_form form; } magics[] = {
		{ "\x1f\x8b\x08\x00", 4, 0, UNPACK_GZIP }, { "\x28\xb5\x2f\xfd", 4, 0, UNPACK_ZSTD }, { "\x28\xb5\x2f", 3, -ENOENT, 0 },
		{ "{\"cu", 4, -ENOENT, 0 }, { "", 0, -ENOENT, 0 }, { "\x1f", 1, -ENOENT, 0 },
	};
	/* clang-format on */

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		enum unpack_form form = 0;

		CHECK_ROW(names[i].name, unpack_form_parse(names[i].name, &form) == names[i].status);
		CHECK_ROW(names[i].name, form == names[i].form);
	}
	for (size_t i = 0; i < ARRAY_SIZE(magics); i++) {
		enum unpack_form form = 0;

		CU_ASSERT(unpack_form_detect(magics[i].bytes, magics[i].size, &form) == magics[i].status);
		CU_ASSERT(form == magics[i].form);
	}
	CU_ASSERT_STRING_EQUAL(unpack_form_name(UNPACK_ZSTD), "zstd");
}

static void tells_by_the_first_bytes_as_soon_as_they_do(void)
{
	/* clang-format off */
	static const struct { const char *bytes; size_t size; int status; enum unpack_form form; } rows[] = {
		{ "\x1f", 1, -EAGAIN, 0 }, { "\x1f\x8b", 2, 0, UNPACK_GZIP }, { "\x1f\x8b\x08!", 4, 0, UNPACK_GZIP }, { "\x1f{", 2, -ENOENT, 0 },
		{ "(", 1, -EAGAIN, 0 }, { "(\xb5\x2f", 3, -EAGAIN, 0 }, { "(\xb5\x2f\xfd", 4, 0, UNPACK_ZSTD }, { "(truncated)", 11, -ENOENT, 0 },
		{ "\x5f\x2a\x4d", 3, -EAGAIN, 0 }, { "\x5f\x2a\x4d\x18", 4, 0, UNPACK_ZSTD }, { "[\n", 2, -ENOENT, 0 },
		{ "{", 1, -ENOENT, 0 }, { "\xef\xbb\xbf{", 4, -ENOENT, 0 }, { "\n", 1, -ENOENT, 0 },
	};
	/* clang-format on */

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		enum unpack_form form = UNPACK_GZIP;
		int status = unpack_form_begun(rows[i].bytes, rows[i].size, &form);

		CHECK_ROW(rows[i].bytes, status == rows[i].status);
		CHECK_ROW(rows[i].bytes, status || form == rows[i].form);
	}
}

CHECK_MAIN("unpack", CHECK(tells_by_the_first_bytes_as_soon_as_they_do), CHECK(gives_back_what_was_packed_in_pieces_of_any_size),
	   CHECK(takes_several_members_as_one_content), CHECK(passes_over_what_zstd_marks_to_be_skipped),
	   CHECK(notices_every_cut), CHECK(notices_every_changed_byte_of_the_content),
	   CHECK(refuses_what_is_not_of_its_form), CHECK(refuses_bytes_behind_the_last_member_for_good),
	   CHECK(gives_a_bomb_out_in_pieces), CHECK(limits_the_window_of_zstd), CHECK(survives_any_bytes),
	   CHECK(knows_its_forms_by_name_and_by_magic))
