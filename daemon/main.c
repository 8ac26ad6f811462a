/*
 * batchd: options, the start in order, the loop, the stop in reverse order. Everything else is in
 * the library, so that tests run the real code.
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/base/alloc.h"
#include "daemon/base/cleanup.h"
#include "daemon/base/error.h"
#include "daemon/base/log.h"
#include "daemon/door/report.h"
#include "daemon/door/routes.h"
#include "daemon/io/config.h"
#include "daemon/io/http.h"
#include "daemon/io/loop.h"
#include "daemon/io/notify.h"
#include "daemon/io/server.h"
#include "daemon/io/spool.h"
#include "daemon/io/store.h"
#include "daemon/io/vault.h"
#include "daemon/work/expired.h"
#include "daemon/work/pipeline.h"
#include "daemon/work/provider.h"
#include "daemon/work/scheduler.h"
#include "daemon/work/strays.h"

/* sysexits.h, as systemd names them. */
enum { EXIT_OK = 0, EXIT_USAGE = 64, EXIT_UNAVAILABLE = 69, EXIT_CANTCREAT = 73, EXIT_IOERR = 74,
       EXIT_TEMPFAIL = 75, EXIT_PROTOCOL = 76, EXIT_NOPERM = 77, EXIT_CONFIG = 78 };

/* A stop lets a create under way finish, for so long. */
#define STOP_MS 5000
#define LAST_TURNS 16
#define SOCKET_MODE 0660

struct daemon {
	struct config *config;
	const char *config_path;
	struct loop *loop;
	struct spool *spool;
	struct store *store;
	struct vault *vault;
	struct http *http;
	struct providers *providers;
	struct pipeline *pipeline;
	struct scheduler *scheduler;
	struct strays *strays;
	struct expired *expired;
	struct door *door;
	struct server *server;
	struct loop_timer *watchdog;
	struct loop_timer *last_call; /* the stop does not wait longer */
	struct loop_timer *next_turn; /* comes at once, for there is more to do in it */
	bool owns_socket;	      /* we made it, so we remove it */
	bool is_stopping;
	int status;
};

struct options {
	const char *config;
	bool is_check;
	bool is_print_keys;
	bool is_verify;
	bool is_json;
};

/* --- what a failed start exits with --- */

static int exit_status(int code)
{
	switch (-code) {
	case EWOULDBLOCK:
		return EXIT_TEMPFAIL;
	case EPROTO:
		return EXIT_PROTOCOL;
	case EACCES:
	case EPERM:
	case EROFS:
		return EXIT_NOPERM;
	case EIO:
	case EUCLEAN:
		return EXIT_IOERR;
	default:
		return EXIT_CANTCREAT;
	}
}

static int give_up(int status, const struct error *err)
{
	log_error("cannot start", log_text("WHY", err->text));
	return status;
}

static void tell_damage(const struct daemon *daemon)
{
	log_error("the state folder is damaged: batchd --verify tells more; a backup can be restored, see batchd(8)",
		  log_text("PATH", daemon->config->state_folder));
}

/* --- callbacks --- */

static void on_event(int64_t job, int64_t seq, void *context)
{
	struct daemon *daemon = context;

	if (daemon->door)
		door_on_event(daemon->door, job, seq);
}

static void on_change(void *context)
{
	struct daemon *daemon = context;

	if (daemon->scheduler)
		scheduler_kick(daemon->scheduler);
	if (daemon->strays)
		strays_kick(daemon->strays);
}

static void on_fatal(int status, void *context)
{
	struct daemon *daemon = context;

	log_error("the disk fails; batchd ends and starts again from what is on disk");
	daemon->status = status;
	loop_stop(daemon->loop);
}

/* The end of every turn: first the disk, then the world. */
static void on_turn_end(void *context)
{
	struct daemon *daemon = context;
	struct error err = { 0 };
	int commit = store_commit(daemon->store, &err);

	if (commit) {
		log_error("nothing of this turn was stored", log_text("WHY", err.text));
		if (commit == -EUCLEAN)
			tell_damage(daemon);
		if (commit == -EIO || commit == -EUCLEAN)
			on_fatal(EXIT_IOERR, daemon);
	}
	server_release(daemon->server, commit, door_on_failed);
	if (vault_is_tidying(daemon->vault))
		loop_timer_set(daemon->next_turn, 0);
	if (daemon->is_stopping && !pipeline_active(daemon->pipeline))
		loop_stop(daemon->loop);
}

static void on_next_turn(void *context)
{
	(void)context;
}

static void on_watchdog(void *context)
{
	struct daemon *daemon = context;

	notify_watchdog();
	loop_timer_set(daemon->watchdog, notify_watchdog_interval_ms());
}

static void on_last_call(void *context)
{
	struct daemon *daemon = context;

	loop_stop(daemon->loop);
}

static void on_stop_signal(int signal_number, void *context)
{
	struct daemon *daemon = context;

	if (daemon->is_stopping) {
		loop_stop(daemon->loop);
		return;
	}
	log_notice("stopping", log_number("SIGNAL", signal_number));
	notify_stopping();
	daemon->is_stopping = true;
	door_drain(daemon->door);
	server_quiesce(daemon->server);
	pipeline_stop(daemon->pipeline);
	strays_stop(daemon->strays);
	loop_timer_set(daemon->last_call, STOP_MS);
}

/* --- the start --- */

/* A copy that is started on does not know what the original did since. */
static int note_restoring(struct daemon *daemon, struct error *err)
{
	int64_t copied_at = 0;
	int r = store_restore(daemon->store, loop_now_ms(daemon->loop), &copied_at, err);

	if (copied_at)
		log_warning("this is a restored copy; what was sent since it was made is looked for first");
	return r;
}

static int open_state(struct daemon *daemon, struct error *err)
{
	auto_free char *path = xasprintf("%s/batchd.db", daemon->config->state_folder);
	int r = spool_open(daemon->config->state_folder, &daemon->spool, err);

	if (!r)
		r = store_open(path, loop_random(daemon->loop), &daemon->store, err);
	if (!r)
		r = note_restoring(daemon, err);
	if (r)
		return r;
	daemon->vault = vault_new(daemon->store, daemon->spool);
	return vault_sweep(daemon->vault, err);
}

static void open_work(struct daemon *daemon)
{
	const struct pipeline_callbacks callbacks = {
		.on_event = on_event,
		.on_idle = on_change,
		.on_fatal = on_fatal,
		.context = daemon,
	};

	daemon->pipeline = pipeline_new(daemon->loop, daemon->store, daemon->vault, daemon->providers,
					&callbacks);
}

static int open_door(struct daemon *daemon, struct error *err)
{
	const struct door_parts parts = {
		.loop = daemon->loop,
		.store = daemon->store,
		.spool = daemon->spool,
		.vault = daemon->vault,
		.pipeline = daemon->pipeline,
		.providers = daemon->providers,
		.config = daemon->config,
		.config_path = daemon->config_path,
		.on_change = on_change,
		.on_fatal = on_fatal,
		.context = daemon,
	};

	return door_new(&parts, &daemon->door, err);
}

/* The sockets that the service manager holds for us, or one of our own. */
static int listen_sockets(struct daemon *daemon, int **ret_fds, size_t *ret_count, struct error *err)
{
	int r = notify_listen_fds(NULL, ret_fds, ret_count, err);

	if (r || *ret_count)
		return r;
	*ret_fds = xcalloc(1, sizeof(**ret_fds));
	*ret_count = 1;
	r = server_listen_unix(daemon->config->socket, SOCKET_MODE, *ret_fds, err);
	daemon->owns_socket = r == 0;
	return r;
}

static int open_server(struct daemon *daemon, struct error *err)
{
	const struct server_callbacks callbacks = door_callbacks(daemon->door);
	const struct server_limits limits = {
		.max_connections = (unsigned)daemon->config->max_connections,
		.max_connections_per_user = (unsigned)daemon->config->max_connections_per_user,
		.memory_per_connection = 64 * 1024,
	};
	auto_free int *fds = NULL;
	size_t count = 0;
	int r = listen_sockets(daemon, &fds, &count, err);

	if (r)
		return r;
	return server_new(daemon->loop, fds, count, &callbacks, &limits, &daemon->server, err);
}

static void on_hangup(int signal_number, void *context)
{
	(void)context;
	log_warning("nothing is read again while batchd runs; restart it for a new configuration",
		    log_number("SIGNAL", signal_number));
}

static void watch_signals(struct daemon *daemon)
{
	loop_on_signal(daemon->loop, SIGHUP, on_hangup, daemon);
	loop_on_signal(daemon->loop, SIGTERM, on_stop_signal, daemon);
	loop_on_signal(daemon->loop, SIGINT, on_stop_signal, daemon);
	daemon->last_call = loop_timer_new(daemon->loop, on_last_call, daemon);
	daemon->next_turn = loop_timer_new(daemon->loop, on_next_turn, daemon);
	daemon->watchdog = loop_timer_new(daemon->loop, on_watchdog, daemon);
	if (notify_watchdog_interval_ms())
		loop_timer_set(daemon->watchdog, 0);
}

/* Everything up, in order; an exit status, or 0. */
static int start(struct daemon *daemon)
{
	struct error err = { 0 };
	int r;

	daemon->loop = loop_new();
	r = open_state(daemon, &err);
	if (r == -EUCLEAN)
		tell_damage(daemon);
	if (r)
		return give_up(exit_status(r), &err);
	daemon->http = http_new(daemon->loop, "batchd/" PACKAGE_VERSION);
	if (providers_new(daemon->loop, daemon->http, daemon->config, &daemon->providers, &err))
		return give_up(EXIT_CONFIG, &err);
	open_work(daemon);
	if (open_door(daemon, &err))
		return give_up(EXIT_CONFIG, &err);
	r = open_server(daemon, &err);
	if (r)
		return give_up(r == -EADDRINUSE ? EXIT_TEMPFAIL : EXIT_UNAVAILABLE, &err);
	daemon->scheduler = scheduler_new(daemon->loop, daemon->store, daemon->providers, daemon->pipeline);
	daemon->strays = strays_new(daemon->loop, daemon->store, daemon->pipeline, daemon->providers);
	daemon->expired = expired_new(daemon->loop, daemon->store, daemon->vault);
	watch_signals(daemon);
	return 0;
}

/* Everything down, in the reverse order; half a start is fine. */
static void stop(struct daemon *daemon)
{
	if (!daemon->loop)
		return;
	server_free(daemon->server);
	if (daemon->owns_socket)
		(void)unlink(daemon->config->socket);
	loop_timer_free(daemon->watchdog);
	loop_timer_free(daemon->last_call);
	loop_timer_free(daemon->next_turn);
	expired_free(daemon->expired);
	strays_free(daemon->strays);
	scheduler_free(daemon->scheduler);
	door_free(daemon->door);
	pipeline_free(daemon->pipeline);
	providers_free(daemon->providers);
	http_free(daemon->http);
	vault_free(daemon->vault);
	store_close(daemon->store);
	spool_close(daemon->spool);
	loop_free(daemon->loop);
}

static void print_warning(const char *sentence, void *context)
{
	(void)context;
	log_warning("the configuration is unwise", log_text("WHY", sentence));
}

/* What was committed in the last turn is told before the connections close: some turns that wait for nothing. */
static void say_last_words(struct daemon *daemon)
{
	for (int turn = 0; turn < LAST_TURNS; turn++) {
		loop_run_once(daemon->loop, 0);
		on_turn_end(daemon);
	}
}

static int serve(struct daemon *daemon)
{
	enum log_level level = LOG_LEVEL_INFO;

	(void)log_level_parse(daemon->config->log_level, &level);
	log_set_level(level);
	config_warn(daemon->config, print_warning, NULL);
	daemon->status = start(daemon);
	if (!daemon->status) {
		log_notice("ready", log_text("VERSION", PACKAGE_VERSION),
			   log_text("SOCKET", daemon->config->socket),
			   log_text("PATH", daemon->config->state_folder));
		notify_ready("accepting jobs");
		loop_run(daemon->loop, on_turn_end, daemon);
		if (daemon->is_stopping)
			say_last_words(daemon);
	}
	stop(daemon);
	return daemon->status;
}

/* Looks at the state and touches nothing: a daemon may be at work on it. */
static int verify(struct daemon *daemon, bool is_json)
{
	int status;

	/* Whoever waits for the daemon goes first. */
	(void)setpriority(PRIO_PROCESS, 0, 10);
	daemon->loop = loop_new();
	status = report_run(daemon->config->state_folder, loop_now_ms(daemon->loop), is_json, stdout);
	loop_free(daemon->loop);
	return status;
}

/* --- options --- */

static void print_help(FILE *out)
{
	(void)fputs("usage: batchd [--config FILE]\n"
		    "       batchd --check-config [--config FILE]\n"
		    "       batchd --verify [--json] [--config FILE]\n"
		    "\n"
		    "  -c, --config FILE  read FILE instead of " CONFIG_DEFAULT_PATH "\n"
		    "      --check-config read the configuration, say what is wrong, and exit\n"
		    "      --verify       look through the state folder, say what is damaged, and exit\n"
		    "      --json         with --verify: one JSON object a line\n"
		    "      --print-keys   every key of the configuration with its default\n"
		    "      --version      print the version\n"
		    "      --help         print this\n",
		    out);
}

/* -1: go on; else an exit status. */
static int read_options(int argc, char **argv, struct options *options)
{
	enum { OPTION_CHECK = 256, OPTION_VERIFY, OPTION_JSON, OPTION_KEYS, OPTION_VERSION, OPTION_HELP };
	static const struct option long_options[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "check-config", no_argument, NULL, OPTION_CHECK },
		{ "verify", no_argument, NULL, OPTION_VERIFY },
		{ "json", no_argument, NULL, OPTION_JSON },
		{ "print-keys", no_argument, NULL, OPTION_KEYS },
		{ "version", no_argument, NULL, OPTION_VERSION },
		{ "help", no_argument, NULL, OPTION_HELP },
		{ NULL, 0, NULL, 0 },
	};
	int option;

	while ((option = getopt_long(argc, argv, "c:", long_options, NULL)) != -1)
		switch (option) {
		case 'c':
			options->config = optarg;
			break;
		case OPTION_CHECK:
			options->is_check = true;
			break;
		case OPTION_VERIFY:
			options->is_verify = true;
			break;
		case OPTION_JSON:
			options->is_json = true;
			break;
		case OPTION_KEYS:
			options->is_print_keys = true;
			break;
		case OPTION_VERSION:
			(void)puts("batchd " PACKAGE_VERSION);
			return EXIT_OK;
		case OPTION_HELP:
			print_help(stdout);
			return EXIT_OK;
		default:
			print_help(stderr);
			return EXIT_USAGE;
		}
	if (optind == argc)
		return -1;
	(void)fprintf(stderr, "batchd: unexpected argument \"%s\"\n", argv[optind]);
	return EXIT_USAGE;
}

int main(int argc, char **argv)
{
	struct options options = { .config = CONFIG_DEFAULT_PATH };
	struct daemon daemon = { 0 };
	struct error err = { 0 };
	int status = read_options(argc, argv, &options);

	if (status >= 0)
		return status;
	if (options.is_print_keys) {
		config_print_keys(stdout);
		return EXIT_OK;
	}
	log_open(LOG_LEVEL_INFO);
	(void)signal(SIGPIPE, SIG_IGN);
	/* A core would hold keys and prompts (G8). */
	(void)prctl(PR_SET_DUMPABLE, 0);
	(void)umask(077);
	if (config_load(options.config, &daemon.config, &err))
		return give_up(EXIT_CONFIG, &err);
	daemon.config_path = options.config;
	status = EXIT_OK;
	if (options.is_check)
		config_warn(daemon.config, print_warning, NULL);
	else if (options.is_verify)
		status = verify(&daemon, options.is_json);
	else
		status = serve(&daemon);
	config_free(daemon.config);
	return status;
}
