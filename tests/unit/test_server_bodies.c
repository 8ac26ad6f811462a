#include "daemon/io/server.h"

#include "tests/unit/server_scene.h"

static void collects_a_body_in_pieces(void)
{
	struct client *client;

	begin();
	client = connect_unix();
	say(client, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc");
	turn_until(world->body.size == 3);
	CU_ASSERT_EQUAL(world->completed, 0);
	CU_ASSERT_EQUAL(exchange_content_length(world->exchange), 9);
	say(client, "defghi");
	turn_until(heard_end(client, "\r\n\r\nabcdefghi"));
	turn_until(world->delivered == 1);
	CU_ASSERT_EQUAL(server_count(world->server), 0);
	end();
}

static void collects_a_chunked_body(void)
{
	struct client *client;

	begin();
	client = connect_tcp();
	say(client, "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
		    "3\r\nabc\r\n1\r\nd\r\n");
	turn_until(world->body.size == 4);
	CU_ASSERT_EQUAL(exchange_content_length(world->exchange), -1);
	say(client, "2\r\nef\r\n0\r\n\r\n");
	turn_until(heard_end(client, "abcdef"));
	end();
}

static void answers_expect_100_continue(void)
{
	struct client *client;

	begin();
	client = connect_unix();
	say(client, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n"
		    "Expect: 100-continue\r\n\r\n");
	turn_until(heard(client, "HTTP/1.1 100 Continue\r\n\r\n"));
	say(client, "abc");
	turn_until(heard_end(client, "abc"));
	end();
}

static void tells_of_a_body_that_stops_half_way(void)
{
	struct client *client;

	begin();
	client = connect_unix();
	say(client, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc");
	turn_until(world->body.size == 3);
	CU_ASSERT_EQUAL(server_count(world->server), 1);
	close_client(client);
	turn_until(world->closed == 1);
	CU_ASSERT_EQUAL(world->delivered, 0);
	CU_ASSERT_EQUAL(world->completed, 0);
	end();
}

static void shows_an_early_reply_to_a_client_that_still_sends(void)
{
	/* clang-format off */
	static const struct { const char *name, *headers; size_t size; bool is_tcp; } rows[] = {
		{ "small", "Content-Length: 1000\r\n", 1000, false },
		{ "5 MiB", "Content-Length: 5242880\r\n", 5242880, false },
		{ "5 MiB by TCP", "Content-Length: 5242880\r\n", 5242880, true },
		{ "expected", "Content-Length: 5242880\r\nExpect: 100-continue\r\n", 5242880, true },
		{ "1 GiB promised", "Content-Length: 1073741824\r\n", 5242880, false },
		{ "nothing sent", "Content-Length: 1073741824\r\n", 0, false },
		{ "chunked", "Transfer-Encoding: chunked\r\n", 0, true },
	};
	/* clang-format on */

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct client *client;

		begin();
		client = rows[i].is_tcp ? connect_tcp() : connect_unix();
		/* Who sends all before reading is the one who loses the answer when the server
		   closes too early. */
		client->is_deaf = rows[i].size > 0;
		say(client, "POST /early HTTP/1.1\r\nHost: x\r\n%s\r\n", rows[i].headers);
		say_bytes(client, 'x', rows[i].size);
		turn_until(client->sent == client->out.size);
		client->is_deaf = false;
		turn_until(heard_end(client, "\r\n\r\nfull"));
		CHECK_ROW(rows[i].name, heard(client, "HTTP/1.1 507 "));
		turn_until(world->closed == 1);
		CHECK_ROW(rows[i].name, world->delivered == 1);
		end();
	}
}

static void shows_a_reply_given_in_mid_body(void)
{
	struct client *client;

	begin();
	client = connect_unix();
	say(client, "POST /mid HTTP/1.1\r\nHost: x\r\nContent-Length: 5242880\r\n\r\n");
	say_bytes(client, 'x', 5242880);
	turn_until(heard_end(client, "enough"));
	CU_ASSERT(heard(client, "HTTP/1.1 422 "));
	CU_ASSERT(world->body.size < 1 << 20);
	CU_ASSERT_EQUAL(world->completed, 0);
	end();
}

static void closes_when_too_much_comes_after_a_reply(void)
{
	struct client *client;

	begin();
	client = connect_unix();
	say(client, "POST /mid HTTP/1.1\r\nHost: x\r\nContent-Length: 1073741824\r\n\r\n");
	say_bytes(client, 'x', 17 << 20);
	turn_until(world->closed == 1);
	CU_ASSERT_EQUAL(world->delivered, 0);
	turn_until(client->is_closed);
	end();
}

static void pauses_and_goes_on(void)
{
	/* clang-format off */
	static const struct { const char *path, *headers, *pieces[3]; } rows[] = {
		{ "/slow",   "Content-Length: 6",          { "ab", "cd", "ef" } },
		{ "/slow",   "Content-Length: 6",          { "abcdef", "", "" } },
		{ "/slow",   "Transfer-Encoding: chunked",
		  { "2\r\nab\r\n2\r\ncd\r\n", "2\r\nef\r\n", "0\r\n\r\n" } },
		{ "/slow",   "Transfer-Encoding: chunked",
		  { "2\r\nab\r\n2\r\ncd\r\n2\r\nef\r\n0\r\n\r\n", "", "" } },
		{ "/paused", "Content-Length: 6",          { "abc", "def", "" } },
	};
	/* clang-format on */

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct client *client;

		begin();
		client = connect_unix();
		say(client, "POST %s HTTP/1.1\r\nHost: x\r\n%s\r\n\r\n", rows[i].path,
		    rows[i].headers);
		for (int piece = 0; piece < 3; piece++) {
			say(client, "%s", rows[i].pieces[piece]);
			turn_times(30);
		}
		/* One piece at most came before the owner said go on. */
		CHECK_ROW(rows[i].path,
			  world->body.size <= (strcmp(rows[i].pieces[0], "abcdef") ? 2 : 6));
		CHECK_ROW(rows[i].path, world->completed == 0);
		for (int go = 0; go < 4; go++) {
			if (world->exchange)
				exchange_go_on(world->exchange);
			turn_times(10);
		}
		turn_until(heard_end(client, "\r\n\r\nabcdef"));
		end();
	}
}

static void replies_while_it_is_paused(void)
{
	struct client *client;

	begin();
	client = connect_unix();
	say(client, "POST /slow HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\nab");
	turn_until(world->body.size == 2);
	turn_times(5);
	exchange_reply(world->exchange, 507, "text/plain", "full", 4);
	turn_times(5);
	CU_ASSERT_EQUAL(client->in.size, 0);
	say(client, "cdef");
	turn_until(heard_end(client, "full"));
	CU_ASSERT_EQUAL(world->body.size, 2);
	end();
}

#define FORM_SIZE 150000
#define BOUNDARY  "----b0und4ry"

static void make_form(struct buffer *form, struct buffer *expected)
{
	static const char lines[] = "{\"custom_id\":\"a\"}\r\n--\r\n----b0und\r\n";

	buffer_add_text(form,
			"--" BOUNDARY "\r\nContent-Disposition: form-data; name=\"purpose\""
			"\r\n\r\nbatch\r\n--" BOUNDARY
			"\r\nContent-Disposition: form-data; name=\"empty\"\r\n\r\n\r\n--" BOUNDARY
			"\r\nContent-Disposition: form-data; name=\"file\"; filename=\"in.jsonl\""
			"\r\nContent-Type: application/octet-stream\r\n\r\n");
	buffer_add_text(expected, "|purpose(-):batch|empty(-):|file(in.jsonl):");
	for (size_t size = 0; size < FORM_SIZE; size += strlen(lines)) {
		buffer_add_text(form, lines);
		buffer_add_text(expected, lines);
	}
	buffer_add_text(form, "\r\n--" BOUNDARY "--\r\n");
}

static void send_form(const struct buffer *form, size_t cut, const struct buffer *expected)
{
	struct client *client = connect_unix();

	buffer_clear(&world->parts);
	say(client,
	    "POST /form HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n"
	    "Content-Type: multipart/form-data; boundary=" BOUNDARY "\r\n\r\n",
	    form->size);
	buffer_add(&client->out, form->data, cut);
	turn_until(client->sent == client->out.size);
	turn_times(2);
	buffer_add(&client->out, form->data + cut, form->size - cut);
	turn_until(heard_end(client, "formed"));
	CU_ASSERT(world->parts.size == expected->size &&
		  memcmp(world->parts.data, expected->data, expected->size) == 0);
	close_client(client);
	world->client_count--;
}

static void reads_a_form_wherever_it_is_cut(void)
{
	auto_buffer form = {0};
	auto_buffer expected = {0};
	size_t tail;

	make_form(&form, &expected);
	tail = form.size - 80;
	begin();
	for (size_t cut = 1; cut < 300; cut++)
		send_form(&form, cut, &expected);
	for (size_t cut = tail; cut < form.size; cut++)
		send_form(&form, cut, &expected);
	end();
}

static void refuses_a_form_that_is_not_well_formed(void)
{
	/* clang-format off */
	static const struct { const char *name, *body; } rows[] = {
		{ "cut", "--b1\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nx" },
		{ "no last boundary",
		  "--b1\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nx\r\n--b1\r\n" },
		{ "junk after a boundary", "--b1junk\r\n\r\nx\r\n--b1--\r\n" },
	};
	/* clang-format on */

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct client *client;

		begin();
		client = connect_unix();
		say(client,
		    "POST /form HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\nContent-Type: "
		    "multipart/form-data; boundary=b1\r\n\r\n%s",
		    strlen(rows[i].body), rows[i].body);
		turn_until(heard_end(client, "\"param\":null,\"code\":null}}\n"));
		CHECK_ROW(rows[i].name, heard(client, "HTTP/1.1 400 "));
		CHECK_ROW(rows[i].name, world->completed == 0);
		end();
	}
	begin();
	say(connect_unix(), "POST /noform HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n");
	turn_until(world->headers == 1);
	end();
}

CHECK_MAIN("server_bodies", CHECK(collects_a_body_in_pieces), CHECK(collects_a_chunked_body),
	   CHECK(answers_expect_100_continue), CHECK(tells_of_a_body_that_stops_half_way),
	   CHECK(shows_an_early_reply_to_a_client_that_still_sends),
	   CHECK(shows_a_reply_given_in_mid_body), CHECK(closes_when_too_much_comes_after_a_reply),
	   CHECK(pauses_and_goes_on), CHECK(replies_while_it_is_paused),
	   CHECK(reads_a_form_wherever_it_is_cut), CHECK(refuses_a_form_that_is_not_well_formed))
