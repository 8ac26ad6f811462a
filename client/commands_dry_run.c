#include "client/commands.h"

#include <errno.h>

#include "client/exits.h"
#include "client/forecast.h"
#include "client/input.h"
#include "client/interrupt.h"
#include "client/job.h"
#include "client/options.h"
#include "daemon/base/error.h"
#include "daemon/protocol.h"

static int foretell(const struct options *options, struct json_object *daemon, const char *path)
{
	auto_input input = {.fd = -1};
	auto_forecast forecast = {.options = options, .input = &input, .daemon = daemon};
	struct error err;
	int result = input_open(path, true, &input, &err);

	if (result == -ENOTTY)
		return output_fail(EXIT_USAGE, NULL, 0,
				   "%s: give a FILE, or pipe one in; see batchctl help submit",
				   err.text);
	if (!result)
		result = forecast_make(&forecast, &err);
	if (result == -EBADMSG)
		return output_fail(EXIT_INPUT, NULL, 0, "%s", err.text);
	if (result < 0)
		return interrupt_came() ? interrupt_status()
					: output_fail(EXIT_OTHER, NULL, 0, "%s", err.text);
	forecast_show(&forecast);
	return forecast_status(&forecast);
}

int command_dry_run(struct session *session)
{
	const struct options *options = session->options;
	auto_json *daemon = NULL;
	struct failure failure;
	int worst = EXIT_DONE;

	if (service_get(session->connection, PROTOCOL_DAEMON, 0, &daemon, &failure))
		output_say("%s; so the limits are taken to be the official provider's",
			   failure.text);
	if (!options->operand_count)
		return foretell(options, daemon, "-");
	for (size_t i = 0; i < options->operand_count && !interrupt_came(); i++) {
		if (i && !output_is_json())
			(void)putchar('\n');
		worst = exits_worse(worst, foretell(options, daemon, options->operands[i]));
	}
	return interrupt_came() ? interrupt_status() : worst;
}
