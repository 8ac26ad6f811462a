/* What a company's network asks of a client: no more than so many bytes a second, patience with slow lines but not for ever, a certificate. */
#include <signal.h>
#include <sys/wait.h>

#include "tests/unit/http_scene.h"

#define BODY_BYTES ((size_t)400 << 10)
#define BANDWIDTH (200 * 1024)

static struct peer_line big_answer(char **ret_bytes)
{
	struct buffer answer = {0};

	buffer_add_format(&answer, HEAD(200, "Content-Length: %zu\r\n"), BODY_BYTES);
	for (size_t i = 0; i < BODY_BYTES; i++)
		buffer_add(&answer, "x", 1);
	*ret_bytes = answer.data;
	return (struct peer_line){answer.data, .then = PEER_KEEP, .size = answer.size};
}

static void a_download_keeps_to_its_bandwidth(void)
{
	auto_free char *bytes = NULL;
	struct peer_line line = big_answer(&bytes);
	int64_t began, free_ms, held_ms;

	begin(&line, 1);
	began = loop_now_ms(loop);
	CU_ASSERT_EQUAL(run(&(struct http_request){.method = "GET", .url = peer.url}, on_data)->transport, HTTP_ANSWERED);
	free_ms = loop_now_ms(loop) - began;
	began = loop_now_ms(loop);
	CU_ASSERT_EQUAL(run(&(struct http_request){.method = "GET", .url = peer.url, .bandwidth = BANDWIDTH}, on_data)->transport,
			HTTP_ANSWERED);
	held_ms = loop_now_ms(loop) - began;
	CU_ASSERT_EQUAL(results[0].data.size, BODY_BYTES);
	/* Two seconds at that rate, less a first burst; a loopback needs some milliseconds. */
	CU_ASSERT(held_ms > 500);
	if (held_ms <= 500)
		(void)fprintf(stderr, "# %d ms, and %d ms without a limit\n", (int)held_ms, (int)free_ms);
	end();
}

static int64_t read_zeros(void *context, char *bytes, size_t size)
{
	(void)context;
	memset(bytes, 0, size);
	return (int64_t)size;
}

static int seek_zeros(void *context, int64_t offset)
{
	(void)context, (void)offset;
	return 0;
}

static void so_does_an_upload(void)
{
	const struct http_source source = {.read = read_zeros, .seek = seek_zeros, .size = BODY_BYTES};
	const struct http_field fields[] = {{.name = "file", .file_name = "n", .source = &source}, {.name = NULL}};
	int64_t began;

	BEGIN({OK_EMPTY, .then = PEER_KEEP});
	began = loop_now_ms(loop);
	CU_ASSERT_EQUAL(run(&(struct http_request){.method = "POST", .url = peer.url, .fields = fields, .bandwidth = BANDWIDTH}, NULL)
				->transport,
			HTTP_ANSWERED);
	CU_ASSERT(loop_now_ms(loop) - began > 500);
	end();
}

/* A line that is slower than low_speed for the whole of stall_timeout is given up; the same one is not, where slower ones are allowed. */
static void what_is_too_slow_for_too_long_is_given_up(void)
{
	static const struct { const char *name; int64_t low_speed; enum http_transport transport; } cases[] = {
		{"faster than it must be", 1, HTTP_ANSWERED},
		{"slower than it may be", 100 << 20, HTTP_CUT},
	};
	auto_free char *bytes = NULL;
	struct peer_line line = big_answer(&bytes);

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct http_request request = {
			.method = "GET",
			.url = peer.url,
			.bandwidth = BODY_BYTES / 3,
			.low_speed = cases[i].low_speed,
			.stall_timeout_ms = 1000,
		};

		begin(&line, 1);
		CHECK_ROW(cases[i].name, run(&request, on_data)->transport == cases[i].transport);
		CHECK_ROW(cases[i].name, (results[0].data.size == BODY_BYTES) == (cases[i].transport == HTTP_ANSWERED));
		end();
	}
}

/* --- a server that asks for a certificate: that of the tool, where there is one --- */

static char folder[] = "/tmp/test_http_company.XXXXXX";

static bool make_certificate(void)
{
	auto_free char *command = xasprintf(
		"cd %s && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout key.pem -out cert.pem "
		"-subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1 -days 2 >log 2>&1 && cat cert.pem key.pem >both.pem",
		folder);

	return system(command) == 0;
}

/* Its port; 0: it did not start. */
static int start_server(pid_t *ret_pid)
{
	int ends[2], port = 0;
	char text[200];
	FILE *out;

	CU_ASSERT_EQUAL_FATAL(pipe(ends), 0);
	*ret_pid = fork();
	if (*ret_pid == 0) {
		if (chdir(folder) || dup2(ends[1], STDOUT_FILENO) < 0 || dup2(ends[1], STDERR_FILENO) < 0)
			_exit(1);
		(void)execlp("openssl", "openssl", "s_server", "-accept", "127.0.0.1:0", "-www", "-cert", "cert.pem", "-key", "key.pem",
			     "-CAfile", "cert.pem", "-Verify", "1", "-verify_return_error", (char *)NULL);
		_exit(1);
	}
	(void)close(ends[1]);
	out = fdopen(ends[0], "r");
	while (!port && fgets(text, sizeof(text), out))
		(void)sscanf(text, "ACCEPT 127.0.0.1:%d", &port);
	/* Stays open: what it says later must go somewhere. */
	return port;
}

static void ask(int port, const char *row, const char *certificate, const char *key, bool is_answered)
{
	auto_free char *url = xasprintf("https://127.0.0.1:%d/", port);
	auto_free char *ca_file = xasprintf("%s/cert.pem", folder);
	auto_free char *cert_file = certificate ? xasprintf("%s/%s", folder, certificate) : NULL;
	auto_free char *key_file = key ? xasprintf("%s/%s", folder, key) : NULL;
	const struct http_request request = {
		.method = "GET",
		.url = url,
		.proxy = "",
		.ca_file = ca_file,
		.client_cert = cert_file,
		.client_key = key_file,
	};

	CHECK_ROW(row, (run(&request, NULL)->transport == HTTP_ANSWERED) == is_answered);
	if (is_answered && results[0].problem)
		(void)fprintf(stderr, "# %s\n", results[0].problem);
}

static void a_server_that_asks_for_it_is_shown_a_certificate(void)
{
	static const struct peer_line line = {OK_EMPTY, .then = PEER_KEEP};
	auto_free char *sweep = xasprintf("rm -rf %s", folder);
	pid_t pid = 0;
	int port = 0;

	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(folder));
	if (make_certificate())
		port = start_server(&pid);
	if (port) {
		begin(&line, 1);
		ask(port, "no certificate", NULL, NULL, false);
		ask(port, "a certificate and its key", "cert.pem", "key.pem", true);
		ask(port, "both in one file", "both.pem", NULL, true);
		ask(port, "no such key", "cert.pem", "none.pem", false);
		end();
	} else {
		(void)printf("# SKIP: there is no openssl here that makes a certificate and serves with it\n");
	}
	if (pid > 0) {
		(void)kill(pid, SIGKILL);
		(void)waitpid(pid, NULL, 0);
	}
	CU_ASSERT_EQUAL(system(sweep), 0);
}

CHECK_MAIN("http_company", CHECK(a_download_keeps_to_its_bandwidth), CHECK(so_does_an_upload),
	   CHECK(what_is_too_slow_for_too_long_is_given_up), CHECK(a_server_that_asks_for_it_is_shown_a_certificate))
