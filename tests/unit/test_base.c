#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "daemon/base/alloc.h"
#include "daemon/base/buffer.h"
#include "daemon/base/cleanup.h"
#include "daemon/base/error.h"
#include "daemon/base/hash.h"
#include "daemon/base/log.h"
#include "tests/unit/check.h"

static void gives_memory_of_size_zero(void)
{
	auto_free void *nothing = xmalloc(0);
	auto_free void *zeroed = xcalloc(0, 8);
	auto_free char *empty = xmemdup0(NULL, 0);

	CU_ASSERT(nothing && zeroed);
	CU_ASSERT_STRING_EQUAL(empty, "");
	CU_ASSERT_PTR_NULL(xstrdup(NULL));
}

static void copies_bytes_and_ends_them(void)
{
	auto_free char *copy = xmemdup0("a\0bc", 3);
	auto_free char *text = xasprintf("%s-%d", "job", 57);

	CU_ASSERT(memcmp(copy, "a\0b", 4) == 0);
	CU_ASSERT_STRING_EQUAL(text, "job-57");
}

/* Runs try in a child whose words go nowhere; whether it never came back. */
static bool dies(void (*try)(void))
{
	const struct rlimit no_core = {0};
	int status = 0;
	pid_t child = fork();

	if (child == 0) {
		(void)setrlimit(RLIMIT_CORE, &no_core);
		if (!freopen("/dev/null", "w", stderr))
			_exit(0);
		try();
		_exit(0);
	}
	CU_ASSERT_FATAL(child > 0 && waitpid(child, &status, 0) == child);
	return !WIFEXITED(status) || WEXITSTATUS(status) != 0;
}

static void overflow_array(void)
{
	auto_free void *array = xreallocarray(NULL, SIZE_MAX / 2, 3);

	CU_ASSERT_PTR_NOT_NULL(array);
}

static void overflow_copy(void)
{
	auto_free char *copy = xmemdup0("", SIZE_MAX);

	CU_ASSERT_PTR_NOT_NULL(copy);
}

static void log_unknown_field(void)
{
	log_info("something", log_number("NO_SUCH_FIELD", 1));
}

static void stops_rather_than_give_too_little(void)
{
	CU_ASSERT(dies(overflow_array));
	CU_ASSERT(dies(overflow_copy));
}

static void takes_what_cleans_itself_up(void)
{
	char *kept;
	int descriptor = 3;

	{
		auto_free char *text = xstrdup("kept");

		kept = take(text);
		CU_ASSERT_PTR_NULL(text);
	}
	CU_ASSERT_STRING_EQUAL(kept, "kept");
	free(kept);
	CU_ASSERT(take_fd(&descriptor) == 3 && descriptor == -1);
}

static void grows_a_buffer_byte_by_byte(void)
{
	auto_buffer buffer = {0};

	CU_ASSERT_STRING_EQUAL(buffer_text(&buffer), "");
	for (size_t i = 0; i < 100000; i++) {
		char byte = (char)('a' + i % 26);

		buffer_add(&buffer, &byte, 1);
	}
	CU_ASSERT(buffer.size == 100000 && buffer.capacity < 300000);
	for (size_t i = 0; i < buffer.size; i++)
		if (buffer.data[i] != (char)('a' + i % 26))
			CU_FAIL_FATAL("a byte was lost");
}

static void drops_from_the_front_of_a_buffer(void)
{
	/* clang-format off */
	static const struct { size_t drop; const char *left; } rows[] = {
		{ 0, "abcdef" }, { 1, "bcdef" }, { 5, "f" }, { 6, "" }, { 7, "" }, { SIZE_MAX, "" },
	};
	/* clang-format on */

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_buffer buffer = {0};

		buffer_add_text(&buffer, "abc");
		buffer_add_format(&buffer, "%s", "def");
		buffer_drop(&buffer, rows[i].drop);
		CHECK_ROW(rows[i].left, strcmp(buffer_text(&buffer), rows[i].left) == 0);
	}
}

static void reuses_a_buffer_that_was_released(void)
{
	auto_buffer buffer = {0};

	buffer_add(&buffer, NULL, 0);
	CU_ASSERT(buffer.data == NULL);
	buffer_add_text(&buffer, "one");
	buffer_clear(&buffer);
	CU_ASSERT(buffer.size == 0 && buffer.capacity > 0);
	buffer_release(&buffer);
	CU_ASSERT(buffer.data == NULL && buffer.capacity == 0);
	buffer_add_text(&buffer, "two");
	CU_ASSERT_STRING_EQUAL(buffer_text(&buffer), "two");
}

static void fills_an_error_and_returns_its_code(void)
{
	struct error err = {0};

	CU_ASSERT(error_set(NULL, -EIO, "nobody listens") == -EIO);
	CU_ASSERT(error_set(&err, -EINVAL, "line %d: not an object", 7) == -EINVAL);
	CU_ASSERT(err.code == -EINVAL);
	CU_ASSERT_STRING_EQUAL(err.text, "line 7: not an object");
	CU_ASSERT(error_prefix(&err, "%s", "evals.jsonl") == -EINVAL);
	CU_ASSERT_STRING_EQUAL(err.text, "evals.jsonl: line 7: not an object");
	CU_ASSERT_STRING_EQUAL(error_name(-ENOENT), "No such file or directory");
	CU_ASSERT_STRING_EQUAL(error_name(ENOENT), error_name(-ENOENT));
	CU_ASSERT_STRING_EQUAL(error_name(-100000), "unknown error");
}

/* Whether text is UTF-8, for the two characters that are used here. */
static bool is_whole(const char *text)
{
	for (; *text; text++) {
		if (strncmp(text, "\xc3\xa9", 2) == 0)
			text += 1;
		else if (strncmp(text, "\xf0\x9f\x98\x80", 4) == 0)
			text += 3;
		else if ((unsigned char)*text >= 0x80)
			return false;
	}
	return true;
}

static void cuts_a_sentence_between_characters(void)
{
	static const char *const characters[] = {"\xc3\xa9", "\xf0\x9f\x98\x80"};

	for (size_t shift = 0; shift < 8; shift++)
		for (size_t i = 0; i < ARRAY_SIZE(characters); i++) {
			auto_buffer text = {0};
			struct error err = {0};

			buffer_add(&text, "--------", shift);
			while (text.size < 600)
				buffer_add_text(&text, characters[i]);
			(void)error_set(&err, -EINVAL, "%s", buffer_text(&text));
			CU_ASSERT(strlen(err.text) > sizeof(err.text) - 8 && is_whole(err.text));
			(void)error_prefix(&err, "%s", "prefix");
			CU_ASSERT(strlen(err.text) > sizeof(err.text) - 8 && is_whole(err.text));
		}
}

static void keeps_a_sentence_that_just_fits(void)
{
	char text[sizeof(((struct error *)NULL)->text)];
	struct error err = {0};

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	memcpy(text + sizeof(text) - 3, "\xc3\xa9", 2);
	(void)error_set(&err, -EINVAL, "%s", text);
	CU_ASSERT_STRING_EQUAL(err.text, text);
}

/* FIPS 180-4 examples and the empty message. */
static void hashes_as_the_standard_says(void)
{
	/* clang-format off */
	static const struct { const char *message, *digest; } rows[] = {
		{ "", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" },
		{ "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" },
		{ "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
		  "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1" },
	};
	/* clang-format on */

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct hash_sha256 *sha256 = hash_sha256_new();
		uint8_t digest[HASH_SHA256_SIZE];
		auto_buffer text = {0};

		for (const char *byte = rows[i].message; *byte; byte++)
			hash_sha256_add(sha256, byte, 1);
		hash_sha256_finish(sha256, digest);
		hash_sha256_free(sha256);
		for (size_t k = 0; k < sizeof(digest); k++)
			buffer_add_format(&text, "%02x", digest[k]);
		CHECK_ROW(rows[i].message, strcmp(buffer_text(&text), rows[i].digest) == 0);
	}
	hash_sha256_free(NULL);
}

static void fingerprint(uint64_t key, const void *bytes, size_t size, size_t piece, uint8_t *ret_fingerprint)
{
	struct hash_body *body = hash_body_new(key);

	for (size_t at = 0; at < size; at += piece)
		hash_body_add(body, (const char *)bytes + at, size - at < piece ? size - at : piece);
	hash_body_finish(body, ret_fingerprint);
	hash_body_free(body);
}

static void knows_a_body_again_in_other_pieces(void)
{
	static const size_t pieces[] = { 1, 7, 15, 16, 17, 4096, 100000 };
	uint8_t first[HASH_BODY_SIZE], other[HASH_BODY_SIZE];
	auto_free char *bytes = xcalloc(1, 70001);

	fingerprint(42, bytes, 70001, 70001, first);
	for (size_t i = 0; i < ARRAY_SIZE(pieces); i++) {
		fingerprint(42, bytes, 70001, pieces[i], other);
		CU_ASSERT_EQUAL(memcmp(first, other, sizeof(first)), 0);
	}
	hash_body_free(NULL);
}

static void takes_no_body_for_another(void)
{
	static const size_t places[] = { 0, 15, 16, 35000, 69999 };
	uint8_t first[HASH_BODY_SIZE], other[HASH_BODY_SIZE];
	auto_free char *bytes = xcalloc(1, 70001);

	fingerprint(42, bytes, 70000, 32500, first);
	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		bytes[places[i]] ^= 1;
		fingerprint(42, bytes, 70000, 32500, other);
		CU_ASSERT_NOT_EQUAL(memcmp(first, other, sizeof(first)), 0);
		bytes[places[i]] ^= 1;
	}
	/* The same zeros, one more or one less; and the same bytes in another instance. */
	fingerprint(42, bytes, 70001, 32500, other);
	CU_ASSERT_NOT_EQUAL(memcmp(first, other, sizeof(first)), 0);
	fingerprint(42, bytes, 69999, 32500, other);
	CU_ASSERT_NOT_EQUAL(memcmp(first, other, sizeof(first)), 0);
	fingerprint(43, bytes, 70000, 32500, other);
	CU_ASSERT_NOT_EQUAL(memcmp(first, other, sizeof(first)), 0);
}

/* What is on disk was written with these sums: another function would find every record torn. */
static void keeps_its_sums_from_version_to_version(void)
{
	/* Test case 1 of the paper that proposed GCM. */
	static const uint8_t nothing[HASH_BODY_SIZE] = { 0x58, 0xe2, 0xfc, 0xce, 0xfa, 0x7e, 0x30, 0x61,
							 0x36, 0x7f, 0x1d, 0x57, 0xa4, 0xe7, 0x45, 0x5a };
	uint8_t body[HASH_BODY_SIZE];

	fingerprint(0, "", 0, 1, body);
	CU_ASSERT_EQUAL(memcmp(body, nothing, sizeof(body)), 0);
	CU_ASSERT_EQUAL(hash_check("", 0), 0x38d394c2);
	CU_ASSERT_EQUAL(hash_keyed(0, "", 0), 0x2d06800538d394c2);
	CU_ASSERT(hash_keyed(1, "abc", 3) == hash_keyed(1, "abc", 3));
	CU_ASSERT(hash_keyed(1, "abc", 3) != hash_keyed(2, "abc", 3));
	CU_ASSERT(hash_check("abc", 3) != hash_check("abd", 3));
}

/* What log_write puts on stderr, which is a file for the time. */
static void capture_log(enum log_level level, const char *message, const struct log_field *fields,
			char *ret_text, size_t capacity)
{
	auto_fclose FILE *file = tmpfile();
	int kept = dup(STDERR_FILENO);
	size_t size;

	CU_ASSERT_FATAL(file && kept >= 0 && dup2(fileno(file), STDERR_FILENO) >= 0);
	log_open(LOG_LEVEL_INFO);
	errno = ENOTTY;
	log_write(level, message, fields);
	CU_ASSERT(errno == ENOTTY);
	(void)fflush(stderr);
	(void)dup2(kept, STDERR_FILENO);
	(void)close(kept);
	rewind(file);
	size = fread(ret_text, 1, capacity - 1, file);
	ret_text[size] = '\0';
}

static void writes_a_line_that_nobody_can_forge(void)
{
	/* clang-format off */
	static const struct { enum log_level level; struct log_field fields[3]; const char *line; } rows[] = {
		{ LOG_LEVEL_INFO, { { 0 } }, "batchd: it happened\n" },
		{ LOG_LEVEL_WARNING, { { 0 } }, "batchd: warning: it happened\n" },
		{ LOG_LEVEL_ERROR, { { 0 } }, "batchd: error: it happened\n" },
		{ LOG_LEVEL_DEBUG, { { 0 } }, "" },
		{ LOG_LEVEL_INFO, { { "JOB", NULL, 57 }, { "HTTP_STATUS", NULL, -1 } }, "batchd: it happened job=57 http_status=-1\n" },
		{ LOG_LEVEL_INFO, { { "WHY", "two words", 0 } }, "batchd: it happened why=\"two words\"\n" },
		{ LOG_LEVEL_INFO, { { "WHY", "", 0 } }, "batchd: it happened why=\"\"\n" },
		{ LOG_LEVEL_INFO, { { "FILE", "a\nb\033[2J\x7f", 0 } }, "batchd: it happened file=a\\x0ab\\x1b[2J\\x7f\n" },
		{ LOG_LEVEL_INFO, { { "FILE", "caf\xc3\xa9", 0 } }, "batchd: it happened file=caf\xc3\xa9\n" },
	};
	/* clang-format on */

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char text[256];

		capture_log(rows[i].level, "it happened", rows[i].fields, text, sizeof(text));
		CHECK_ROW(rows[i].line, strcmp(text, rows[i].line) == 0);
	}
}

static void shows_a_missing_text_as_a_dash(void)
{
	const char *none = NULL;
	const struct log_field fields[] = {log_text("BATCH", none), {.name = NULL}};
	char text[64];

	capture_log(LOG_LEVEL_INFO, "made", fields, text, sizeof(text));
	CU_ASSERT_STRING_EQUAL(text, "batchd: made batch=-\n");
}

static void logs_only_fields_of_the_list(void)
{
	CU_ASSERT(dies(log_unknown_field));
}

static void knows_the_names_of_its_levels(void)
{
	enum log_level level = LOG_LEVEL_DEBUG;

	CU_ASSERT(log_level_parse("error", &level) == 0 && level == LOG_LEVEL_ERROR);
	CU_ASSERT(log_level_parse("notice", &level) == 0 && level == LOG_LEVEL_NOTICE);
	CU_ASSERT(log_level_parse("Info", &level) == -EINVAL && level == LOG_LEVEL_NOTICE);
	CU_ASSERT(log_level_parse("", &level) == -EINVAL);
}

CHECK_MAIN("base", CHECK(gives_memory_of_size_zero), CHECK(copies_bytes_and_ends_them),
	   CHECK(stops_rather_than_give_too_little), CHECK(takes_what_cleans_itself_up),
	   CHECK(grows_a_buffer_byte_by_byte), CHECK(drops_from_the_front_of_a_buffer),
	   CHECK(reuses_a_buffer_that_was_released), CHECK(fills_an_error_and_returns_its_code),
	   CHECK(cuts_a_sentence_between_characters), CHECK(keeps_a_sentence_that_just_fits),
	   CHECK(hashes_as_the_standard_says),
	   CHECK(knows_a_body_again_in_other_pieces), CHECK(takes_no_body_for_another),
	   CHECK(keeps_its_sums_from_version_to_version),
	   CHECK(writes_a_line_that_nobody_can_forge), CHECK(shows_a_missing_text_as_a_dash),
	   CHECK(logs_only_fields_of_the_list), CHECK(knows_the_names_of_its_levels))
