#include "daemon/model/scan_text.h"

#include <errno.h>
#include <string.h>

#ifdef __SSE2__
#include <emmintrin.h>
#else
#include <endian.h>
#endif

#define BLOCK 64 /* bytes looked at in one step */

/* What one look at a block tells, one bit for each byte, the first byte lowest. */
struct look {
	uint64_t backslashes;
	uint64_t stops; /* quotes and control characters */
	uint64_t highs; /* bytes beyond ASCII */
};

/*
 * UTF-8 as a machine that is driven by shifts: a state is a shift of 6 bits times its number, and
 * a byte's row holds, at each state's shift, the state that follows. So one step costs one shift,
 * whatever the script. What a row does not mention leads to UTF8_WRONG, which is 0 and leads to
 * itself.
 */
#define UTF8_WINDOW 8

enum {
	UTF8_WRONG = 0,
	UTF8_REST = 6, /* between two characters */
	UTF8_ONE = 12, /* one more byte is due, or two, or three */
	UTF8_TWO = 18,
	UTF8_THREE = 24,
	UTF8_AFTER_E0 = 30, /* below A0 it would be overlong */
	UTF8_AFTER_ED = 36, /* above 9F it would be a surrogate */
	UTF8_AFTER_F0 = 42, /* below 90 it would be overlong */
	UTF8_AFTER_F4 = 48, /* above 8F it would be beyond U+10FFFF */
};

#define STEP(from, to)    ((uint64_t)UTF8_##to << UTF8_##from)
#define STEPS_OF_ANY_TAIL (STEP(ONE, REST) | STEP(TWO, ONE) | STEP(THREE, TWO))

/* clang-format off */
static const uint64_t utf8_rows[256] = {
	[0x00 ... 0x7f] = STEP(REST, REST),
	[0x80 ... 0x8f] = STEPS_OF_ANY_TAIL | STEP(AFTER_ED, ONE) | STEP(AFTER_F4, TWO),
	[0x90 ... 0x9f] = STEPS_OF_ANY_TAIL | STEP(AFTER_ED, ONE) | STEP(AFTER_F0, TWO),
	[0xa0 ... 0xbf] = STEPS_OF_ANY_TAIL | STEP(AFTER_E0, ONE) | STEP(AFTER_F0, TWO),
	[0xc2 ... 0xdf] = STEP(REST, ONE),
	[0xe0]          = STEP(REST, AFTER_E0),
	[0xe1 ... 0xec] = STEP(REST, TWO),
	[0xed]          = STEP(REST, AFTER_ED),
	[0xee ... 0xef] = STEP(REST, TWO),
	[0xf0]          = STEP(REST, AFTER_F0),
	[0xf1 ... 0xf3] = STEP(REST, THREE),
	[0xf4]          = STEP(REST, AFTER_F4),
};

static const char meanings_of_escapes[256] = {
	['"'] = '"',  ['\\'] = '\\', ['/'] = '/',  ['b'] = '\b',
	['f'] = '\f', ['n'] = '\n',  ['r'] = '\r', ['t'] = '\t',
};
/* clang-format on */

#ifdef __SSE2__
/*
 * Exclusive or with 2 puts the quote (22) right above the control characters, and the space (20)
 * away, so that one comparison finds both.
 */
static inline void look_at_16(const char *bytes, int at, struct look *look)
{
	__m128i here = _mm_loadu_si128((const void *)(bytes + at));
	__m128i turned = _mm_xor_si128(here, _mm_set1_epi8(2));
	__m128i is_stop = _mm_cmpeq_epi8(_mm_min_epu8(turned, _mm_set1_epi8(0x20)), turned);
	__m128i is_backslash = _mm_cmpeq_epi8(here, _mm_set1_epi8('\\'));

	look->backslashes |= (uint64_t)(uint32_t)_mm_movemask_epi8(is_backslash) << at;
	look->stops |= (uint64_t)(uint32_t)_mm_movemask_epi8(is_stop) << at;
	look->highs |= (uint64_t)(uint32_t)_mm_movemask_epi8(here) << at;
}

static inline struct look look_at(const char *bytes)
{
	struct look look = {0};

	look_at_16(bytes, 0, &look);
	look_at_16(bytes, 16, &look);
	look_at_16(bytes, 32, &look);
	look_at_16(bytes, 48, &look);
	return look;
}
#else
#define EACH_BYTE UINT64_C(0x0101010101010101)

/* The top bits of a word's bytes, side by side. */
static inline uint64_t top_bits(uint64_t word)
{
	return ((word >> 7 & EACH_BYTE) * UINT64_C(0x0102040810204080)) >> 56;
}

/* Sets the top bit of each byte that is limit or above, limit being 80 at most. */
static inline uint64_t not_below(uint64_t word, uint64_t limit)
{
	return ((word & EACH_BYTE * 0x7f) + EACH_BYTE * (0x80 - limit)) | word;
}

static inline struct look look_at(const char *bytes)
{
	struct look look = {0};

	for (int at = 0; at < BLOCK; at += 8) {
		uint64_t word;

		memcpy(&word, bytes + at, sizeof(word));
		word = le64toh(word);
		look.backslashes |= top_bits(~not_below(word ^ EACH_BYTE * '\\', 1)) << at;
		look.stops |= top_bits(~not_below(word ^ EACH_BYTE * 2, 0x21)) << at;
		look.highs |= top_bits(word) << at;
	}
	return look;
}
#endif

/* The first size of 64 bits. */
static inline uint64_t first_bits(uint64_t bits, size_t size)
{
	return size < BLOCK ? bits & ((UINT64_C(1) << size) - 1) : bits;
}

/* The last bytes, fewer than a block: looked at with what stands before them, or copied. */
static struct look look_at_end(const struct scan *scan, size_t left)
{
	char copy[BLOCK] = {0};
	struct look look;

	if (scan->size >= BLOCK) {
		look = look_at(scan->bytes + scan->size - BLOCK);
		look.backslashes >>= BLOCK - left;
		look.stops >>= BLOCK - left;
		look.highs >>= BLOCK - left;
		return look;
	}
	memcpy(copy, scan->bytes + scan->size - left, left);
	look = look_at(copy);
	look.stops = first_bits(look.stops, left);
	return look;
}

/*
 * The bytes that a backslash stands before and means. In a run of backslashes every second one is
 * meant; an addition lets runs that begin at odd places carry through to their ends, which tells
 * them from those that begin at even places (the method is that of simdjson, Langdale and Lemire
 * 2019). is_first_escaped goes from block to block.
 */
static inline uint64_t escaped_bytes(uint64_t backslashes, uint64_t *is_first_escaped)
{
	static const uint64_t even = UINT64_C(0x5555555555555555);
	uint64_t followers, odd_starts, ends;

	backslashes &= ~*is_first_escaped;
	followers = backslashes << 1 | *is_first_escaped;
	odd_starts = backslashes & ~even & ~followers;
	*is_first_escaped = __builtin_add_overflow(odd_starts, backslashes, &ends);
	return (even ^ ends << 1) & followers;
}

static inline uint64_t utf8_pass(uint64_t state, const char *bytes, size_t size)
{
	const unsigned char *at = (const unsigned char *)bytes;
	const unsigned char *end = at + size;

	for (; end - at >= 4; at += 4) {
		state = utf8_rows[at[0]] >> (state & 63);
		state = utf8_rows[at[1]] >> (state & 63);
		state = utf8_rows[at[2]] >> (state & 63);
		state = utf8_rows[at[3]] >> (state & 63);
	}
	for (; at < end; at++)
		state = utf8_rows[*at] >> (state & 63);
	return state & 63;
}

/*
 * Drives the machine over the part of a block that has bytes beyond ASCII, and one byte behind it.
 * In whole blocks there are two lengths alone, for a processor foresees what is always the same.
 */
static inline uint64_t utf8_pass_block(uint64_t state, const char *bytes, size_t size,
				       uint64_t highs)
{
	size_t first, last;

	if (state != UTF8_REST || size < BLOCK)
		return utf8_pass(state, bytes, size);
	first = (size_t)__builtin_ctzll(highs);
	last = 65 - (size_t)__builtin_clzll(highs);
	if (last - first > UTF8_WINDOW || last > BLOCK)
		return utf8_pass(state, bytes, BLOCK);
	if (first > BLOCK - UTF8_WINDOW)
		first = BLOCK - UTF8_WINDOW;
	return utf8_pass(state, bytes + first, UTF8_WINDOW);
}

/* Where the character begins that is none; called when it is known that there is one. */
static __attribute__((cold, noinline)) int refuse_utf8(struct scan *scan, size_t at)
{
	uint64_t state = UTF8_REST;
	size_t start = at;

	for (; at < scan->size && state != UTF8_WRONG; at++) {
		if (state == UTF8_REST)
			start = at;
		state = utf8_pass(state, scan->bytes + at, 1);
	}
	return scan_refuse(scan, start, "a byte that is not UTF-8");
}

static int hex_digit(char byte)
{
	if (byte >= '0' && byte <= '9')
		return byte - '0';
	byte |= 0x20;
	return byte >= 'a' && byte <= 'f' ? byte - 'a' + 10 : -1;
}

/* The number in "\uXXXX", which may reach beyond end; -1 when it is none. */
static int32_t escape_unit(const char *bytes, const char *end)
{
	int32_t unit = 0;

	if (end - bytes < 6 || bytes[0] != '\\' || bytes[1] != 'u')
		return -1;
	for (size_t i = 2; i < 6; i++) {
		int digit = hex_digit(bytes[i]);

		if (digit < 0)
			return -1;
		unit = unit * 16 + digit;
	}
	return unit;
}

static bool is_high_surrogate(int32_t unit)
{
	return unit >= 0xd800 && unit <= 0xdbff;
}

static bool is_low_surrogate(int32_t unit)
{
	return unit >= 0xdc00 && unit <= 0xdfff;
}

/* Checks an escape with a number; *low_at is where the second half of a pair is due. */
static int check_unit(struct scan *scan, size_t at, size_t *low_at)
{
	const char *escape = scan->bytes + at;
	const char *end = scan->bytes + scan->size;
	int32_t unit = escape_unit(escape, end);

	if (unit < 0)
		return scan_refuse(scan, at, "an escape without four hexadecimal digits");
	if (is_high_surrogate(unit) && is_low_surrogate(escape_unit(escape + 6, end)))
		*low_at = at + 6;
	else if ((is_high_surrogate(unit) || (is_low_surrogate(unit) && *low_at != at)) &&
		 !scan->is_surrogate_tolerant)
		return scan_refuse(scan, at, "an escape that is half of a surrogate pair");
	return 0;
}

/* Checks the escapes of the block at at; of each, escaped has the byte behind its backslash. */
static inline int check_escapes(struct scan *scan, size_t at, uint64_t escaped, size_t *low_at)
{
	for (; escaped; escaped &= escaped - 1) {
		size_t here = at + (size_t)__builtin_ctzll(escaped);

		if (meanings_of_escapes[(unsigned char)scan->bytes[here]])
			continue;
		if (scan->bytes[here] != 'u')
			return scan_refuse(scan, here - 1, "an unknown escape in a string");
		if (check_unit(scan, here - 1, low_at))
			return -EBADMSG;
	}
	return 0;
}

/* Reads a decoded string byte by byte, so that two can be compared without memory for either. */
struct reader {
	const char *at;
	const char *end;
	bool is_escaped;
	char pending[4];
	size_t pending_at;
	size_t pending_size;
};

static size_t utf8_encode(uint32_t point, char *out)
{
	static const uint8_t leads[] = {0, 0, 0xc0, 0xe0, 0xf0};
	size_t size = point < 0x80 ? 1 : point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;

	for (size_t i = size; i-- > 1; point >>= 6)
		out[i] = (char)(0x80 | (point & 0x3f));
	out[0] = (char)(leads[size] | point);
	return size;
}

/* Decodes the escape at *at and passes it. */
static size_t decode_escape(const char **at, const char *end, char *out)
{
	int32_t unit = escape_unit(*at, end);
	int32_t low;

	if (unit < 0) {
		out[0] = end - *at > 1 ? meanings_of_escapes[(unsigned char)(*at)[1]] : '\\';
		*at += end - *at > 1 ? 2 : 1;
		return 1;
	}
	*at += 6;
	if (is_high_surrogate(unit)) {
		low = escape_unit(*at, end);
		if (is_low_surrogate(low)) {
			*at += 6;
			return utf8_encode(0x10000u + ((uint32_t)(unit - 0xd800) << 10) +
						   (uint32_t)(low - 0xdc00),
					   out);
		}
	}
	if (is_high_surrogate(unit) || is_low_surrogate(unit))
		unit = 0xfffd;
	return utf8_encode((uint32_t)unit, out);
}

/* The next byte, or -1 at the end. */
static int reader_next(struct reader *reader)
{
	if (reader->pending_at < reader->pending_size)
		return (unsigned char)reader->pending[reader->pending_at++];
	if (reader->at == reader->end)
		return -1;
	if (*reader->at != '\\' || !reader->is_escaped)
		return (unsigned char)*reader->at++;
	reader->pending_size = decode_escape(&reader->at, reader->end, reader->pending);
	reader->pending_at = 1;
	return (unsigned char)reader->pending[0];
}

static bool readers_agree(struct reader a, struct reader b)
{
	for (;;) {
		int byte = reader_next(&a);

		if (byte != reader_next(&b))
			return false;
		if (byte < 0)
			return true;
	}
}

static struct reader reader_of(const char *bytes, size_t size, bool is_escaped)
{
	return (struct reader){.at = bytes, .end = bytes + size, .is_escaped = is_escaped};
}

static bool has_escapes(const char *bytes, size_t size)
{
	return size && memchr(bytes, '\\', size);
}

int scan_text_pass(struct scan *scan, struct scan_span *ret_span)
{
	size_t start = scan->at + 1;
	size_t at = start;
	size_t low_at = 0;
	uint64_t is_first_escaped = 0;
	uint64_t state = UTF8_REST;
	bool is_ended = false;

	while (!is_ended && at < scan->size) {
		size_t left = scan->size - at;
		size_t size = left < BLOCK ? left : BLOCK;
		struct look look =
			left < BLOCK ? look_at_end(scan, left) : look_at(scan->bytes + at);

		if (look.backslashes | is_first_escaped) {
			uint64_t escaped = escaped_bytes(look.backslashes, &is_first_escaped);

			look.stops &= ~escaped;
			if (look.stops)
				escaped = first_bits(escaped, (size_t)__builtin_ctzll(look.stops));
			if (check_escapes(scan, at, first_bits(escaped, size), &low_at))
				return -EBADMSG;
		}
		is_ended = look.stops != 0;
		if (is_ended)
			size = (size_t)__builtin_ctzll(look.stops);
		if (look.highs || state != UTF8_REST)
			state = utf8_pass_block(state, scan->bytes + at, size, look.highs);
		at += size;
	}
	if (state != UTF8_REST)
		return refuse_utf8(scan, start);
	if (!is_ended)
		return scan_refuse(scan, at, SCAN_UNEXPECTED_END);
	if (scan->bytes[at] != '"')
		return scan_refuse(scan, at, "a control character in a string");
	scan->at = at + 1;
	*ret_span = (struct scan_span){start, at - start};
	return 0;
}

bool scan_text_is(const char *bytes, struct scan_span span, const char *text)
{
	const char *string = bytes + span.at;
	size_t size;

	/* Most are told apart by their first byte. */
	if (span.size && *string != *text && *string != '\\')
		return false;
	/* An escape is longer than what it means, so what is shorter than text is not text. */
	size = strlen(text);
	if (span.size < size)
		return false;
	if (!has_escapes(string, span.size))
		return span.size == size && memcmp(string, text, size) == 0;
	return readers_agree(reader_of(string, span.size, true), reader_of(text, size, false));
}

bool scan_text_equal(const char *a_bytes, struct scan_span a, const char *b_bytes,
		     struct scan_span b)
{
	if (!has_escapes(a_bytes + a.at, a.size) && !has_escapes(b_bytes + b.at, b.size))
		return a.size == b.size && memcmp(a_bytes + a.at, b_bytes + b.at, a.size) == 0;
	return readers_agree(reader_of(a_bytes + a.at, a.size, true),
			     reader_of(b_bytes + b.at, b.size, true));
}

size_t scan_decode(const char *bytes, struct scan_span span, char *out)
{
	const char *at = bytes + span.at;
	const char *end = at + span.size;
	char *start = out;

	while (at < end) {
		const char *escape = memchr(at, '\\', (size_t)(end - at));
		size_t plain = (size_t)((escape ? escape : end) - at);

		memcpy(out, at, plain);
		out += plain;
		at += plain;
		if (escape)
			out += decode_escape(&at, end, out);
	}
	return (size_t)(out - start);
}
