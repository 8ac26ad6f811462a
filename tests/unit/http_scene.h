/*
 * What the tests of http share: a loop, a client, a peer, what their calls came to, and a name
 * server that answers "no such name" for all of .invalid, or hangs, for hang.invalid.
 */
#ifndef BATCHD_TESTS_UNIT_HTTP_SCENE_H
#define BATCHD_TESTS_UNIT_HTTP_SCENE_H

#include <dlfcn.h>
#include <netdb.h>
#include <pthread.h>
#include <stdio.h>

#include "daemon/base/cleanup.h"
#include "daemon/io/http.h"
#include "tests/unit/check.h"
#include "tests/unit/http_peer.h"

#define OK_EMPTY           "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
#define HEAD(status, more) "HTTP/1.1 " #status " X\r\n" more "\r\n"
#define KEY                "sk-never-shown"
#define GUARD_MS           20000

/* What a call came to, and how it is disturbed on its way. */
struct result {
	struct http_call *call;
	int announced;
	enum http_transport transport;
	int status;
	int64_t content_length;
	char *body, *problem, *location, *request_id, *content_encoding, *retry_after;
	struct buffer data;
	int refuse_data_with;
	struct http_call **abort_on_data, **abort_on_done;
	bool is_start_chained;
	struct result *chained;
};

static struct loop *loop;
static struct http *http;
static struct peer peer;
static struct loop_timer *guard;
static struct result results[4];

/* --- a name server that hangs: the very call in which the library would wait for it --- */

static pthread_mutex_t names_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t names_changed = PTHREAD_COND_INITIALIZER;
static bool is_name_server_up;
static int hanging;

static inline void hang(void)
{
	(void)pthread_mutex_lock(&names_lock);
	hanging++;
	(void)pthread_cond_broadcast(&names_changed);
	while (!is_name_server_up)
		(void)pthread_cond_wait(&names_changed, &names_lock);
	hanging--;
	(void)pthread_cond_broadcast(&names_changed);
	(void)pthread_mutex_unlock(&names_lock);
}

/* Stands before the C library's. No test may ask a name server outside. */
int getaddrinfo(const char *host, const char *service, const struct addrinfo *hints,
		struct addrinfo **ret_list)
{
	static int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);

	if (host && strcmp(host, "hang.invalid") == 0)
		hang();
	if (host && strstr(host, ".invalid"))
		return EAI_NONAME;
	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
	return real(host, service, hints, ret_list);
}

static inline void let_name_server_hang(void)
{
	(void)pthread_mutex_lock(&names_lock);
	is_name_server_up = false;
	(void)pthread_mutex_unlock(&names_lock);
}

static inline int wait_for_hanging(int count)
{
	int seen;

	(void)pthread_mutex_lock(&names_lock);
	is_name_server_up = count == 0;
	(void)pthread_cond_broadcast(&names_changed);
	while (hanging != count)
		(void)pthread_cond_wait(&names_changed, &names_lock);
	seen = hanging;
	(void)pthread_mutex_unlock(&names_lock);
	return seen;
}

/* --- the scene --- */

static inline void on_guard(void *context)
{
	(void)context;
	CU_FAIL("a call never ended");
	loop_stop(loop);
}

static inline void begin(const struct peer_line *script, size_t size)
{
	loop = loop_new();
	http = http_new(loop, "batchd/test");
	peer_listen(&peer, loop, script, size);
	guard = loop_timer_new(loop, on_guard, NULL);
	loop_timer_set(guard, GUARD_MS);
}

static inline void forget(struct result *result)
{
	free(result->body);
	free(result->problem);
	free(result->location);
	free(result->request_id);
	free(result->content_encoding);
	free(result->retry_after);
	buffer_release(&result->data);
	*result = (struct result){0};
}

static inline void end(void)
{
	http_free(http);
	peer_close(&peer);
	for (size_t i = 0; i < ARRAY_SIZE(results); i++)
		forget(&results[i]);
	loop_timer_free(guard);
	loop_free(loop);
	peer.path[0] = '\0';
}

#define BEGIN(...)                                                                                 \
	static const struct peer_line script[] = {__VA_ARGS__};                                    \
	begin(script, ARRAY_SIZE(script))

static inline int on_data(const struct http_response *response, const char *bytes, size_t size,
			  void *context)
{
	struct result *result = context;

	CU_ASSERT(response->status >= 200 && response->status < 300);
	CU_ASSERT_STRING_EQUAL(response->body, "");
	buffer_add(&result->data, bytes, size);
	if (result->abort_on_data) {
		http_call_abort(*result->abort_on_data);
		http_call_abort(*result->abort_on_data);
	}
	return result->refuse_data_with;
}

static inline void on_done(const struct http_response *response, void *context)
{
	struct result *result = context;

	result->announced++;
	result->transport = response->transport;
	result->status = response->status;
	result->content_length = response->content_length;
	CU_ASSERT_EQUAL(response->body[response->body_size], '\0');
	CU_ASSERT_EQUAL(response->problem == NULL, response->transport == HTTP_ANSWERED);
	result->body = xmemdup0(response->body, response->body_size);
	result->problem = xstrdup(response->problem);
	result->location = xstrdup(response->location);
	result->request_id = xstrdup(response->request_id);
	result->content_encoding = xstrdup(response->content_encoding);
	result->retry_after = xstrdup(response->retry_after);
	if (result->abort_on_done)
		http_call_abort(*result->abort_on_done);
	if (result->is_start_chained)
		result->chained->call =
			http_start(http, &(struct http_request){.method = "GET", .url = peer.url},
				   NULL, on_done, result->chained);
}

static inline struct result *start(size_t i, const struct http_request *request, http_on_data *data)
{
	results[i].call = http_start(http, request, data, on_done, &results[i]);
	CU_ASSERT_EQUAL(results[i].announced, 0);
	return &results[i];
}

static inline void stop_when_idle(void *context)
{
	(void)context;
	if (http_count(http) == 0)
		loop_stop(loop);
}

static inline struct result *run(const struct http_request *request, http_on_data *data)
{
	struct result *result = &results[0];
	struct result kept = {.refuse_data_with = result->refuse_data_with,
			      .abort_on_data = result->abort_on_data};

	forget(result);
	*result = kept;
	start(0, request, data);
	loop_run(loop, stop_when_idle, NULL);
	CU_ASSERT_EQUAL(result->announced, 1);
	return result;
}

static inline struct result *get(void)
{
	return run(&(struct http_request){.method = "GET", .url = peer.url}, NULL);
}

static inline struct result *post(void)
{
	return run(
		&(struct http_request){
			.method = "POST",
			.url = peer.url,
			.headers = (const char *const[]){"Authorization: Bearer " KEY, NULL},
			.body = "{\"a\":1}",
			.body_size = 7},
		NULL);
}

static inline bool peer_was_told(const char *text)
{
	return strcasestr(buffer_text(&peer.last), text) != NULL;
}

#endif
