/*
 * batchctl: the command line of batchd. One table says what there is; the help is made of it.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include <locale.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "client/commands.h"
#include "client/connection.h"
#include "client/exits.h"
#include "client/options.h"
#include "client/output.h"
#include "daemon/base/error.h"
#include "daemon/protocol.h"

#ifndef PACKAGE_VERSION
#define PACKAGE_VERSION "unknown"
#endif

#define MANY         1000000
#define HELP_COLUMNS 26

struct command {
	const char *name;
	int (*run)(struct session *session);
	const struct option_row *options;
	size_t least; /* operands */
	size_t most;
	const char *operands;
	const char *help;
};

static int command_help(struct session *session);
static int command_version(struct session *session);

/* clang-format off */
#define AT(member) offsetof(struct options, member)
#define PATIENCE { 0, "patience", "DUR", OPTION_DURATION, AT(patience_ms), \
	"go on for so long while batchd is out of reach (1m)" }
#define TIMEOUT  { 0, "timeout", "DUR", OPTION_DURATION, AT(timeout_ms), \
	"wait no longer than this (exit status 124)" }

#define PRIORITY { 0, "priority", "N", OPTION_TEXT, AT(priority), \
	"0 to 100, the higher goes first (50); above: operators" }
#define MAX_TOKENS { 0, "max-tokens", "N", OPTION_TEXT, AT(max_tokens), \
	"how many tokens it may use, in and out; 0: any number" }
#define MAX_COST { 0, "max-cost", "AMOUNT", OPTION_TEXT, AT(max_cost), \
	"how much it may cost; 0: anything" }

#define WRAP     { 0, "wrap", NULL, OPTION_FLAG, AT(wraps), \
	"lines are bare bodies for --endpoint; ids are line-N" }
#define MODEL    { 0, "model", "MODEL", OPTION_TEXT, AT(model), \
	"with --wrap: of bodies that name none" }
#define ID_FROM  { 0, "id-from", "WHAT", OPTION_TEXT, AT(id_from), \
	"take ids from custom_id, or from the line: line-N (custom_id)" }

static const struct option_row shared_options[] = {
	{ 's', "socket", "SOCKET", OPTION_TEXT, AT(socket),
	  "the socket of batchd (BATCHD_SOCKET)" },
	{ 'j', "json", NULL, OPTION_FLAG, AT(is_json), "JSON; of lists, one object a line" },
	{ 'q', "quiet", NULL, OPTION_FLAG, AT(is_quiet), "no talk on standard error, but errors" },
	{ 'h', "help", NULL, OPTION_FLAG, AT(wants_help), "say how it is used" },
	{ 'V', "version", NULL, OPTION_FLAG, AT(wants_version), "say the versions" },
	{ 0 },
};

static const struct option_row submit_options[] = {
	{ 'n', "name", "NAME", OPTION_TEXT, AT(name), "a name for the job (metadata \"name\")" },
	{ 'm', "metadata", "K=V", OPTION_METADATA, 0, "a pair of metadata; may be repeated" },
	{ 'e', "endpoint", "URL", OPTION_TEXT, AT(endpoint),
	  "the endpoint (that of the first line)" },
	{ 0, "provider", "NAME[,NAME]", OPTION_TEXT, AT(provider),
	  "the provider to send to, and those to move on to" },
	{ 'l', "label", "K=V", OPTION_LABEL, 0, "a label to find it by; may be repeated" },
	{ 0, "on-invalid", "WHAT", OPTION_TEXT, AT(on_invalid),
	  "when lines are wrong: fail, or skip them and go on (fail)" },
	WRAP, MODEL, ID_FROM,
	{ 0, "max-attempts", "N", OPTION_COUNT, AT(max_attempts),
	  "how often one request is tried (as configured)" },
	PRIORITY,
	{ 0, "begin", "TIME", OPTION_TEXT, AT(begin),
	  "send it at TIME: 22:00, \"2026-12-01 08:00\", +2h" },
	{ 0, "after", "ID", OPTION_TEXT, AT(after), "send it when that job has ended" },
	{ 0, "deadline", "DUR", OPTION_DURATION, AT(deadline_ms),
	  "end it after so long, with what there is" },
	{ 0, "hold", NULL, OPTION_FLAG, AT(holds), "send nothing until it is released" },
	MAX_TOKENS, MAX_COST,
	{ 0, "dry-run", NULL, OPTION_FLAG, AT(is_dry_run),
	  "send nothing; tell what would be sent, and what stands in its way" },
	{ 'k', "key", "KEY", OPTION_TEXT, AT(key), "the idempotency key (a random one)" },
	{ 0, "no-wait", NULL, OPTION_FLAG, AT(skips_validation),
	  "leave at once, do not wait for the check of the lines" },
	{ 'w', "wait", NULL, OPTION_FLAG, AT(waits), "wait for the end, as the command wait does" },
	TIMEOUT,
	PATIENCE,
	{ 0 },
};

static const struct option_row validate_options[] = {
	{ 'e', "endpoint", "URL", OPTION_TEXT, AT(endpoint), "with --wrap: the endpoint" },
	WRAP, MODEL, ID_FROM,
	{ 0 },
};

static const struct option_row list_options[] = {
	{ 'a', "all", NULL, OPTION_FLAG, AT(wants_all), "ended jobs as well" },
	{ 's', "state", "STATE[,..]", OPTION_TEXT, AT(states), "jobs in these states" },
	{ 'n', "count", "N", OPTION_COUNT, AT(count), "the newest N alone" },
	{ 0 },
};

static const struct option_row log_options[] = {
	{ 'f', "follow", NULL, OPTION_FLAG, AT(follows), "go on until the job is over" },
	PATIENCE,
	{ 0 },
};

static const struct option_row wait_options[] = { TIMEOUT, PATIENCE, { 0 } };

static const struct option_row results_options[] = {
	{ 'o', "output", "FILE", OPTION_TEXT, AT(output),
	  "write to FILE, which appears when it is whole" },
	{ 'f', "force", NULL, OPTION_FLAG, AT(overwrites), "overwrite FILE" },
	{ 0, "errors-only", NULL, OPTION_FLAG, AT(wants_errors),
	  "the failures, not the successes" },
	{ 0, "all", NULL, OPTION_FLAG, AT(wants_all), "one combined line for every request" },
	{ 0, "format", "FORMAT", OPTION_TEXT, AT(format),
	  "lines as they came, combined ones, or content: the texts alone" },
	{ 0, "partial", NULL, OPTION_FLAG, AT(is_partial), "what there is, before the end" },
	{ 0 },
};

static const struct option_row set_options[] = { PRIORITY, MAX_TOKENS, MAX_COST, { 0 } };

static const struct option_row retry_options[] = {
	{ 0, "accept-lost", NULL, OPTION_FLAG, AT(accepts_lost),
	  "go on without the answers that cannot be had" },
	{ 'k', "key", "KEY", OPTION_TEXT, AT(key), "the idempotency key (a random one)" },
	{ 0 },
};

static const struct option_row resolve_options[] = {
	{ 0, "batch", "ID", OPTION_TEXT, AT(batch), "the provider has it as batch ID" },
	{ 0, "none", NULL, OPTION_FLAG, AT(is_none), "the provider has no batch of it" },
	{ 0, "shard", "N", OPTION_COUNT, AT(shard), "the shard, where several are uncertain" },
	{ 'k', "key", "KEY", OPTION_TEXT, AT(key), "the idempotency key (a random one)" },
	{ 0 },
};

static const struct option_row pause_options[] = {
	{ 0, "reason", "TEXT", OPTION_TEXT, AT(reason), "why, for all who ask" },
	{ 0 },
};

static const struct option_row backup_options[] = {
	{ 'f', "force", NULL, OPTION_FLAG, AT(overwrites), "overwrite FILE" },
	{ 0, "partial", NULL, OPTION_FLAG, AT(is_partial), "go on without files that are missing" },
	{ 0 },
};

static const struct option_row status_options[] = {
	{ 0, "check", NULL, OPTION_FLAG, AT(checks), "of jobs: tell by the exit status" },
	{ 0 },
};

static const struct option_row ping_options[] = {
	{ 0, "wait", "DUR", OPTION_DURATION, AT(wait_ms), "try again for so long" },
	{ 0 },
};

static const struct option_row no_options[] = { { 0 } };

static const struct command commands[] = {
	{ "submit",   command_submit,   submit_options,  0, MANY, "[FILE ...]",
	  "hand in a file of requests; prints the job's number" },
	{ "validate", command_validate, validate_options, 0, MANY, "[FILE ...]",
	  "check files without batchd; prints every flaw" },
	{ "list",     command_list,     list_options,    0, 0,    "",
	  "list jobs, newest first; those not ended" },
	{ "show",     command_show,     no_options,      1, MANY, "ID ...",
	  "tell everything about jobs" },
	{ "log",      command_log,      log_options,     1, 1,    "ID",
	  "print the history of a job" },
	{ "wait",     command_wait,     wait_options,    1, MANY, "ID ...",
	  "wait for jobs to end; the exit status tells how" },
	{ "results",  command_results,  results_options, 1, 1,    "ID",
	  "print the results of a job, in the order of its input" },
	{ "cancel",   command_cancel,   no_options,      1, MANY, "ID ...",
	  "cancel jobs; what was answered is kept" },
	{ "hold",     command_hold,     no_options,      1, MANY, "ID ...",
	  "send nothing more of jobs until they are released" },
	{ "release",  command_release,  no_options,      1, MANY, "ID ...",
	  "let jobs on hold go on" },
	{ "set",      command_set,      set_options,     1, MANY, "ID ...",
	  "change the priority and the budgets of jobs" },
	{ "retry",    command_retry,    retry_options,   1, MANY, "ID ...",
	  "send again what had no success, as a new job; prints its number" },
	{ "resolve",  command_resolve,  resolve_options, 1, 1,    "ID",
	  "say whether the provider has a batch for an uncertain shard" },
	{ "status",   command_status,   status_options,  0, MANY, "[ID ...]",
	  "tell how batchd does, or with --check how jobs do" },
	{ "pause",    command_pause,    pause_options,   1, 1,    "PROVIDER",
	  "send nothing more to a provider; for operators" },
	{ "resume",   command_resume,   no_options,      1, 1,    "PROVIDER",
	  "go on with a provider at once, whatever it waits for; for operators" },
	{ "backup",   command_backup,   backup_options,  1, 1,    "FILE",
	  "save the state of batchd as a tar archive; for operators" },
	{ "verify",   command_verify,   no_options,      0, 0,    "",
	  "look for damage in the state of batchd; for operators" },
	{ "ping",     command_ping,     ping_options,    0, 0,    "",
	  "ask whether jobs are accepted" },
	{ "help",     command_help,     no_options,      0, 1,    "[COMMAND]",
	  "say how it is used; of exit-codes, what they mean" },
	{ "version",  command_version,  no_options,      0, 0,    "",
	  "print the versions" },
};
/* clang-format on */

static const struct command *find_command(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	return NULL;
}

static void print_options(FILE *stream, const struct option_row *row)
{
	for (; row->name; row++) {
		int used = row->letter ? fprintf(stream, "  -%c, ", row->letter)
				       : fprintf(stream, "      ");

		used += fprintf(stream, "--%s%s%s", row->name, row->argument ? " " : "",
				row->argument ? row->argument : "");
		(void)fprintf(stream, "%*s%s\n", used < HELP_COLUMNS ? HELP_COLUMNS - used : 1, "",
			      row->help);
	}
}

static void print_usage(FILE *stream, const struct command *command)
{
	(void)fprintf(stream, "usage: batchctl [-s SOCKET] [-jq] %s%s%s%s\n",
		      command ? command->name : "COMMAND [ARGUMENT ...]",
		      command && command->options->name ? " [OPTION ...]" : "",
		      command && *command->operands ? " " : "", command ? command->operands : "");
}

static void print_help(const struct command *command)
{
	print_usage(stdout, command);
	(void)putchar('\n');
	if (command) {
		(void)printf("%s: %s\n\n", command->name, command->help);
		print_options(stdout, command->options);
	} else {
		for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
			(void)printf("  %-10s%s\n", commands[i].name, commands[i].help);
		(void)putchar('\n');
	}
	print_options(stdout, shared_options);
}

static int print_exit_codes(void)
{
	static const int order[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 65, 75, 124, 130};

	for (size_t i = 0; i < ARRAY_SIZE(order); i++)
		for (size_t j = 0; exits_row(j); j++)
			if (exits_row(j)->status == order[i])
				(void)printf("%3d  %s\n", order[i], exits_row(j)->meaning);
	(void)printf("\nOf several ids or files the worst is told, in this order:");
	for (size_t j = 0; exits_row(j); j++)
		(void)printf(" %d", exits_row(j)->status);
	(void)putchar('\n');
	return EXIT_DONE;
}

static int command_help(struct session *session)
{
	const char *name = session->options->operand_count ? session->options->operands[0] : NULL;
	const struct command *command = name ? find_command(name) : NULL;

	if (name && strcmp(name, "exit-codes") == 0)
		return print_exit_codes();
	if (name && !command)
		return output_fail(EXIT_USAGE, NULL, 0, "there is no command %s", name);
	print_help(command);
	return EXIT_DONE;
}

static int command_version(struct session *session)
{
	if (session->options->is_json)
		(void)printf("{\"v\":1,\"batchctl\":\"%s\",\"libcurl\":\"%s\",\"json-c\":\"%s\"}\n",
			     PACKAGE_VERSION, connection_library(), json_c_version());
	else
		(void)printf("batchctl %s\nlibcurl %s\njson-c %s\n", PACKAGE_VERSION,
			     connection_library(), json_c_version());
	return EXIT_DONE;
}

static int refuse(const struct command *command, const char *reason)
{
	(void)output_fail(EXIT_USAGE, NULL, 0, "%s", reason);
	if (!output_is_json())
		print_usage(stderr, command);
	return EXIT_USAGE;
}

static const char *choose_socket(const struct options *options)
{
	const char *variable = getenv(PROTOCOL_SOCKET_VARIABLE);

	if (options->socket)
		return options->socket;
	return variable && *variable ? variable : PROTOCOL_DEFAULT_SOCKET;
}

static int run(const struct command *command, const struct options *options)
{
	const char *socket = choose_socket(options);
	auto_with(connection_free) struct connection *connection = connection_new(socket);
	struct session session = {options, connection, socket};

	if (options->wants_version)
		return command_version(&session);
	if (options->wants_help) {
		print_help(command);
		return EXIT_DONE;
	}
	if (!command)
		return refuse(NULL, "no command given; batchctl help lists them");
	if (options->operand_count < command->least)
		return refuse(command, "an argument is missing");
	if (options->operand_count > command->most)
		return refuse(command, "there are too many arguments");
	return command->run(&session);
}

int main(int argc, char **argv)
{
	const struct command *command = NULL;
	struct options options;
	struct error err = {0};
	int used;

	(void)setlocale(LC_CTYPE, "");
	options_init(&options);
	output_init(false, false);
	used = options_read(&options, NULL, shared_options, argv + 1, argc - 1, &err);
	output_init(options.is_json, options.is_quiet);
	if (used < 0)
		return refuse(NULL, err.text);
	if (used < argc - 1) {
		command = find_command(argv[1 + used]);
		if (!command) {
			(void)error_set(&err, 0, "there is no command %s; batchctl help lists them",
					argv[1 + used]);
			return refuse(NULL, err.text);
		}
		used = options_read(&options, command->options, shared_options, argv + 2 + used,
				    argc - 2 - used, &err);
		output_init(options.is_json, options.is_quiet);
		if (used < 0)
			return refuse(command, err.text);
	}
	return output_finish(run(command, &options));
}
