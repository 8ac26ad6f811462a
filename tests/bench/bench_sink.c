/*
 * The peer of batchd's way in: a bare libmicrohttpd server on a Unix socket that takes bodies and
 * does the least with them. Usage: bench_sink [-m BYTES_OF_MEMORY_A_CONNECTION] [-w FILE] SOCKET.
 * Without -w a body is thrown away; with it, it is written to FILE, anew for each request, and
 * flushed before the answer. Says "ready" once it listens; ends with SIGTERM.
 */
#include <fcntl.h>
#include <getopt.h>
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static const char *written;

static void fail(const char *what)
{
	perror(what);
	exit(EXIT_FAILURE);
}

static void keep(int fd, const char *data, size_t size)
{
	while (size) {
		ssize_t done = write(fd, data, size);

		if (done < 0)
			fail(written);
		data += done;
		size -= (size_t)done;
	}
}

static enum MHD_Result answer(struct MHD_Connection *connection, int fd)
{
	static char text[] = "{}\n";
	struct MHD_Response *response =
		MHD_create_response_from_buffer(sizeof(text) - 1, text, MHD_RESPMEM_PERSISTENT);
	enum MHD_Result result;

	if (written && (fsync(fd) < 0 || close(fd) < 0))
		fail(written);
	result = MHD_queue_response(connection, MHD_HTTP_OK, response);
	MHD_destroy_response(response);
	return result;
}

static enum MHD_Result on_request(void *context, struct MHD_Connection *connection, const char *url,
				  const char *method, const char *version, const char *data,
				  size_t *size, void **request)
{
	int *fd = *request;

	(void)context;
	(void)url;
	(void)method;
	(void)version;
	if (!fd) {
		*request = fd = malloc(sizeof(*fd));
		if (!fd)
			fail("malloc");
		*fd = -1;
		if (written) {
			(void)unlink(written);
			*fd = open(written, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
			if (*fd < 0)
				fail(written);
		}
		return MHD_YES;
	}
	if (!*size)
		return answer(connection, *fd);
	if (written)
		keep(*fd, data, *size);
	*size = 0;
	return MHD_YES;
}

static void on_request_end(void *context, struct MHD_Connection *connection, void **request,
			   enum MHD_RequestTerminationCode code)
{
	(void)context;
	(void)connection;
	(void)code;
	free(*request);
}

static int listen_at(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (strlen(path) >= sizeof(address.sun_path)) {
		(void)fprintf(stderr, "%s: too long\n", path);
		exit(EXIT_FAILURE);
	}
	memcpy(address.sun_path, path, strlen(path) + 1);
	(void)unlink(path);
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, 64) < 0)
		fail(path);
	return fd;
}

int main(int argc, char **argv)
{
	size_t memory = 64 << 10;
	int option;

	while ((option = getopt(argc, argv, "m:w:")) != -1) {
		if (option == 'm')
			memory = strtoul(optarg, NULL, 10);
		else if (option == 'w')
			written = optarg;
		else
			return 2;
	}
	if (optind + 1 != argc) {
		(void)fprintf(stderr, "usage: bench_sink [-m BYTES] [-w FILE] SOCKET\n");
		return 2;
	}
	if (!MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD, 0, NULL, NULL, on_request, NULL,
			      MHD_OPTION_LISTEN_SOCKET, listen_at(argv[optind]),
			      MHD_OPTION_CONNECTION_MEMORY_LIMIT, memory, MHD_OPTION_NOTIFY_COMPLETED,
			      on_request_end, NULL, MHD_OPTION_END))
		fail("MHD_start_daemon");
	(void)puts("ready");
	(void)fflush(stdout);
	(void)pause();
	return 0;
}
