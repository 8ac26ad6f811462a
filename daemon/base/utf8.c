#include "daemon/base/utf8.h"

#include <string.h>

/* The length of the UTF-8 sequence (RFC 3629) at text, or 0. Text ends with a NUL, which is none. */
static size_t sequence_length(const unsigned char *text)
{
	unsigned char lead = text[0];
	unsigned char low = 0x80, high = 0xBF;
	size_t length;

	if (lead < 0x80)
		return 1;
	if (lead < 0xC2 || lead > 0xF4)
		return 0;
	length = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
	if (lead == 0xE0)
		low = 0xA0; /* overlong */
	if (lead == 0xED)
		high = 0x9F; /* surrogates */
	if (lead == 0xF0)
		low = 0x90; /* overlong */
	if (lead == 0xF4)
		high = 0x8F; /* past U+10FFFF */
	if (text[1] < low || text[1] > high)
		return 0;
	for (size_t i = 2; i < length; i++)
		if ((text[i] & 0xC0) != 0x80)
			return 0;
	return length;
}

bool utf8_is_valid(const char *text)
{
	const unsigned char *at = (const unsigned char *)text;

	while (*at) {
		size_t length = sequence_length(at);

		if (!length)
			return false;
		at += length;
	}
	return true;
}

void utf8_trim(char *text)
{
	size_t length = strlen(text);
	size_t start = length;
	unsigned char first;

	while (start > 0 && ((unsigned char)text[start - 1] & 0xC0) == 0x80)
		start--;
	first = start ? (unsigned char)text[start - 1] : 0;
	if (first >= 0xC0 && length - (start - 1) < (first >= 0xF0 ? 4u : first >= 0xE0 ? 3u : 2u))
		text[start - 1] = '\0';
}
