#include "daemon/work/digest.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/alloc.h"
#include "daemon/base/cleanup.h"
#include "daemon/base/hash.h"
#include "daemon/base/utf8.h"
#include "daemon/io/store.h"

#define MAX_CODE 64 /* bytes that are kept of a code */
/* Bytes of a message that are looked at for its gist. */
#define MAX_SEEN (4 * DIGEST_MAX_MESSAGE)
/* A quoted word that is longer is no name. */
#define MAX_QUOTED 130
/* Behind a prefix, so many letters and digits are an id; so many are one anywhere. */
#define LEAST_ID 6
#define CERTAIN_ID 20
#define UUID_SIZE 36

struct entry {
	uint32_t hash; /* of code and gist */
	char code[MAX_CODE + 1];
	char gist[DIGEST_MAX_MESSAGE + 1];
	char sample[DIGEST_MAX_MESSAGE + 1];
	int64_t count;
	int64_t rows[DIGEST_ROWS];
	size_t row_count;
};

struct digest {
	struct entry **entries; /* in the order in which they came */
	size_t count;
	struct entry *other; /* of all beyond DIGEST_MAX; NULL: none */
};

/* --- the gist --- */

/* The gist as it is written: what does not fit is left out. */
struct writing {
	char *out;
	size_t size;
};

static void put(struct writing *writing, const char *bytes, size_t size)
{
	size_t room = DIGEST_MAX_MESSAGE - writing->size;

	if (size > room)
		size = room;
	memcpy(writing->out + writing->size, bytes, size);
	writing->size += size;
}

/* These are about ASCII, whatever the locale says. */
static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_hex(char c)
{
	return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static bool is_alnum(char c)
{
	return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_word(char c)
{
	return is_alnum(c) || c == '_' || c == '-';
}

static bool is_one_of(char c, const char *set)
{
	return c && strchr(set, c);
}

static bool is_space(char c)
{
	return (unsigned char)c <= ' ' || c == 0x7f;
}

static size_t run_of(const char *bytes, size_t size, bool (*is_in)(char c))
{
	size_t run = 0;

	while (run < size && is_in(bytes[run]))
		run++;
	return run;
}

static bool has_digit(const char *bytes, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (is_digit(bytes[i]))
			return true;
	return false;
}

static bool is_uuid(const char *bytes, size_t size)
{
	static const char form[] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";

	if (size < UUID_SIZE || (size > UUID_SIZE && is_word(bytes[UUID_SIZE])))
		return false;
	for (size_t i = 0; i < UUID_SIZE; i++)
		if (form[i] == 'x' ? !is_hex(bytes[i]) : bytes[i] != form[i])
			return false;
	return true;
}

/* Whether a part of a word, between "_" and "-", was drawn for this one message. */
static bool is_id(const char *part, size_t size, bool has_prefix)
{
	if (size >= CERTAIN_ID)
		return true;
	return has_prefix && size >= LEAST_ID && has_digit(part, size) && run_of(part, size, is_digit) < size;
}

/* A part of letters and digits outside of quotes: each number in it is any number. */
static void put_numbers(struct writing *writing, const char *part, size_t size)
{
	if (has_digit(part, size) && run_of(part, size, is_hex) == size) {
		put(writing, "#", 1);
		return;
	}
	for (size_t i = 0; i < size;) {
		size_t digits = run_of(part + i, size - i, is_digit);

		put(writing, digits ? "#" : part + i, 1);
		i += digits ? digits : 1;
	}
}

/* A word of letters, digits, "_" and "-". In quotes it is a name, of which only ids are left out. */
static void put_word(struct writing *writing, const char *word, size_t size, bool is_quoted)
{
	size_t at = 0;

	while (at < size) {
		size_t part = run_of(word + at, size - at, is_alnum);

		if (is_uuid(word + at, size - at)) {
			put(writing, "#", 1);
			at += UUID_SIZE;
			continue;
		}
		if (is_id(word + at, part, at > 0))
			put(writing, "#", 1);
		else if (is_quoted)
			put(writing, word + at, part);
		else
			put_numbers(writing, word + at, part);
		at += part;
		if (at < size)
			put(writing, word + at++, 1);
	}
}

/* Bytes of a number with its marks ("10,000", "1.25"), or of a time as servers tell it ("6m0s", "20ms"); 0: neither. */
static size_t number_size(const char *text, size_t size)
{
	size_t end = run_of(text, size, is_digit);
	size_t unit = 0;

	while (end && end < size) {
		if (end + 1 < size && is_one_of(text[end], ".,") && is_digit(text[end + 1]))
			end++;
		else if (is_one_of(text[end], "hms") && ++unit <= 4)
			end++;
		else
			break;
		end += run_of(text + end, size - end, is_digit);
	}
	return end < size && is_word(text[end]) ? 0 : end;
}

/* Bytes of a quoted word, quotes included; 0: none begins here. An apostrophe is no quote. */
static size_t quoted_size(const char *text, size_t size)
{
	for (size_t i = 1; i < size && i <= MAX_QUOTED && !is_space(text[i]); i++)
		if (text[i] == text[0])
			return i > 1 && (i + 1 == size || !is_alnum(text[i + 1])) ? i + 1 : 0;
	return 0;
}

/* What stands in quotes, word by word. */
static void put_quoted(struct writing *writing, const char *text, size_t size)
{
	for (size_t i = 0; i < size;) {
		size_t word = run_of(text + i, size - i, is_word);

		put_word(writing, text + i, word, true);
		i += word;
		if (i < size)
			put(writing, text + i++, 1);
	}
}

/* Puts what begins at text, and returns its bytes. */
static size_t put_next(struct writing *writing, const char *text, size_t size, bool is_word_before)
{
	bool is_quote = !is_word_before && is_one_of(text[0], "'\"`");
	size_t quoted = is_quote ? quoted_size(text, size) : 0;
	size_t number = number_size(text, size);
	size_t word = run_of(text, size, is_word);
	size_t space = run_of(text, size, is_space);

	if (quoted)
		put_quoted(writing, text, quoted);
	else if (number)
		put(writing, "#", 1);
	else if (word)
		put_word(writing, text, word, false);
	else
		put(writing, space ? " " : text, 1);
	return quoted ?: number ?: word ?: space ?: 1;
}

void digest_gist(const char *message, size_t size, char *gist)
{
	struct writing writing = { .out = gist };

	if (size > MAX_SEEN)
		size = MAX_SEEN;
	for (size_t i = 0; i < size && writing.size < DIGEST_MAX_MESSAGE;)
		i += put_next(&writing, message + i, size - i, i > 0 && is_alnum(message[i - 1]));
	gist[writing.size] = '\0';
	utf8_trim(gist);
}

/* --- counting --- */

/* Copies what fits, as one line. */
static void copy_line(char *out, size_t room, const char *text, size_t size)
{
	if (size > room)
		size = room;
	for (size_t i = 0; i < size; i++)
		out[i] = is_space(text[i]) ? ' ' : text[i];
	out[size] = '\0';
	utf8_trim(out);
}

static struct entry *find(const struct digest *digest, const struct entry *like)
{
	for (size_t i = 0; i < digest->count; i++) {
		struct entry *entry = digest->entries[i];

		if (entry->hash == like->hash && !strcmp(entry->code, like->code) && !strcmp(entry->gist, like->gist))
			return entry;
	}
	return NULL;
}

/* The entry that a failure of this kind belongs to. */
static struct entry *entry_of(struct digest *digest, const struct entry *like, const char *message, size_t size)
{
	bool is_empty = !*like->code && !*like->gist;
	struct entry *entry = is_empty ? NULL : find(digest, like);

	if (entry)
		return entry;
	if (is_empty || digest->count == DIGEST_MAX) {
		if (!digest->other)
			digest->other = xcalloc(1, sizeof(*digest->other));
		return digest->other;
	}
	entry = xcalloc(1, sizeof(*entry));
	*entry = *like;
	copy_line(entry->sample, DIGEST_MAX_MESSAGE, message, size);
	digest->entries[digest->count++] = entry;
	return entry;
}

struct digest *digest_new(void)
{
	struct digest *digest = xcalloc(1, sizeof(*digest));

	digest->entries = xcalloc(DIGEST_MAX, sizeof(struct entry *));
	return digest;
}

void digest_free(struct digest *digest)
{
	if (!digest)
		return;
	for (size_t i = 0; i < digest->count; i++)
		free(digest->entries[i]);
	free(digest->entries);
	free(digest->other);
	free(digest);
}

void digest_add(struct digest *digest, const char *code, size_t code_size, const char *message,
		size_t message_size, int64_t row)
{
	struct entry like = { 0 };
	struct entry *entry;

	copy_line(like.code, MAX_CODE, code, code_size);
	digest_gist(message, message_size, like.gist);
	like.hash = hash_check(like.code, strlen(like.code)) ^ hash_check(like.gist, strlen(like.gist));
	entry = entry_of(digest, &like, message, message_size);
	if (entry->row_count < DIGEST_ROWS)
		entry->rows[entry->row_count++] = row;
	entry->count++;
}

static void keep_entry(const struct entry *entry, struct store *store, int64_t job)
{
	struct store_digest digest = {
		.code = entry->code,
		.gist = entry->gist,
		.sample = entry->sample,
		.count = entry->count,
		.row_count = entry->row_count,
	};

	memcpy(digest.rows, entry->rows, sizeof(entry->rows));
	store_digest_add(store, job, &digest, DIGEST_MAX);
}

void digest_keep(const struct digest *digest, struct store *store, int64_t job)
{
	for (size_t i = 0; i < digest->count; i++)
		keep_entry(digest->entries[i], store, job);
	if (digest->other)
		keep_entry(digest->other, store, job);
}
