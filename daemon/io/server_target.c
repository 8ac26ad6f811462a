#include "daemon/io/server_private.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/base/alloc.h"
#include "daemon/base/utf8.h"

#define PARAMETER_LIMIT 64

static int hex_value(char digit)
{
	if (digit >= '0' && digit <= '9')
		return digit - '0';
	if (digit >= 'a' && digit <= 'f')
		return digit - 'a' + 10;
	if (digit >= 'A' && digit <= 'F')
		return digit - 'A' + 10;
	return -1;
}

/* Decodes in place: it only ever shrinks. */
static const char *decode(char *text, bool plus_is_space)
{
	char *to = text;

	for (const char *from = text; *from; from++) {
		char byte = *from;

		if (byte == '+' && plus_is_space)
			byte = ' ';
		if (byte == '%') {
			int high = hex_value(from[1]);
			int low = high < 0 ? -1 : hex_value(from[2]);

			if (low < 0)
				return "the request target has a '%' without two hexadecimal "
				       "digits";
			byte = (char)(high << 4 | low);
			if (!byte)
				return "the request target has an encoded NUL";
			from += 2;
		}
		*to++ = byte;
	}
	*to = '\0';
	return utf8_is_valid(text) ? NULL : "the request target is not UTF-8";
}

static const char *add_parameter(struct target *target, const char *text, size_t size)
{
	struct target_parameter *parameter;
	const char *problem;
	char *equals;

	if (!size)
		return NULL;
	if (target->parameter_count == PARAMETER_LIMIT)
		return "the request target has too many parameters";
	target->parameters = xreallocarray(target->parameters, target->parameter_count + 1,
					   sizeof(*target->parameters));
	parameter = &target->parameters[target->parameter_count++];
	parameter->name = xmemdup0(text, size);
	parameter->value = NULL;
	equals = strchr(parameter->name, '=');
	parameter->value = xstrdup(equals ? equals + 1 : "");
	if (equals)
		*equals = '\0';
	problem = decode(parameter->name, true);
	return problem ? problem : decode(parameter->value, true);
}

static const char *parse_query(struct target *target, const char *query)
{
	const char *problem = NULL;

	while (!problem) {
		size_t size = strcspn(query, "&");

		problem = add_parameter(target, query, size);
		if (!query[size])
			break;
		query += size + 1;
	}
	return problem;
}

const char *target_parse(struct target *target, const char *text)
{
	size_t path_size;
	const char *problem;

	if (!text || text[0] != '/')
		return "the request target does not begin with '/'";
	for (const char *at = text; *at; at++)
		if ((unsigned char)*at <= ' ' || *at == 0x7F)
			return "the request target has a blank or a control character";

	path_size = strcspn(text, "?");
	target->path = xmemdup0(text, path_size);
	problem = decode(target->path, false);
	if (!problem && text[path_size])
		problem = parse_query(target, text + path_size + 1);
	return problem;
}

void target_release(struct target *target)
{
	for (size_t i = 0; i < target->parameter_count; i++) {
		free(target->parameters[i].name);
		free(target->parameters[i].value);
	}
	free(target->parameters);
	free(target->path);
	*target = (struct target){0};
}

const char *target_parameter(const struct target *target, const char *name)
{
	for (size_t i = 0; i < target->parameter_count; i++)
		if (strcmp(target->parameters[i].name, name) == 0)
			return target->parameters[i].value;
	return NULL;
}
