#include "tests/crash/power_disk.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/base/alloc.h"
#include "daemon/base/cleanup.h"

/*
 * The kernel writes back by and by what nobody flushes; here that happens to the oldest of more than so many.
 */
#define MAX_PENDING 200

struct disk {
	struct disk_node *nodes; /* newest first */
	struct disk_node *root;
	int64_t node_count;
	struct disk_op **ops;
	size_t count, room;
	int64_t op_count;
	int64_t version;
};

/* --- names --- */

static struct disk_name *find_name(const struct disk_names *names, const char *name)
{
	for (size_t i = 0; i < names->count; i++)
		if (strcmp(names->list[i].name, name) == 0)
			return &names->list[i];
	return NULL;
}

struct disk_node *disk_names_get(const struct disk_names *names, const char *name)
{
	const struct disk_name *found = find_name(names, name);

	return found ? found->node : NULL;
}

void disk_names_set(struct disk_names *names, const char *name, struct disk_node *node)
{
	struct disk_name *found = find_name(names, name);

	if (found) {
		found->node = node;
		return;
	}
	names->list = xreallocarray(names->list, names->count + 1, sizeof(*names->list));
	names->list[names->count++] = (struct disk_name){ .name = xstrdup(name), .node = node };
}

void disk_names_remove(struct disk_names *names, const char *name)
{
	struct disk_name *found = find_name(names, name);

	if (!found)
		return;
	free(found->name);
	*found = names->list[--names->count];
}

void disk_names_copy(const struct disk_names *names, struct disk_names *ret_names)
{
	*ret_names = (struct disk_names){ 0 };
	for (size_t i = 0; i < names->count; i++)
		disk_names_set(ret_names, names->list[i].name, names->list[i].node);
}

void disk_names_release(struct disk_names *names)
{
	for (size_t i = 0; i < names->count; i++)
		free(names->list[i].name);
	free(names->list);
	*names = (struct disk_names){ 0 };
}

/* --- nodes and ops --- */

static struct disk_node *node_new(struct disk *disk, bool is_folder)
{
	struct disk_node *node = xcalloc(1, sizeof(*node));

	node->number = ++disk->node_count;
	node->is_folder = is_folder;
	node->next = disk->nodes;
	disk->nodes = node;
	return node;
}

static void op_free(struct disk_op *op)
{
	free(op->name);
	free(op->old_name);
	free(op->bytes);
	free(op);
}

/* Whether it is about the names in a folder. */
static bool is_of_folder(const struct disk_op *op, const struct disk_node *folder)
{
	return op->folder == folder || op->old_folder == folder;
}

static bool is_of_bytes(const struct disk_op *op, const struct disk_node *node)
{
	return (op->kind == DISK_WRITE || op->kind == DISK_RESIZE) && op->node == node;
}

static void resize(struct buffer *bytes, size_t size)
{
	static const char zeroes[4096];

	if (size < bytes->size)
		bytes->size = size;
	while (bytes->size < size)
		buffer_add(bytes, zeroes,
			   size - bytes->size < sizeof(zeroes) ? size - bytes->size : sizeof(zeroes));
}

/* It is on the disk for certain. */
static void settle(struct disk_op *op)
{
	struct buffer *bytes = &op->node->bytes;
	size_t end = (size_t)(op->offset + op->size);

	switch (op->kind) {
	case DISK_WRITE:
		if (end > bytes->size)
			resize(bytes, end);
		memcpy(bytes->data + op->offset, op->bytes, (size_t)op->size);
		op->node->fingerprint = 0;
		break;
	case DISK_RESIZE:
		resize(bytes, (size_t)op->size);
		op->node->fingerprint = 0;
		break;
	case DISK_MOVE:
		disk_names_remove(&op->old_folder->names, op->old_name);
		disk_names_set(&op->folder->names, op->name, op->node);
		break;
	case DISK_ENTER:
		disk_names_set(&op->folder->names, op->name, op->node);
		break;
	case DISK_LEAVE:
		disk_names_remove(&op->folder->names, op->name);
		break;
	}
}

/*
 * A folder was flushed. The other folder of a rename was not: the old name may still be there beside the new
 * one, but a name that is gone for certain has become the other.
 */
static bool settle_names(struct disk_op *op, const struct disk_node *folder)
{
	if (op->kind == DISK_MOVE && op->folder == folder && op->old_folder != folder) {
		disk_names_set(&op->folder->names, op->name, op->node);
		free(op->name);
		op->kind = DISK_LEAVE;
		op->folder = take(op->old_folder);
		op->name = take(op->old_name);
		return false;
	}
	settle(op);
	return true;
}

static void remove_op(struct disk *disk, size_t place)
{
	op_free(disk->ops[place]);
	disk->count--;
	memmove(disk->ops + place, disk->ops + place + 1, (disk->count - place) * sizeof(*disk->ops));
}

/* Those of a name that was moved to later, by a rename that is on the disk. */
static void forget_name(struct disk *disk, const struct disk_node *folder, const char *name, size_t before)
{
	while (before-- > 0) {
		const struct disk_op *op = disk->ops[before];

		if (op->folder == folder && op->kind != DISK_MOVE && strcmp(op->name, name) == 0)
			remove_op(disk, before);
	}
}

static void settle_oldest(struct disk *disk)
{
	settle(disk->ops[0]);
	remove_op(disk, 0);
}

static struct disk_op *op_new(struct disk *disk, enum disk_kind kind, struct disk_node *node)
{
	struct disk_op *op = xcalloc(1, sizeof(*op));

	op->kind = kind;
	op->node = node;
	op->number = ++disk->op_count;
	if (disk->count == MAX_PENDING)
		settle_oldest(disk);
	if (disk->count == disk->room) {
		disk->room = disk->room ? disk->room * 2 : 64;
		disk->ops = xreallocarray(disk->ops, disk->room, sizeof(struct disk_op *));
	}
	disk->ops[disk->count++] = op;
	disk->version++;
	return op;
}

static bool has_name(const struct disk *disk, const struct disk_node *node, bool is_seen)
{
	for (const struct disk_node *folder = disk->nodes; folder; folder = folder->next) {
		const struct disk_names *names = is_seen ? &folder->seen : &folder->names;

		for (size_t i = 0; i < names->count; i++)
			if (names->list[i].node == node)
				return true;
	}
	return false;
}

/* A name of it went. What is pending of a file that was never named on the disk need not be kept. */
static void check_gone(struct disk *disk, struct disk_node *node)
{
	if (!node || has_name(disk, node, true))
		return;
	node->is_gone = true;
	if (has_name(disk, node, false))
		return;
	for (size_t i = disk->count; i-- > 0;)
		if (is_of_bytes(disk->ops[i], node))
			remove_op(disk, i);
}

/* --- the disk --- */

struct disk *disk_new(void)
{
	struct disk *disk = xcalloc(1, sizeof(*disk));

	disk->root = node_new(disk, true);
	return disk;
}

void disk_free(struct disk *disk)
{
	if (!disk)
		return;
	for (size_t i = 0; i < disk->count; i++)
		op_free(disk->ops[i]);
	free(disk->ops);
	while (disk->nodes) {
		struct disk_node *node = disk->nodes;

		disk->nodes = node->next;
		buffer_release(&node->bytes);
		disk_names_release(&node->names);
		disk_names_release(&node->seen);
		free(node);
	}
	free(disk);
}

struct disk_node *disk_root(struct disk *disk)
{
	return disk->root;
}

static int adopt_bytes(struct disk_node *node, int folder_fd, const char *name)
{
	auto_close int fd = openat(folder_fd, name, O_RDONLY | O_CLOEXEC);
	char piece[65536];
	ssize_t got;

	if (fd < 0)
		return -errno;
	while ((got = read(fd, piece, sizeof(piece))) > 0)
		buffer_add(&node->bytes, piece, (size_t)got);
	node->seen_size = (int64_t)node->bytes.size;
	return got ? -errno : 0;
}

static int adopt(struct disk *disk, struct disk_node *folder, int at, const char *path)
{
	int fd = openat(at, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *list = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;
	int r = 0;

	if (!list)
		return -errno;
	while (!r && (entry = readdir(list))) {
		struct stat status;
		struct disk_node *node;

		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		if (fstatat(fd, entry->d_name, &status, AT_SYMLINK_NOFOLLOW) < 0)
			return -errno;
		node = node_new(disk, S_ISDIR(status.st_mode));
		disk_names_set(&folder->names, entry->d_name, node);
		disk_names_set(&folder->seen, entry->d_name, node);
		r = node->is_folder ? adopt(disk, node, fd, entry->d_name) : adopt_bytes(node, fd, entry->d_name);
	}
	(void)closedir(list);
	return r;
}

int disk_adopt(struct disk *disk, const char *folder)
{
	disk->version++;
	return adopt(disk, disk->root, AT_FDCWD, folder);
}

struct disk_node *disk_find(struct disk_node *folder, const char *path)
{
	while (folder && *path) {
		size_t size = strcspn(path, "/");
		auto_free char *name = xmemdup0(path, size);

		if (size && strcmp(name, ".") != 0)
			folder = disk_names_get(&folder->seen, name);
		path += size + (path[size] == '/');
	}
	return folder;
}

struct disk_node *disk_make(struct disk *disk, struct disk_node *folder, const char *name, bool is_folder)
{
	struct disk_node *node = node_new(disk, is_folder);

	disk_link(disk, node, folder, name);
	return node;
}

void disk_link(struct disk *disk, struct disk_node *node, struct disk_node *folder, const char *name)
{
	struct disk_op *op = op_new(disk, DISK_ENTER, node);

	op->folder = folder;
	op->name = xstrdup(name);
	disk_names_set(&folder->seen, name, node);
}

void disk_leave(struct disk *disk, struct disk_node *folder, const char *name)
{
	struct disk_node *node = disk_names_get(&folder->seen, name);
	struct disk_op *op;

	if (!node)
		return;
	op = op_new(disk, DISK_LEAVE, node);
	op->folder = folder;
	op->name = xstrdup(name);
	disk_names_remove(&folder->seen, name);
	check_gone(disk, node);
}

void disk_move(struct disk *disk, struct disk_node *old_folder, const char *old_name, struct disk_node *folder,
	       const char *name)
{
	struct disk_node *node = disk_names_get(&old_folder->seen, old_name);
	struct disk_node *replaced = disk_names_get(&folder->seen, name);
	struct disk_op *op;

	if (!node || node == replaced)
		return;
	op = op_new(disk, DISK_MOVE, node);
	op->folder = folder;
	op->name = xstrdup(name);
	op->old_folder = old_folder;
	op->old_name = xstrdup(old_name);
	disk_names_remove(&old_folder->seen, old_name);
	disk_names_set(&folder->seen, name, node);
	check_gone(disk, replaced);
}

/*
 * The same place written again and again, like a note that nobody flushes: of all its old contents the disk
 * may show any, and two of them are enough to try.
 */
static void forget_rewritten(struct disk *disk, const struct disk_node *node, int64_t offset, size_t size)
{
	size_t first = 0, same = 0;

	for (size_t i = 0; i < disk->count; i++) {
		const struct disk_op *op = disk->ops[i];

		if (op->kind != DISK_WRITE || op->node != node || op->offset != offset || op->size != (int64_t)size)
			continue;
		if (!same++)
			first = i;
	}
	if (same > 2)
		remove_op(disk, first);
}

void disk_write(struct disk *disk, struct disk_node *node, int64_t offset, const void *bytes, size_t size)
{
	struct disk_op *op;

	if (node->is_gone || !size)
		return;
	forget_rewritten(disk, node, offset, size);
	op = op_new(disk, DISK_WRITE, node);
	op->offset = offset;
	op->size = (int64_t)size;
	op->bytes = xmemdup0(bytes, size);
	if (offset + (int64_t)size > node->seen_size)
		node->seen_size = offset + (int64_t)size;
}

void disk_resize(struct disk *disk, struct disk_node *node, int64_t size)
{
	if (node->is_gone || size == node->seen_size)
		return;
	op_new(disk, DISK_RESIZE, node)->size = size;
	node->seen_size = size;
}

void disk_sync(struct disk *disk, struct disk_node *node)
{
	for (size_t i = 0; i < disk->count;) {
		struct disk_op *op = disk->ops[i];

		if (!(node->is_folder ? is_of_folder(op, node) : is_of_bytes(op, node))) {
			i++;
			continue;
		}
		disk->version++;
		if (op->kind == DISK_MOVE && op->folder != node) {
			size_t count = disk->count;

			forget_name(disk, op->folder, op->name, i);
			i -= count - disk->count;
		}
		if (settle_names(op, node))
			remove_op(disk, i);
		else
			i++;
	}
}

size_t disk_pending(const struct disk *disk, struct disk_op *const **ret_ops)
{
	*ret_ops = disk->ops;
	return disk->count;
}

int64_t disk_version(const struct disk *disk)
{
	return disk->version;
}

/* The path of a node, as a process sees it now or did when it was named last. */
static char *path_of(const struct disk *disk, const struct disk_node *node)
{
	if (node == disk->root)
		return xstrdup("");
	for (const struct disk_node *folder = disk->nodes; folder; folder = folder->next)
		for (size_t i = 0; i < folder->seen.count; i++)
			if (folder->seen.list[i].node == node) {
				auto_free char *above = path_of(disk, folder);

				return xasprintf("%s%s%s", above, folder->is_folder ? "/" : "",
						 folder->seen.list[i].name);
			}
	return xasprintf("(file %" PRId64 " without a name)", node->number);
}

char *disk_tell(const struct disk *disk, const struct disk_op *op)
{
	auto_free char *path = path_of(disk, op->folder ? op->folder : op->node);
	auto_free char *old = op->old_folder ? path_of(disk, op->old_folder) : NULL;

	switch (op->kind) {
	case DISK_WRITE:
		return xasprintf("write of %" PRId64 " bytes at %" PRId64 " to %s", op->size, op->offset, path);
	case DISK_RESIZE:
		return xasprintf("resize of %s to %" PRId64, path, op->size);
	case DISK_ENTER:
		return xasprintf("making of %s/%s", path, op->name);
	case DISK_LEAVE:
		return xasprintf("removal of %s/%s", path, op->name);
	case DISK_MOVE:
		return xasprintf("rename of %s/%s to %s/%s", old, op->old_name, path, op->name);
	}
	return NULL;
}

struct disk_node *disk_next_folder(const struct disk *disk, const struct disk_node *folder)
{
	struct disk_node *node = folder ? folder->next : disk->nodes;

	while (node && !node->is_folder)
		node = node->next;
	return node;
}
