#include "daemon/base/error.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/alloc.h"
#include "daemon/base/cleanup.h"
#include "daemon/base/utf8.h"

/* Writes a sentence; one that is too long is cut, and not in mid-character. */
static void write_sentence(char *text, size_t size, const char *format, va_list arguments)
{
	int length = vsnprintf(text, size, format, arguments);

	if (length >= 0 && (size_t)length >= size)
		utf8_trim(text);
}

int error_set(struct error *err, int code, const char *format, ...)
{
	va_list arguments;

	if (!err)
		return code;
	err->code = code;
	va_start(arguments, format);
	write_sentence(err->text, sizeof(err->text), format, arguments);
	va_end(arguments);
	return code;
}

int error_prefix(struct error *err, const char *format, ...)
{
	auto_free char *prefix = NULL;
	struct error inner;
	va_list arguments;

	if (!err)
		return -EIO;
	inner = *err;
	va_start(arguments, format);
	prefix = xvasprintf(format, arguments);
	va_end(arguments);
	return error_set(err, inner.code, "%s: %s", prefix, inner.text);
}

const char *error_name(int code)
{
	const char *name = strerrordesc_np(abs(code));

	return name ? name : "unknown error";
}
