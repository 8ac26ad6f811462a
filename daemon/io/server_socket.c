#include "daemon/io/server_private.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "daemon/base/alloc.h"
#include "daemon/base/cleanup.h"
#include "daemon/base/error.h"

#define GROUP_LIMIT 65536

static bool is_unix(int fd)
{
	int domain;
	socklen_t size = sizeof(domain);

	return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) == 0 && domain == AF_UNIX;
}

void peer_read(int fd, struct peer *ret_peer)
{
	struct ucred credentials;
	socklen_t size = sizeof(credentials);

	*ret_peer = (struct peer){0};
	/* A TCP socket answers too, with ids that mean nothing. */
	if (!is_unix(fd))
		return;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size) < 0)
		return;
	*ret_peer = (struct peer){
		.is_known = true,
		.uid = credentials.uid,
		.gid = credentials.gid,
		.pid = credentials.pid,
	};
}

bool peer_in_group(int fd, const struct peer *peer, gid_t gid)
{
	auto_free gid_t *groups = NULL;
	socklen_t size = 0;

	if (!peer->is_known)
		return false;
	if (peer->gid == gid)
		return true;
	/* Asked with no room, the kernel says how much it needs. The list is that of the moment of
	   connect, like the ids, so it does not matter when it is read. */
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, NULL, &size) == 0 || errno != ERANGE)
		return false;
	if (size > GROUP_LIMIT * sizeof(*groups))
		return false;
	groups = xmalloc(size);
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &size) < 0)
		return false;
	for (size_t i = 0; i < size / sizeof(*groups); i++)
		if (groups[i] == gid)
			return true;
	return false;
}

/* Removes what stands at path if it is a socket that nobody listens on. */
static int remove_stale(const struct sockaddr_un *address, struct error *err)
{
	const char *path = address->sun_path;
	auto_close int fd = -1;
	struct stat status;

	if (lstat(path, &status) < 0)
		return errno == ENOENT ? 0
				       : error_set(err, -errno, "%s: %s", path, error_name(errno));
	if (!S_ISSOCK(status.st_mode))
		return error_set(err, -EEXIST, "%s is there and is not a socket", path);

	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return error_set(err, -errno, "no socket for %s: %s", path, error_name(errno));
	if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0 || errno == EAGAIN)
		return error_set(err, -EADDRINUSE, "another process listens on %s", path);
	if (errno != ECONNREFUSED)
		return error_set(err, -errno, "cannot see who listens on %s: %s", path,
				 error_name(errno));
	if (unlink(path) < 0 && errno != ENOENT)
		return error_set(err, -errno, "cannot remove the old socket %s: %s", path,
				 error_name(errno));
	return 0;
}

int server_listen_unix(const char *path, mode_t mode, int *ret_fd, struct error *err)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	auto_close int fd = -1;
	int result;

	if (!path[0] || strlen(path) >= sizeof(address.sun_path))
		return error_set(err, -ENAMETOOLONG,
				 "\"%s\" is no path for a socket (1 to %zu bytes)", path,
				 sizeof(address.sun_path) - 1);
	memcpy(address.sun_path, path, strlen(path) + 1);
	result = remove_stale(&address, err);
	if (result < 0)
		return result;

	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return error_set(err, -errno, "no socket for %s: %s", path, error_name(errno));
	if (bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
		return error_set(err, -errno, "cannot bind %s: %s", path, error_name(errno));
	/* Nobody can connect before listen, so there is no moment with a wider mode. */
	if (chmod(address.sun_path, mode) < 0 || listen(fd, SOMAXCONN) < 0) {
		result = error_set(err, -errno, "cannot listen on %s: %s", address.sun_path,
				   error_name(errno));
		(void)unlink(address.sun_path);
		return result;
	}
	*ret_fd = take_fd(&fd);
	return 0;
}

int server_listen_loopback(uint16_t port, int *ret_fd, uint16_t *ret_port, struct error *err)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	socklen_t size = sizeof(address);
	const int yes = 1;
	auto_close int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return error_set(err, -errno, "no TCP socket: %s", error_name(errno));
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes)) < 0 ||
	    bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 ||
	    listen(fd, SOMAXCONN) < 0 || getsockname(fd, (struct sockaddr *)&address, &size) < 0)
		return error_set(err, -errno, "cannot listen on 127.0.0.1:%" PRIu16 ": %s", port,
				 error_name(errno));
	*ret_fd = take_fd(&fd);
	*ret_port = ntohs(address.sin_port);
	return 0;
}
