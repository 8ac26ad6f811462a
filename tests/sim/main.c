#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/alloc.h"
#include "daemon/base/buffer.h"
#include "daemon/base/cleanup.h"
#include "daemon/base/error.h"
#include "daemon/io/loop.h"
#include "daemon/io/server.h"
#include "tests/sim/line.h"
#include "tests/sim/model.h"
#include "tests/sim/serve.h"

enum { EXIT_USAGE = 2, MAX_SCRIPT = 4 << 20 };

/* clang-format off */
enum number {
	VALIDATE_MS, RUN_MS, FINALIZE_MS, CANCEL_MS, EXPIRE_MS, SEED, TOKEN_LIMIT, MAX_REQUESTS,
	MAX_BYTES, MAX_INPUTS, FAIL_PERMILLE, FAIL_STATUS, FAIL_TIMES, ANSWER_BYTES, PORT, ATTEMPT,
	NUMBER_COUNT,
};

enum text { LISTEN_UNIX, PORT_FILE, KEY, DIALECT, SCRIPT, ANSWERS, TEXT_COUNT };

static const struct option options[] = {
	{ "validate-ms",          required_argument, NULL, VALIDATE_MS },
	{ "run-ms",               required_argument, NULL, RUN_MS },
	{ "finalize-ms",          required_argument, NULL, FINALIZE_MS },
	{ "cancel-ms",            required_argument, NULL, CANCEL_MS },
	{ "expire-ms",            required_argument, NULL, EXPIRE_MS },
	{ "seed",                 required_argument, NULL, SEED },
	{ "enqueued-token-limit", required_argument, NULL, TOKEN_LIMIT },
	{ "max-requests",         required_argument, NULL, MAX_REQUESTS },
	{ "max-bytes",            required_argument, NULL, MAX_BYTES },
	{ "max-inputs",           required_argument, NULL, MAX_INPUTS },
	{ "fail-permille",        required_argument, NULL, FAIL_PERMILLE },
	{ "fail-status",          required_argument, NULL, FAIL_STATUS },
	{ "fail-times",           required_argument, NULL, FAIL_TIMES },
	{ "answer-bytes",         required_argument, NULL, ANSWER_BYTES },
	{ "port",                 required_argument, NULL, PORT },
	{ "attempt",              required_argument, NULL, ATTEMPT },
	{ "listen-unix",          required_argument, NULL, NUMBER_COUNT + LISTEN_UNIX },
	{ "port-file",            required_argument, NULL, NUMBER_COUNT + PORT_FILE },
	{ "key",                  required_argument, NULL, NUMBER_COUNT + KEY },
	{ "dialect",              required_argument, NULL, NUMBER_COUNT + DIALECT },
	{ "script",               required_argument, NULL, NUMBER_COUNT + SCRIPT },
	{ "answers",              required_argument, NULL, NUMBER_COUNT + ANSWERS },
	{ NULL, 0, NULL, 0 },
};
/* clang-format on */

struct settings {
	int64_t numbers[NUMBER_COUNT];
	const char *texts[TEXT_COUNT];
	bool has_port;
};

struct program {
	struct loop *loop;
	struct sim *sim;
	struct serve *serve;
};

static int fail(const struct error *err)
{
	(void)fprintf(stderr, "batch-api-sim: %s\n", err->text);
	return EXIT_FAILURE;
}

static bool read_options(int argc, char **argv, struct settings *settings)
{
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		char *end;

		if (option == '?')
			return false;
		if (option >= NUMBER_COUNT) {
			settings->texts[option - NUMBER_COUNT] = optarg;
			continue;
		}
		errno = 0;
		settings->numbers[option] = strtoll(optarg, &end, 10);
		if (end == optarg || *end || errno || settings->numbers[option] < 0) {
			(void)fprintf(stderr, "batch-api-sim: \"%s\" is no number\n", optarg);
			return false;
		}
		settings->has_port |= option == PORT;
	}
	if (optind < argc || settings->numbers[PORT] > UINT16_MAX)
		return false;
	return settings->has_port || settings->texts[LISTEN_UNIX] || settings->texts[ANSWERS];
}

static struct sim_config make_config(const struct settings *settings)
{
	const int64_t *numbers = settings->numbers;

	return (struct sim_config){
		.dialect = settings->texts[DIALECT],
		.key = settings->texts[KEY],
		.validate_ms = numbers[VALIDATE_MS],
		.run_ms = numbers[RUN_MS],
		.finalize_ms = numbers[FINALIZE_MS],
		.cancel_ms = numbers[CANCEL_MS],
		.expire_ms = numbers[EXPIRE_MS],
		.max_requests = numbers[MAX_REQUESTS],
		.max_bytes = numbers[MAX_BYTES],
		.max_inputs = numbers[MAX_INPUTS],
		.enqueued_token_limit = numbers[TOKEN_LIMIT],
		.seed = (uint64_t)numbers[SEED],
		.answers =
			{
				.fail_permille = (unsigned)numbers[FAIL_PERMILLE],
				.fail_status = (int)numbers[FAIL_STATUS],
				.fail_times = (unsigned)numbers[FAIL_TIMES],
				.text_bytes = (unsigned)numbers[ANSWER_BYTES],
			},
	};
}

/* Prints what would be answered to each line of a file, asked for the attempt-th time. */
static int print_answers(const char *path, const struct answer_rules *rules, unsigned attempt)
{
	auto_fclose FILE *file = fopen(path, "re");
	auto_free char *text = NULL;
	auto_buffer out = {0};
	struct answer_usage usage = {0};
	size_t room = 0;
	ssize_t size;

	if (!file) {
		(void)fprintf(stderr, "batch-api-sim: cannot open %s: %m\n", path);
		return EXIT_FAILURE;
	}
	while ((size = getline(&text, &room, file)) > 0) {
		struct line line;

		if (!line_parse(text, (size_t)size, &line) || line.custom_id.kind != LINE_STRING ||
		    line.body.kind != LINE_OBJECT) {
			(void)fprintf(stderr, "batch-api-sim: %s: no request: %s", path, text);
			return EXIT_FAILURE;
		}
		buffer_clear(&out);
		(void)answers_add(rules, &line, attempt, &out, &usage);
		(void)fwrite(out.data, 1, out.size, stdout);
	}
	return fflush(stdout) ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int read_script(struct sim *sim, const char *path, struct error *err)
{
	auto_fclose FILE *file = NULL;
	auto_free char *text = NULL;
	size_t size;
	int error;

	if (!path)
		return 0;
	file = fopen(path, "re");
	if (!file)
		return error_set(err, -errno, "cannot open %s: %s", path, strerror(errno));
	text = xcalloc(MAX_SCRIPT + 1, 1);
	size = fread(text, 1, MAX_SCRIPT + 1, file);
	error = sim_add_script(sim, text, size, err);
	return error ? error_prefix(err, "%s", path) : 0;
}

/* Readers must never see half a number. */
static int write_port(const char *path, uint16_t port, struct error *err)
{
	auto_free char *name = path ? xasprintf("%s.new", path) : NULL;
	FILE *file = path ? fopen(name, "we") : NULL;
	bool is_written;

	if (!path)
		return 0;
	if (!file)
		return error_set(err, -errno, "cannot write %s: %s", name, strerror(errno));
	is_written = fprintf(file, "%u\n", port) > 0;
	is_written = !fclose(file) && is_written && !rename(name, path);
	return is_written ? 0 : error_set(err, -EIO, "cannot write %s", path);
}

/* Makes the sockets, and puts into words where they listen. */
static int open_sockets(const struct settings *settings, int *fds, size_t *ret_count,
			struct buffer *words, struct error *err)
{
	size_t count = 0;
	int error = 0;

	if (settings->texts[LISTEN_UNIX]) {
		error = server_listen_unix(settings->texts[LISTEN_UNIX], 0600, &fds[count++], err);
		buffer_add_format(words, " %s", settings->texts[LISTEN_UNIX]);
	}
	if (!error && settings->has_port) {
		uint16_t port = 0;

		error = server_listen_loopback((uint16_t)settings->numbers[PORT], &fds[count++],
					       &port, err);
		buffer_add_format(words, " http://127.0.0.1:%u", port);
		if (!error)
			error = write_port(settings->texts[PORT_FILE], port, err);
	}
	*ret_count = count;
	return error;
}

static int64_t now_ms(void *context)
{
	return loop_now_ms(context);
}

static void on_signal(int number, void *context)
{
	(void)number;
	loop_stop(context);
}

static void on_turn_end(void *context)
{
	serve_turn(context);
}

static int run(const struct settings *settings, const struct sim_config *config)
{
	struct program program = {.loop = loop_new()};
	auto_buffer words = {0};
	struct error err = {0};
	int fds[2] = {-1, -1};
	size_t count;
	int error;

	program.sim = sim_new(config, now_ms, program.loop);
	if (!program.sim) {
		(void)error_set(&err, -EINVAL, "there is no dialect %s", config->dialect);
		loop_free(program.loop);
		return fail(&err);
	}
	error = read_script(program.sim, settings->texts[SCRIPT], &err);
	if (!error)
		error = open_sockets(settings, fds, &count, &words, &err);
	if (!error)
		error = serve_new(program.loop, program.sim, fds, count, &program.serve, &err);
	if (!error) {
		loop_on_signal(program.loop, SIGTERM, on_signal, program.loop);
		loop_on_signal(program.loop, SIGINT, on_signal, program.loop);
		(void)printf("listening on%s\n", buffer_text(&words));
		(void)fflush(stdout);
		loop_run(program.loop, on_turn_end, program.serve);
	}
	serve_free(program.serve);
	sim_free(program.sim);
	loop_free(program.loop);
	return error ? fail(&err) : EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	struct settings settings = {0};
	struct sim_config config;

	if (!read_options(argc, argv, &settings)) {
		(void)fprintf(stderr, "usage: batch-api-sim --listen-unix PATH | --port 0 "
				      "[--port-file FILE] [--key KEY] [--dialect NAME] [--script FILE] ...\n"
				      "       batch-api-sim --answers FILE\n");
		return EXIT_USAGE;
	}
	(void)signal(SIGPIPE, SIG_IGN);
	config = make_config(&settings);
	if (settings.texts[ANSWERS])
		return print_answers(settings.texts[ANSWERS], &config.answers,
				     settings.numbers[ATTEMPT] ? (unsigned)settings.numbers[ATTEMPT] : 1);
	return run(&settings, &config);
}
