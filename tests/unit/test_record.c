#include <errno.h>
#include <string.h>

#include "daemon/base/cleanup.h"
#include "daemon/model/record.h"
#include "tests/unit/check.h"

union any_record {
	struct record_row row;
	struct record_member member;
	struct record_outcome outcome;
	uint8_t bytes[64];
};

/* clang-format off */
static const struct {
	const char *name;
	enum record_kind kind;
	size_t size;
	size_t checked; /* bytes from the start to the end of the check */
} kinds[] = {
	{ "rows",     RECORD_ROWS,     56, 56 },
	{ "members",  RECORD_MEMBERS,   8,  8 },
	{ "outcomes", RECORD_OUTCOMES, 40, 36 },
};
/* clang-format on */

static union any_record some_record(enum record_kind kind)
{
	union any_record record = {.bytes = {0}};

	for (size_t i = 0; i < record_size(kind); i++)
		record.bytes[i] = (uint8_t)(i * 7 + 3);
	record_seal(kind, &record);
	return record;
}

static void keeps_the_sizes_that_are_on_disk(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		CHECK_ROW(kinds[i].name, record_size(kinds[i].kind) == kinds[i].size);
}

static void writes_the_header_that_is_on_disk(void)
{
	static const uint8_t begin[] = {1, 0, 'd', 'h', 'c', 't', 'a', 'b',
					1, 0, 0,   0,   56,  0,   0,   0};
	uint8_t header[RECORD_HEADER_SIZE];

	record_header(RECORD_ROWS, header);
	if (header[0] == 1)
		CU_ASSERT_EQUAL(memcmp(header, begin, sizeof(begin)), 0);
}

static void takes_a_header_for_its_own_kind_alone(void)
{
	uint8_t header[RECORD_HEADER_SIZE];

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		record_header(kinds[i].kind, header);
		for (size_t k = 0; k < ARRAY_SIZE(kinds); k++)
			CHECK_ROW(kinds[k].name, record_header_check(kinds[k].kind, header) ==
							 (i == k ? 0 : -EUCLEAN));
	}
}

static void notices_every_flipped_bit_of_a_header(void)
{
	uint8_t header[RECORD_HEADER_SIZE];

	record_header(RECORD_OUTCOMES, header);
	for (size_t bit = 0; bit < sizeof(header) * 8; bit++) {
		header[bit / 8] ^= (uint8_t)(1 << bit % 8);
		CU_ASSERT_EQUAL(record_header_check(RECORD_OUTCOMES, header), -EUCLEAN);
		header[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	CU_ASSERT_EQUAL(record_header_check(RECORD_OUTCOMES, header), 0);
}

static void refuses_a_header_of_another_byte_order(void)
{
	uint8_t header[RECORD_HEADER_SIZE];

	record_header(RECORD_ROWS, header);
	for (size_t i = 0; i < 4; i++) {
		uint8_t byte = header[i];

		header[i] = header[7 - i];
		header[7 - i] = byte;
	}
	CU_ASSERT_EQUAL(record_header_check(RECORD_ROWS, header), -EUCLEAN);
}

static void believes_a_record_that_it_sealed(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		union any_record record = some_record(kinds[i].kind);

		CHECK_ROW(kinds[i].name, record_verify(kinds[i].kind, &record) == 0);
	}
}

static void notices_every_flipped_bit_of_a_record(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		union any_record record = some_record(kinds[i].kind);

		for (size_t bit = 0; bit < kinds[i].checked * 8; bit++) {
			record.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
			CHECK_ROW(kinds[i].name, record_verify(kinds[i].kind, &record) == -EUCLEAN);
			record.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
		}
	}
}

static void does_not_believe_zeros(void)
{
	static const union any_record zeros;

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		CHECK_ROW(kinds[i].name, record_verify(kinds[i].kind, &zeros) == -EUCLEAN);
}

static void seals_alike_what_is_alike(void)
{
	struct record_member a = {.row = 77, .check = 1};
	struct record_member b = {.row = 77, .check = 2};

	record_seal(RECORD_MEMBERS, &a);
	record_seal(RECORD_MEMBERS, &b);
	CU_ASSERT_EQUAL(a.check, b.check);
	CU_ASSERT_EQUAL(a.row, 77);
}

static void a_check_of_a_line_is_never_that_of_none(void)
{
	static const uint64_t digests[] = {1, 0x10000, 0x100000000, 0xffff0000ffff0000, UINT64_MAX};

	for (size_t i = 0; i < ARRAY_SIZE(digests); i++) {
		struct record_row row = {.line_check = record_row_check(digests[i])};

		CU_ASSERT(row.line_check != 0);
		CU_ASSERT(record_answer_check(digests[i]) != 0);
		CU_ASSERT(record_row_fits(&row, digests[i]));
		CU_ASSERT(!record_row_fits(&row, digests[i] ^ 0x40));
		CU_ASSERT(record_answer_fits(record_answer_check(digests[i]), digests[i]));
		CU_ASSERT(!record_answer_fits(record_answer_check(digests[i]), digests[i] ^ 0x400000));
	}
}

/* As those of older versions are. */
static void a_record_without_a_check_fits_every_line(void)
{
	const struct record_row row = {.line_check = 0};

	CU_ASSERT(record_row_fits(&row, 0x1234));
	CU_ASSERT(record_answer_fits(0, 0x1234));
}

CHECK_MAIN("record", CHECK(keeps_the_sizes_that_are_on_disk),
	   CHECK(writes_the_header_that_is_on_disk), CHECK(takes_a_header_for_its_own_kind_alone),
	   CHECK(notices_every_flipped_bit_of_a_header),
	   CHECK(refuses_a_header_of_another_byte_order), CHECK(believes_a_record_that_it_sealed),
	   CHECK(notices_every_flipped_bit_of_a_record), CHECK(does_not_believe_zeros),
	   CHECK(seals_alike_what_is_alike), CHECK(a_check_of_a_line_is_never_that_of_none),
	   CHECK(a_record_without_a_check_fits_every_line))
