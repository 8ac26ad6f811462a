#include "client/options.h"

#include <errno.h>
#include <string.h>

#include "client/words.h"
#include "daemon/base/error.h"

#define DEFAULT_PATIENCE_MS 60000

/* What is being read: the rest of a word of letters, and where values come from. */
struct reader {
	struct options *options;
	const struct option_row *own;
	const struct option_row *shared;
	char **arguments;
	int count;
	int at;
};

static const struct option_row no_rows[] = {{0}};

static const struct option_row *find_letter(const struct option_row *row, char letter)
{
	for (; row->name; row++)
		if (row->letter == letter)
			return row;
	return NULL;
}

static const struct option_row *find_name(const struct option_row *row, const char *name,
					  size_t size)
{
	for (; row->name; row++)
		if (strlen(row->name) == size && memcmp(row->name, name, size) == 0)
			return row;
	return NULL;
}

static int add_metadata(struct options *options, const char *value, struct error *err)
{
	size_t size;
	int result = words_metadata(value, &size, err);

	if (result < 0)
		return result;
	if (options->metadata_count == PROTOCOL_MAX_METADATA)
		return error_set(err, -EINVAL, "more than %d pairs of metadata",
				 PROTOCOL_MAX_METADATA);
	options->metadata[options->metadata_count++] = value;
	return 0;
}

static int add_label(struct options *options, const char *value, struct error *err)
{
	size_t size;
	int result = words_label(value, &size, err);

	if (result < 0)
		return result;
	if (options->label_count == PROTOCOL_MAX_LABELS)
		return error_set(err, -EINVAL, "more than %d labels", PROTOCOL_MAX_LABELS);
	options->labels[options->label_count++] = value;
	return 0;
}

static int set(struct options *options, const struct option_row *row, const char *value,
	       struct error *err)
{
	void *member = (char *)options + row->offset;

	switch (row->kind) {
	case OPTION_FLAG:
		*(bool *)member = true;
		return 0;
	case OPTION_TEXT:
		*(const char **)member = value;
		return 0;
	case OPTION_COUNT:
		if (words_count(value, member) < 0)
			return error_set(err, -EINVAL, "--%s: %s is not a number above 0",
					 row->name, value);
		return 0;
	case OPTION_DURATION:
		if (words_duration(value, member) < 0)
			return error_set(err, -EINVAL,
					 "--%s: %s is not a duration such as 90s, 5m or 2h30m",
					 row->name, value);
		return 0;
	case OPTION_METADATA:
		return add_metadata(options, value, err);
	case OPTION_LABEL:
		return add_label(options, value, err);
	}
	return -EINVAL;
}

/* The value of an option: attached, or the next argument. */
static int set_next(struct reader *reader, const struct option_row *row, const char *attached,
		    struct error *err)
{
	if (!attached) {
		if (reader->at == reader->count)
			return error_set(err, -EINVAL, "--%s needs a value: %s", row->name,
					 row->argument);
		attached = reader->arguments[reader->at++];
	}
	return set(reader->options, row, attached, err);
}

static int read_long(struct reader *reader, const char *word, struct error *err)
{
	size_t size = strcspn(word, "=");
	const char *value = word[size] ? word + size + 1 : NULL;
	const struct option_row *row = find_name(reader->own, word, size);

	if (!row)
		row = find_name(reader->shared, word, size);
	if (!row)
		return error_set(err, -EINVAL, "there is no option --%.*s here", (int)size, word);
	if (row->argument)
		return set_next(reader, row, value, err);
	if (value)
		return error_set(err, -EINVAL, "--%s takes no value", row->name);
	return set(reader->options, row, NULL, err);
}

static int read_letters(struct reader *reader, const char *letters, struct error *err)
{
	for (; *letters; letters++) {
		const struct option_row *row = find_letter(reader->own, *letters);
		int result;

		if (!row)
			row = find_letter(reader->shared, *letters);
		if (!row)
			return error_set(err, -EINVAL, "there is no option -%c here", *letters);
		if (row->argument)
			return set_next(reader, row, letters[1] ? letters + 1 : NULL, err);
		result = set(reader->options, row, NULL, err);
		if (result < 0)
			return result;
	}
	return 0;
}

static void add_operand(struct options *options, char *word)
{
	options->operands[options->operand_count++] = word;
}

void options_init(struct options *options)
{
	*options = (struct options){
		.timeout_ms = -1, .patience_ms = DEFAULT_PATIENCE_MS, .deadline_ms = -1};
}

int options_read(struct options *options, const struct option_row *own,
		 const struct option_row *shared, char **arguments, int count, struct error *err)
{
	struct reader reader = {options, own ? own : no_rows, shared, arguments, count, 0};

	options->operands = arguments;
	options->operand_count = 0;
	while (reader.at < count) {
		char *word = arguments[reader.at];
		int result;

		if (word[0] != '-' || !word[1]) {
			if (!own)
				return reader.at;
			reader.at++;
			add_operand(options, word);
			continue;
		}
		reader.at++;
		if (strcmp(word, "--") == 0)
			break;
		result = word[1] == '-' ? read_long(&reader, word + 2, err)
					: read_letters(&reader, word + 1, err);
		if (result < 0)
			return result;
	}
	if (!own)
		return reader.at;
	while (reader.at < count)
		add_operand(options, arguments[reader.at++]);
	return count;
}
