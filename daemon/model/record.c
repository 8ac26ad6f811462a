#include "daemon/model/record.h"

#include <errno.h>
#include <string.h>

#include "daemon/base/hash.h"

struct header {
	uint64_t magic;
	uint32_t kind;
	uint32_t record_size;
	uint32_t zero[3];
	uint32_t check;
};

/* "batchd" and version 1, read as one number: another byte order gives another number. */
#define MAGIC UINT64_C(0x6261746368640001)

_Static_assert(sizeof(struct header) == RECORD_HEADER_SIZE, "the header has no holes");
_Static_assert(sizeof(struct record_row) == 56, "a row has no holes");
_Static_assert(sizeof(struct record_member) == 8, "a member has no holes");
_Static_assert(sizeof(struct record_outcome) == 40, "an outcome has no holes");

/* clang-format off */
static const struct {
	size_t size;
	size_t check_at; /* the check covers all bytes before it */
} layouts[] = {
	[RECORD_ROWS]     = { sizeof(struct record_row),     offsetof(struct record_row, check) },
	[RECORD_MEMBERS]  = { sizeof(struct record_member),  offsetof(struct record_member, check) },
	[RECORD_OUTCOMES] = { sizeof(struct record_outcome), offsetof(struct record_outcome, check) },
};
/* clang-format on */

size_t record_size(enum record_kind kind)
{
	return layouts[kind].size;
}

void record_header(enum record_kind kind, uint8_t *ret_header)
{
	struct header header = {
		.magic = MAGIC,
		.kind = kind,
		.record_size = (uint32_t)layouts[kind].size,
	};

	header.check = hash_check(&header, offsetof(struct header, check));
	memcpy(ret_header, &header, sizeof(header));
}

int record_header_check(enum record_kind kind, const uint8_t *header)
{
	uint8_t expected[RECORD_HEADER_SIZE];

	record_header(kind, expected);
	return memcmp(header, expected, sizeof(expected)) == 0 ? 0 : -EUCLEAN;
}

void record_seal(enum record_kind kind, void *record)
{
	uint32_t check = hash_check(record, layouts[kind].check_at);

	memcpy((char *)record + layouts[kind].check_at, &check, sizeof(check));
}

int record_verify(enum record_kind kind, const void *record)
{
	uint32_t check;

	memcpy(&check, (const char *)record + layouts[kind].check_at, sizeof(check));
	return check == hash_check(record, layouts[kind].check_at) ? 0 : -EUCLEAN;
}

uint16_t record_row_check(uint64_t digest)
{
	uint16_t check = (uint16_t)digest;

	return check ? check : 1;
}

uint32_t record_answer_check(uint64_t digest)
{
	uint32_t check = (uint32_t)digest;

	return check ? check : 1;
}

bool record_row_fits(const struct record_row *row, uint64_t digest)
{
	return !row->line_check || row->line_check == record_row_check(digest);
}

bool record_answer_fits(uint32_t line_check, uint64_t digest)
{
	return !line_check || line_check == record_answer_check(digest);
}
