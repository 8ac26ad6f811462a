/* What operators do about providers. */
#include "client/commands.h"

#include <stdio.h>
#include <string.h>

#include "client/exits.h"
#include "client/job.h"
#include "client/options.h"
#include "client/words.h"
#include "daemon/base/alloc.h"
#include "daemon/base/buffer.h"
#include "daemon/protocol.h"

void provider_describe(struct json_object *provider, struct buffer *words)
{
	const char *state = json_text(provider, "state", json_is_true(provider, "is_paused") ? "paused" : "ok");
	const char *why = json_text(provider, "why", NULL);
	int64_t until = json_number(provider, "until", 0), since = json_number(provider, "since", 0);
	char time[WORDS_FIGURE];

	/* Some reasons begin with the state. */
	if (!why || strncmp(why, state, strlen(state)) != 0)
		buffer_add_format(words, "%s%s", state, why ? ": " : "");
	if (why)
		buffer_add_text(words, why);
	if (until)
		buffer_add_format(words, " until %s", words_time(until, time));
	if (since)
		buffer_add_format(words, ", since %s", words_time(since, time));
}

static int change(struct session *session, const char *path, const char *reason)
{
	const char *name = session->options->operands[0];
	auto_free char *call = xstrdup(path);
	auto_json *provider = NULL;
	auto_buffer words = {0};
	struct failure failure;

	connection_query(&call, "provider", name);
	connection_query(&call, "reason", reason);
	if (service_post(session->connection, call, &provider, &failure))
		return failure_tell(&failure, 0);
	provider_describe(provider, &words);
	if (output_is_json())
		output_json(provider);
	else
		output_say("%s: %s", name, buffer_text(&words));
	return EXIT_DONE;
}

int command_pause(struct session *session)
{
	const char *reason = session->options->reason;

	if (reason && strlen(reason) > PROTOCOL_MAX_REASON)
		return output_fail(EXIT_USAGE, NULL, 0, "a --reason has at most %d bytes", PROTOCOL_MAX_REASON);
	return change(session, PROTOCOL_PAUSE, reason);
}

int command_resume(struct session *session)
{
	return change(session, PROTOCOL_RESUME, NULL);
}
