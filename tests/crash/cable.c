#include "tests/crash/cable.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/base/alloc.h"
#include "daemon/base/cleanup.h"
#include "daemon/base/error.h"
#include "daemon/io/http.h"
#include "daemon/io/loop.h"
#include "daemon/io/server.h"
#include "tests/crash/cable_clock.h"
#include "tests/crash/cable_relay.h"
#include "tests/sim/serve.h"
#include "tests/world/http.h"
#include "tests/world/loop.h"
#include "tests/world/world.h"

/* While a call is under way its bytes may be in the kernel's hands for a moment. */
#define PATIENCE_MS 20
#define TIMEOUT_MS  5000
#define CALL_BITS   8
#define KEY         "sk-of-the-cable"

static struct world *world;
static struct serve *serve;
static struct http_network *network;
static bool has_relay;
static char url[64];
static int64_t begun[CALL_BITS];
static int dead_socket = -1; /* bound, and nobody listens: connections to it are refused */
static char dead_url[64];

/* --- what the world asks of a loop and an http of its own kind --- */

void loop_seed(struct loop *loop, uint64_t seed)
{
	(void)loop;
	(void)seed;
}

int64_t loop_true_ms(struct loop *loop)
{
	return loop_now_ms(loop);
}

/* Nobody dies in the middle of a turn here, and nothing comes late. */
bool loop_is_halted(const struct loop *loop)
{
	(void)loop;
	return false;
}

void loop_go_on(struct loop *loop)
{
	(void)loop;
}

void http_forget_late(struct http_network *net)
{
	(void)net;
}

size_t loop_timer_count(const struct loop *loop)
{
	(void)loop;
	return 0;
}

/* The power of a real socket is not ours to take. */
void loop_lose_power(struct loop *loop)
{
	(void)loop;
	abort();
}

void http_connect(struct http *http, struct http_network *net)
{
	(void)http;
	network = net;
}

/* --- what stands before the real ones, by the linker's --wrap --- */

struct http_call *__real_http_start(struct http *http, const struct http_request *request, http_on_data *on_data,
				    http_on_done *on_done, void *context);
struct http_call *__wrap_http_start(struct http *http, const struct http_request *request, http_on_data *on_data,
				    http_on_done *on_done, void *context);
void __real_loop_run_once(struct loop *loop, int may_wait);
void __wrap_loop_run_once(struct loop *loop, int may_wait);

static bool is_refused(const char *call)
{
	return network && network->refused && network->refused_count &&
	       strncmp(call, network->refused, strlen(network->refused)) == 0;
}

static void note_begun(const char *call)
{
	unsigned kind = relay_call_of(call);

	for (size_t i = 0; i < CALL_BITS; i++)
		begun[i] += kind == 1u << i;
}

struct http_call *__wrap_http_start(struct http *http, const struct http_request *request, http_on_data *on_data,
				    http_on_done *on_done, void *context)
{
	const char *path = strstr(request->url, "/v1/");
	auto_free char *call = xasprintf("%s %s ", request->method, path ? path : request->url);
	struct http_request other = *request;

	note_begun(call);
	if (is_refused(call)) {
		other.url = dead_url;
		network->refused_count -= network->refused_count > 0;
	}
	network->calls++;
	return __real_http_start(http, &other, on_data, on_done, context);
}

void __wrap_loop_run_once(struct loop *loop, int may_wait)
{
	__real_loop_run_once(loop, may_wait);
	if (serve)
		serve_turn(serve);
}

/* --- the cable --- */

static int patience(void)
{
	return world && world->http && http_count(world->http) ? PATIENCE_MS : 0;
}

static void open_dead_socket(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t size = sizeof(address);

	if (dead_socket >= 0)
		return;
	dead_socket = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (bind(dead_socket, (struct sockaddr *)&address, size) < 0 ||
	    getsockname(dead_socket, (struct sockaddr *)&address, &size) < 0)
		abort();
	(void)snprintf(dead_url, sizeof(dead_url), "http://127.0.0.1:%d/v1", ntohs(address.sin_port));
}

struct world *cable_new(const struct tamper *tamper, unsigned calls)
{
	const struct sim_config config = { .key = KEY };
	struct error err = { 0 };
	uint16_t port;
	int fd;

	open_dead_socket();
	memset(begun, 0, sizeof(begun));
	cable_clock_patience = patience;
	world = world_new(&config, 1);
	if (server_listen_loopback(0, &fd, &port, &err) || serve_new(world->loop, world->sim, &fd, 1, &serve, &err)) {
		(void)fprintf(stderr, "the model does not listen: %s\n", err.text);
		abort();
	}
	(void)snprintf(url, sizeof(url), "http://127.0.0.1:%d/v1", port);
	world->provider.base_url = url;
	/* A proxy of this machine's environment has no part in it. */
	world->provider.proxy = (char *)(uintptr_t) "";
	world->provider.connect_timeout = TIMEOUT_MS;
	world->provider.call_timeout = TIMEOUT_MS;
	world->provider.stall_timeout = TIMEOUT_MS;
	has_relay = tamper != NULL;
	if (has_relay) {
		relay_start(world->loop, port, KEY, tamper, calls);
		world->provider.base_url = (char *)(uintptr_t)relay_url();
	}
	return world;
}

void cable_free(struct world *old)
{
	world_kill(old);
	if (has_relay)
		relay_stop();
	has_relay = false;
	serve_free(take(serve));
	world = NULL;
	world_free(old);
}

int64_t cable_begun(unsigned call)
{
	int64_t sum = 0;

	for (size_t i = 0; i < CALL_BITS; i++)
		sum += call & 1u << i ? begun[i] : 0;
	return sum;
}

size_t cable_descriptors(void)
{
	DIR *folder = opendir("/proc/self/fd");
	size_t count = 0;

	if (!folder)
		return 0;
	while (readdir(folder))
		count++;
	(void)closedir(folder);
	return count;
}
