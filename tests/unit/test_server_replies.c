#include "daemon/io/server.h"

#include <sys/wait.h>

#include "tests/unit/server_scene.h"

static void holds_a_reply_until_the_release(void)
{
	static const char *const requests[] = {
		"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nfull",
		"GET /early HTTP/1.1\r\nHost: x\r\n\r\n",
		"POST /early HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n123456789",
		"POST /early HTTP/1.1\r\nHost: x\r\nContent-Length: 999999\r\n\r\n",
	};

	for (size_t i = 0; i < ARRAY_SIZE(requests); i++) {
		struct client *client;

		begin();
		world->is_releasing = false;
		client = connect_unix();
		say(client, "%s", requests[i]);
		turn_until(world->headers == 1);
		turn_times(100);
		CHECK_ROW(requests[i], client->in.size == 0);
		server_release(world->server, 0, on_failed);
		turn_until(heard_end(client, "full"));
		end();
	}
}

static void answers_a_client_that_has_shut_its_sending_half(void)
{
	/* clang-format off */
	static const struct { const char *request, *answer; bool is_late; } rows[] = {
		{ "GET /note HTTP/1.1\r\nHost: x\r\n\r\n", "mark=-", false },
		{ "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc", "abc", false },
		{ "POST /early HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc", "full", false },
		{ "GET /later HTTP/1.1\r\nHost: x\r\n\r\n", "late", true },
	};
	/* clang-format on */

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct client *client;

		begin_with(&(struct server_limits){.probe_interval_ms = 1});
		/* The library treats its oldest connection with more care than all others. */
		say(connect_unix(), "GET /no");
		turn_times(3);
		client = connect_unix();
		say(client, "%s", rows[i].request);
		CU_ASSERT(shutdown(client->fd, SHUT_WR) == 0);
		turn_until(world->headers == 1);
		turn_times(rows[i].is_late ? 100 : 0);
		if (rows[i].is_late) {
			CU_ASSERT_PTR_NOT_NULL_FATAL(world->exchange);
			exchange_reply(world->exchange, 200, "text/plain", "late", 4);
		}
		turn_until(heard_end(client, rows[i].answer));
		end();
	}
}

static void a_failed_commit_replaces_every_reply(void)
{
	/* clang-format off */
	static const struct { const char *method, *status; int commit; } rows[] = {
		{ "GET",    "HTTP/1.1 507 ", -ENOSPC },
		{ "POST",   "HTTP/1.1 507 ", -ENOSPC },
		{ "DELETE", "HTTP/1.1 503 ", -EIO },
		{ "POST",   "HTTP/1.1 200 ", 0 },
	};
	/* clang-format on */

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct client *client;

		begin();
		world->commit = rows[i].commit;
		client = connect_unix();
		say(client, "%s /note HTTP/1.1\r\nHost: x\r\n\r\n", rows[i].method);
		turn_until(world->delivered == 1);
		turn();
		CHECK_ROW(rows[i].method, heard(client, rows[i].status));
		CHECK_ROW(rows[i].method, heard(client, "unknown") == (world->failed == 1));
		CHECK_ROW(rows[i].method, world->failed == !heard(client, "HTTP/1.1 200 "));
		end();
	}
}

static void a_second_reply_replaces_the_first(void)
{
	struct client *client;

	begin();
	client = connect_unix();
	say(client, "GET /twice HTTP/1.1\r\nHost: x\r\n\r\n");
	turn_until(heard_end(client, "second"));
	CU_ASSERT(heard(client, "HTTP/1.1 200 "));
	CU_ASSERT(!heard(client, "first"));
	end();
}

static void releases_owned_bytes_once(void)
{
	struct client *client;

	begin();
	client = connect_unix();
	say(client, "GET /owned HTTP/1.1\r\nHost: x\r\n\r\n");
	turn_until(heard_end(client, "theirs"));
	turn_until(world->closed == 1);
	CU_ASSERT_EQUAL(world->released, 1);

	/* Given, and never sent. */
	world->is_releasing = false;
	say(client, "GET /owned HTTP/1.1\r\nHost: x\r\n\r\n");
	turn_until(world->completed == 2);
	close_client(client);
	server_free(world->server);
	CU_ASSERT_EQUAL(world->released, 2);
	world->server = NULL;
	end();
}

static void streams_when_it_is_woken(void)
{
	struct client *client;

	begin();
	client = connect_unix();
	world->line = "{\"a\":1}\n";
	say(client, "GET /stream HTTP/1.1\r\nHost: x\r\n\r\n");
	turn_until(heard_end(client, "8\r\n{\"a\":1}\n\r\n"));
	turn_times(20);
	world->line = "{\"b\":2}\n";
	turn_times(20);
	CU_ASSERT(!heard(client, "b"));
	exchange_wake(world->exchange);
	turn_until(heard_end(client, "8\r\n{\"b\":2}\n\r\n"));
	world->ending = SERVER_STREAM_END;
	exchange_wake(world->exchange);
	turn_until(heard_end(client, "0\r\n\r\n"));
	turn_until(world->delivered == 1);
	CU_ASSERT(!client->is_closed);
	end();
}

static void a_waiting_stream_says_blank_lines(void)
{
	struct client *client;

	begin_with(&(struct server_limits){.probe_interval_ms = 1});
	client = connect_tcp();
	say(client, "GET /stream HTTP/1.1\r\nHost: x\r\n\r\n");
	turn_until(heard_end(client, "1\r\n\n\r\n1\r\n\n\r\n"));
	/* Never inside a line. */
	world->line = "{\"a\":";
	exchange_wake(world->exchange);
	turn_until(heard_end(client, "5\r\n{\"a\":\r\n"));
	turn_times(50);
	CU_ASSERT(heard_end(client, "5\r\n{\"a\":\r\n"));
	world->line = "1}\n";
	exchange_wake(world->exchange);
	turn_until(heard_end(client, "3\r\n1}\n\r\n1\r\n\n\r\n"));
	close_client(client);
	turn_until(world->closed == 1);
	CU_ASSERT_EQUAL(world->delivered, 0);
	end();
}

static void notices_a_peer_that_is_gone_while_it_waits(void)
{
	static const char *const requests[] = {
		"GET /later HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET /length HTTP/1.1\r\nHost: x\r\n\r\n",
		"POST /paused HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nab",
	};

	for (size_t i = 0; i < ARRAY_SIZE(requests); i++) {
		struct client *client;

		begin_with(&(struct server_limits){.probe_interval_ms = 1});
		client = connect_unix();
		say(client, "%s", requests[i]);
		turn_until(world->headers == 1);
		turn_times(50);
		CHECK_ROW(requests[i], world->closed == 0);
		close_client(client);
		turn_until(world->closed == 1);
		CHECK_ROW(requests[i], world->delivered == 0);
		end();
	}
}

static void sends_a_stream_of_known_length(void)
{
	struct client *client;

	begin();
	client = connect_unix();
	world->line = "abcde";
	world->ending = SERVER_STREAM_END;
	say(client, "GET /length HTTP/1.1\r\nHost: x\r\n\r\n");
	turn_until(heard_end(client, "\r\n\r\nabcde"));
	CU_ASSERT(heard(client, "Content-Length: 5\r\n"));
	turn_until(world->delivered == 1);
	end();
}

static void shows_a_broken_stream_as_cut(void)
{
	/* clang-format off */
	static const struct { const char *path; int64_t ending; } rows[] = {
		{ "/stream", SERVER_STREAM_BROKEN },
		{ "/length", SERVER_STREAM_BROKEN },
		{ "/length", SERVER_STREAM_END },
	};
	/* clang-format on */

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct client *client;

		begin();
		client = connect_unix();
		world->line = "abc";
		world->ending = rows[i].ending;
		say(client, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", rows[i].path);
		turn_until(client->is_closed);
		CHECK_ROW(rows[i].path, heard(client, "abc"));
		CHECK_ROW(rows[i].path, !heard(client, "0\r\n\r\n"));
		turn_until(world->closed == 1);
		CHECK_ROW(rows[i].path, world->delivered == 0);
		end();
	}
}

static void sends_a_range_of_a_file(void)
{
	struct client *client;

	begin();
	client = connect_unix();
	say(client, "GET /file HTTP/1.1\r\nHost: x\r\n\r\n");
	turn_until(heard_end(client, "\r\n\r\n3456"));
	CU_ASSERT(heard(client, "HTTP/1.1 206 "));
	CU_ASSERT(heard(client, "Content-Length: 4\r\n"));
	buffer_clear(&client->in);
	say(client, "HEAD /file HTTP/1.1\r\nHost: x\r\n\r\n");
	turn_until(heard_end(client, "\r\n\r\n"));
	CU_ASSERT(heard(client, "Content-Length: 4\r\n"));
	buffer_clear(&client->in);
	say(client, "GET /file?lost HTTP/1.1\r\nHost: x\r\n\r\n");
	turn_until(heard(client, "HTTP/1.1 500 "));
	end();
}

static void a_slow_reader_keeps_nobody_waiting(void)
{
	struct client *slow;

	begin();
	slow = connect_unix();
	slow->is_deaf = true;
	say(slow, "GET /endless HTTP/1.1\r\nHost: x\r\n\r\n");
	turn_times(5);
	for (int i = 0; i < 20; i++) {
		struct client *client = connect_unix();

		say(client, "GET /note HTTP/1.1\r\nHost: x\r\n\r\n");
		turn_until(heard_end(client, "mark=-"));
	}
	CU_ASSERT_EQUAL(world->closed, 20);
	end();
}

/* One call after another, each closed at the very moment when its answer is there. */
static _Noreturn void be_hasty(unsigned calls)
{
	static const char request[] = "POST /twice HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n";

	while (calls--) {
		struct sockaddr_un address = {.sun_family = AF_UNIX};
		int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
		char bytes[4096];

		(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s",
			       world->socket_path);
		if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
		    write(fd, request, strlen(request)) < 0 || read(fd, bytes, sizeof(bytes)) <= 0)
			_exit(1);
		(void)close(fd);
	}
	_exit(0);
}

static void who_leaves_with_the_answer_has_got_it(void)
{
	enum { CALLS = 500 };
	int status = -1;
	pid_t child;

	begin();
	child = fork();
	CU_ASSERT_FATAL(child >= 0);
	if (child == 0)
		be_hasty(CALLS);
	turn_until(world->closed == CALLS);
	CU_ASSERT_EQUAL(waitpid(child, &status, 0), child);
	CU_ASSERT_EQUAL(status, 0);
	CU_ASSERT_EQUAL(world->delivered, CALLS);
	end();
}

static void who_leaves_before_the_answer_has_not(void)
{
	struct client *client;

	begin();
	client = connect_unix();
	say(client, "POST /later HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n");
	turn_until(world->completed == 1);
	close_client(client);
	CU_ASSERT_PTR_NOT_NULL_FATAL(world->exchange);
	exchange_reply(world->exchange, 200, "text/plain", "late", 4);
	turn_until(world->closed == 1);
	CU_ASSERT_EQUAL(world->delivered, 0);
	end();
}

CHECK_MAIN("server_replies", CHECK(holds_a_reply_until_the_release),
	   CHECK(answers_a_client_that_has_shut_its_sending_half),
	   CHECK(a_failed_commit_replaces_every_reply), CHECK(a_second_reply_replaces_the_first),
	   CHECK(releases_owned_bytes_once), CHECK(streams_when_it_is_woken),
	   CHECK(a_waiting_stream_says_blank_lines),
	   CHECK(notices_a_peer_that_is_gone_while_it_waits), CHECK(sends_a_stream_of_known_length),
	   CHECK(shows_a_broken_stream_as_cut), CHECK(sends_a_range_of_a_file),
	   CHECK(a_slow_reader_keeps_nobody_waiting),
	   CHECK(who_leaves_with_the_answer_has_got_it), CHECK(who_leaves_before_the_answer_has_not))
