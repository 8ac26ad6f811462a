#include "daemon/io/server.h"

#include <grp.h>
#include <sys/stat.h>

#include "daemon/base/error.h"
#include "tests/unit/server_scene.h"

static void answers_get_and_keeps_the_connection(void)
{
	struct client *clients[2];

	begin();
	clients[0] = connect_unix();
	clients[1] = connect_tcp();
	for (int i = 0; i < 4; i++) {
		struct client *client = clients[i % 2];

		buffer_clear(&client->in);
		say(client, "GET /note/%%C3%%A4/../x?name=a%%20b+c&flag&name=2 HTTP/1.1\r\n"
			    "Host: x\r\nX-Mark: yes\r\n\r\n");
		turn_until(heard_end(client, "GET /note/\xC3\xA4/../x name=a b c flag= absent=- "
					     "mark=yes"));
		CU_ASSERT(heard(client, "HTTP/1.1 200 OK\r\n"));
		CU_ASSERT(heard(client, "X-One: 1\r\n"));
		CU_ASSERT(heard(client, "Date: "));
	}
	CU_ASSERT_EQUAL(world->headers, 4);
	CU_ASSERT_EQUAL(world->completed, 0);
	turn_until(world->delivered == 4);
	end();
}

static void refuses_targets_that_are_no_paths(void)
{
	static const char *const targets[] = {
		"/a%00b",     "/%ff",  "/%c0%af",  "/%ed%a0%80", "/%f4%90%80%80",
		"/a%2",       "/a%zz", "/a?b=%00", "/a?b=%fe",   "/a\x01",
		"http://x/a", "*",     "/a b",     "/\xC3\x28",  "/a?%e4=1",
	};

	for (size_t i = 0; i < ARRAY_SIZE(targets); i++) {
		struct client *client;

		begin();
		client = connect_unix();
		say(client, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", targets[i]);
		turn_until(heard_end(client, "\"type\":\"invalid_request_error\",\"param\":null,"
					     "\"code\":null}}\n"));
		CHECK_ROW(targets[i], heard(client, "HTTP/1.1 400 "));
		CHECK_ROW(targets[i], world->headers == 0);
		end();
	}
}

#define POST    "POST /echo HTTP/1.1\r\nHost: x\r\n"
#define CHUNKED "Transfer-Encoding: chunked\r\n\r\n"

static void survives_bad_heads(void)
{
	/* clang-format off */
	static const struct { const char *name, *head, *status; } rows[] = {
		{ "no target", "GET\r\n\r\n", NULL },
		{ "no version", "GET /note\r\n\r\n", NULL },
		{ "noise", "\x16\x03\x01\x02\r\n\r\n", NULL },
		{ "no colon", "GET /note HTTP/1.1\r\nHost\r\n\r\n", "HTTP/1.1 400 " },
		{ "length is no number", POST "Content-Length: abc\r\n\r\n", "HTTP/1.1 400 " },
		{ "length is negative", POST "Content-Length: -1\r\n\r\n", "HTTP/1.1 400 " },
		{ "length is huge", POST "Content-Length: 99999999999999999999\r\n\r\n", "HTTP/1.1 413 " },
		{ "coding is unknown", POST "Transfer-Encoding: gzip\r\n\r\n", "HTTP/1.1 501 " },
		{ "chunk is no number", POST CHUNKED "xyz\r\n", "HTTP/1.1 400 " },
		{ "chunk is huge", POST CHUNKED "ffffffffffffffffff\r\n", "HTTP/1.1 413 " },
	};
	/* clang-format on */

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct client *client;

		begin();
		client = connect_unix();
		say(client, "%s", rows[i].head);
		turn_until(client->is_closed);
		if (rows[i].status)
			CHECK_ROW(rows[i].name, heard(client, rows[i].status));
		CHECK_ROW(rows[i].name, world->completed == 0);
		end();
	}
}

static void answers_a_bomb_of_headers_with_431(void)
{
	struct client *client;

	begin();
	client = connect_unix();
	client->is_deaf = true;
	say(client, "GET /note HTTP/1.1\r\nHost: x\r\n");
	for (int i = 0; i < 40000; i++)
		buffer_add_format(&client->out, "X-Header-%d: aaaaaaaaaaaaaaaaaaaaaaaa\r\n", i);
	turn_until(client->sent == client->out.size);
	client->is_deaf = false;
	turn_until(client->is_closed);
	CU_ASSERT(heard(client, "HTTP/1.1 431 "));
	CU_ASSERT_EQUAL(world->headers, 0);
	end();
}

static void answers_pipelined_requests_in_order(void)
{
	const char *first, *second, *third;
	struct client *client;

	begin();
	client = connect_unix();
	say(client, "GET /note?name=1 HTTP/1.1\r\nHost: x\r\n\r\n"
		    "GET /note?name=2 HTTP/1.1\r\nHost: x\r\n\r\n"
		    "GET /note?name=3 HTTP/1.1\r\nHost: x\r\n\r\n");
	turn_until(world->delivered == 3);
	turn();
	first = strstr(buffer_text(&client->in), "name=1");
	second = strstr(buffer_text(&client->in), "name=2");
	third = strstr(buffer_text(&client->in), "name=3");
	CU_ASSERT(first && second && third && first < second && second < third);
	end();
}

static void serves_200_connections_at_once(void)
{
	size_t answered = 0;

	begin();
	for (int i = 0; i < 200; i++)
		say(i % 2 ? connect_tcp() : connect_unix(),
		    "POST /later HTTP/1.1\r\nHost: x\r\n"
		    "Content-Length: 2\r\n\r\n%02d",
		    i % 100);
	turn_until(world->completed == 200);
	CU_ASSERT_EQUAL(server_count(world->server), 200);
	for (int i = 0; i < 200; i++)
		say(i % 2 ? connect_tcp() : connect_unix(),
		    "GET /note HTTP/1.1\r\nHost: x\r\n\r\n");
	turn_until(world->delivered == 200);
	turn_times(3);
	for (size_t i = 200; i < world->client_count; i++)
		answered += heard_end(&world->clients[i], "mark=-");
	CU_ASSERT_EQUAL(answered, 200);
	end();
}

static void limits_the_connections_of_a_user(void)
{
	struct client *clients[3];

	begin_with(&(struct server_limits){.max_connections_per_user = 2});
	for (int i = 0; i < 3; i++) {
		clients[i] = connect_unix();
		say(clients[i], "GET /note HTTP/1.1\r\nHost: x\r\n\r\n");
	}
	turn_until(heard_end(clients[0], "mark=-"));
	turn_until(heard_end(clients[1], "mark=-"));
	turn_until(clients[2]->is_closed);
	CU_ASSERT(heard(clients[2], "HTTP/1.1 429 "));
	CU_ASSERT(heard(clients[2], "too many connections of one user"));
	CU_ASSERT_EQUAL(world->headers, 2);
	close_client(clients[0]);
	turn_times(5);
	clients[2] = connect_unix();
	say(clients[2], "GET /note HTTP/1.1\r\nHost: x\r\n\r\n");
	turn_until(heard_end(clients[2], "mark=-"));
	end();
}

static void knows_who_asks(void)
{
	const gid_t other = 54321;
	gid_t groups[256];
	int count = getgroups((int)ARRAY_SIZE(groups), groups);
	bool may_join;

	begin();
	say(connect_unix(), "GET /note HTTP/1.1\r\nHost: x\r\n\r\n");
	turn_until(world->headers == 1);
	CU_ASSERT(world->has_peer);
	CU_ASSERT_EQUAL(world->uid, getuid());
	CU_ASSERT(world->is_in_group);
	CU_ASSERT(!world->is_in_other_group);
	say(connect_tcp(), "GET /note HTTP/1.1\r\nHost: x\r\n\r\n");
	turn_until(world->headers == 2);
	CU_ASSERT(!world->has_peer);
	CU_ASSERT(!world->is_in_group);

	/* Only the superuser may join a group; what counts is the moment of connect. */
	CU_ASSERT_FATAL(count >= 0);
	may_join = setgroups(1, &other) == 0;
	say(connect_unix(), "GET /note HTTP/1.1\r\nHost: x\r\n\r\n");
	if (may_join)
		CU_ASSERT(setgroups((size_t)count, groups) == 0);
	turn_until(world->headers == 3);
	CU_ASSERT_EQUAL(world->is_in_other_group, may_join);
	CU_ASSERT(!world->is_in_unheard_group);
	end();
}

static void drops_a_connection_without_an_answer(void)
{
	static const char *const requests[] = {
		"GET /dropped HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET /later HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET /stream HTTP/1.1\r\nHost: x\r\n\r\n",
		"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc",
		"POST /slow HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc",
	};

	for (size_t i = 0; i < ARRAY_SIZE(requests); i++) {
		struct client *client;

		begin();
		client = connect_unix();
		say(client, "%s", requests[i]);
		turn_until(world->headers == 1);
		turn_times(20);
		if (world->exchange)
			exchange_drop(world->exchange);
		turn_until(client->is_closed);
		turn_until(world->closed == 1);
		CHECK_ROW(requests[i], world->delivered == 0);
		end();
	}
}

static void closes_idle_connections(void)
{
	struct client *client;

	begin_with(&(struct server_limits){.idle_timeout_s = 1});
	client = connect_unix();
	say(client, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc");
	turn_until(world->headers == 1);
	turn_until(client->is_closed);
	CU_ASSERT_EQUAL(world->closed, 1);
	CU_ASSERT_EQUAL(world->delivered, 0);
	end();
}

static void goes_on_with_what_is_under_way_when_quiesced(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	auto_close int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct client *client;

	begin();
	client = connect_unix();
	say(client, "GET /later HTTP/1.1\r\nHost: x\r\n\r\n");
	turn_until(world->headers == 1);
	server_quiesce(world->server);
	server_quiesce(world->server);
	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", world->socket_path);
	CU_ASSERT(connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0);
	CU_ASSERT_EQUAL(errno, ECONNREFUSED);
	exchange_reply(world->exchange, 200, "text/plain", "late", 4);
	turn_until(heard_end(client, "late"));
	end();
}

static void ends_cleanly_with_all_kinds_of_waiting(void)
{
	begin();
	for (int i = 0; i < 4; i++) {
		say(connect_unix(), "GET /later HTTP/1.1\r\nHost: x\r\n\r\n");
		say(connect_tcp(), "GET /stream HTTP/1.1\r\nHost: x\r\n\r\n");
		say(connect_unix(),
		    "POST /paused HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n");
		say(connect_unix(),
		    "POST /slow HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nab");
		say(connect_unix(),
		    "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nab");
		say(connect_unix(), "GET /note HTTP/1.1\r\nHo");
		turn_until(server_count(world->server) == 5 * ((size_t)i + 1));
		turn_times(3);
	}
	world->is_releasing = false;
	say(connect_unix(), "GET /note HTTP/1.1\r\nHost: x\r\n\r\n");
	turn_until(world->headers == 21);
	/* end() counts that each was closed once; the sanitizer does the rest. */
	end();
}

static void takes_over_a_dead_socket_and_no_live_one(void)
{
	struct error error = {0};
	struct stat status;
	int fd = -1;

	begin();
	CU_ASSERT_EQUAL(server_listen_unix(world->socket_path, 0600, &fd, &error), -EADDRINUSE);
	CU_ASSERT(strstr(error.text, world->socket_path) != NULL);
	server_free(world->server);
	world->server = NULL;
	CU_ASSERT_EQUAL(server_listen_unix(world->socket_path, 0660, &fd, &error), 0);
	CU_ASSERT(stat(world->socket_path, &status) == 0 && (status.st_mode & 0777) == 0660);
	(void)close(fd);
	CU_ASSERT_EQUAL(server_listen_unix(world->folder, 0660, &fd, &error), -EEXIST);
	CU_ASSERT_EQUAL(server_listen_unix("", 0660, &fd, &error), -ENAMETOOLONG);
	CU_ASSERT_EQUAL(server_listen_unix("/nowhere/at/all", 0660, &fd, &error), -ENOENT);
	end();
}

CHECK_MAIN("server", CHECK(answers_get_and_keeps_the_connection),
	   CHECK(refuses_targets_that_are_no_paths), CHECK(survives_bad_heads),
	   CHECK(answers_a_bomb_of_headers_with_431), CHECK(answers_pipelined_requests_in_order),
	   CHECK(serves_200_connections_at_once), CHECK(limits_the_connections_of_a_user),
	   CHECK(knows_who_asks), CHECK(drops_a_connection_without_an_answer),
	   CHECK(closes_idle_connections), CHECK(goes_on_with_what_is_under_way_when_quiesced),
	   CHECK(ends_cleanly_with_all_kinds_of_waiting),
	   CHECK(takes_over_a_dead_socket_and_no_live_one))
