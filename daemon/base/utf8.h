/*
 * Texts that strangers gave: whether they are UTF-8 (RFC 3629), and cutting them without breaking a character.
 */
#ifndef BATCHD_BASE_UTF8_H
#define BATCHD_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>

/* Whether a terminated text is UTF-8: no overlong form, no surrogate, nothing past U+10FFFF. */
bool utf8_is_valid(const char *text);

/* Drops the last character of a text that was cut by bytes, if not all of it is there. */
void utf8_trim(char *text);

#endif
