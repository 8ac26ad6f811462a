#include "client/repeat.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "client/exits.h"
#include "client/interrupt.h"
#include "client/job.h"
#include "daemon/protocol.h"

#define TRIES            7
#define FIRST_PAUSE_MS   500
#define LONGEST_PAUSE_MS 30000

void repeat_draw_key(char *ret_key)
{
	unsigned char random[(REPEAT_KEY - 1) / 2];

	if (getrandom(random, sizeof(random), 0) != sizeof(random))
		abort();
	for (size_t i = 0; i < sizeof(random); i++)
		(void)snprintf(ret_key + 2 * i, 3, "%02x", random[i]);
}

bool repeat_again(struct repeat *repeat, const char *what, struct failure *failure)
{
	int64_t wished_ms = failure->retry_after_s * 1000;

	repeat->was_sent |= !failure->is_unsent;
	if (!failure->is_passing || !repeat->was_sent || ++repeat->tries == TRIES)
		return false;
	repeat->pause_ms = repeat->pause_ms ? repeat->pause_ms * 2 : FIRST_PAUSE_MS;
	if (wished_ms > repeat->pause_ms)
		repeat->pause_ms = wished_ms < LONGEST_PAUSE_MS ? wished_ms : LONGEST_PAUSE_MS;
	output_say("%s: %s; sending it again, with the same key, in %.1f s", what, failure->text,
		   (double)repeat->pause_ms / 1000);
	if (!interrupt_sleep(repeat->pause_ms))
		return true;
	*failure = (struct failure){.status = interrupt_status()};
	return false;
}

int repeat_check_key(const char *key, const char *operand, size_t operand_count)
{
	if (!key)
		return 0;
	if (operand_count > 1)
		return output_fail(EXIT_USAGE, NULL, 0, "one --key is for one %s", operand);
	if (!*key || strlen(key) > PROTOCOL_MAX_KEY)
		return output_fail(EXIT_USAGE, NULL, 0, "a --key has 1 to %d bytes",
				   PROTOCOL_MAX_KEY);
	for (; *key; key++)
		if (*key <= ' ' || *key == 0x7f)
			return output_fail(EXIT_USAGE, NULL, 0,
					   "a --key has no blanks and no control characters");
	return 0;
}
