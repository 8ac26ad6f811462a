#include "daemon/base/error.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A sentence that was cut must still be UTF-8: drop a started character at its end. */
static void drop_cut_character(char *text, size_t size)
{
	size_t length = strlen(text);
	size_t start = length;

	if (length + 1 < size)
		return;
	while (start > 0 && ((unsigned char)text[start - 1] & 0xc0) == 0x80)
		start--;
	if (start > 0 && (unsigned char)text[start - 1] >= 0xc0)
		text[start - 1] = '\0';
}

int error_set(struct error *err, int code, const char *format, ...)
{
	va_list arguments;

	if (!err)
		return code;
	err->code = code;
	va_start(arguments, format);
	(void)vsnprintf(err->text, sizeof(err->text), format, arguments);
	va_end(arguments);
	drop_cut_character(err->text, sizeof(err->text));
	return code;
}

int error_prefix(struct error *err, const char *format, ...)
{
	char sentence[sizeof(err->text)];
	va_list arguments;
	int length;

	if (!err)
		return -EIO;
	memcpy(sentence, err->text, sizeof(sentence));
	va_start(arguments, format);
	length = vsnprintf(err->text, sizeof(err->text), format, arguments);
	va_end(arguments);
	if (length >= 0 && (size_t)length < sizeof(err->text))
		(void)snprintf(err->text + length, sizeof(err->text) - (size_t)length, ": %s",
			       sentence);
	drop_cut_character(err->text, sizeof(err->text));
	return err->code;
}

const char *error_name(int code)
{
	const char *name = strerrordesc_np(abs(code));

	return name ? name : "unknown error";
}
