#include "tests/crash/power_picture.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/base/alloc.h"
#include "daemon/base/buffer.h"
#include "daemon/base/cleanup.h"
#include "daemon/base/hash.h"
#include "tests/crash/power_disk.h"

#define KEY 0x706f776572u

/* A file or folder of the picture; a folder stands before what is in it. */
struct place {
	char *path;
	bool is_folder;
	char *own;	   /* NULL: the bytes are those of the disk */
	const char *bytes; /* size of them */
	size_t size;
	uint64_t fingerprint;
};

struct picture {
	struct place *places;
	size_t count;
};

/* What is asked of the picture while it is made. */
struct sketch {
	const struct disk *disk;
	struct disk_op *const *ops;
	size_t count;
	const enum fate *fates;
	uint64_t tear;
	struct picture *picture;
	struct folder *folders;
};

/* A folder's names, after the fates of all. */
struct folder {
	struct folder *next;
	const struct disk_node *node;
	struct disk_names names;
};

static const char *const fate_names[FATE_COUNT] = {
	[FATE_DONE] = "done",
	[FATE_LOST] = "lost",
	[FATE_TORN] = "torn",
	[FATE_ZEROES] = "only its size done",
};

const char *fate_name(enum fate fate)
{
	return fate_names[fate];
}

/* --- names --- */

static struct disk_names *names_of(struct sketch *sketch, const struct disk_node *node)
{
	struct folder *folder = sketch->folders;

	while (folder && folder->node != node)
		folder = folder->next;
	return folder ? &folder->names : NULL;
}

static void apply_names(struct sketch *sketch, const struct disk_op *op, enum fate fate)
{
	bool is_done = fate == FATE_DONE || fate == FATE_TORN;

	if (!op->folder || !is_done)
		return;
	if (op->kind == DISK_LEAVE)
		disk_names_remove(names_of(sketch, op->folder), op->name);
	else
		disk_names_set(names_of(sketch, op->folder), op->name, op->node);
	/* Within one folder the two halves are one. */
	if (op->kind == DISK_MOVE && (fate == FATE_DONE || op->folder == op->old_folder))
		disk_names_remove(names_of(sketch, op->old_folder), op->old_name);
}

static void sketch_names(struct sketch *sketch)
{
	struct disk_node *node = NULL;

	while ((node = disk_next_folder(sketch->disk, node))) {
		struct folder *folder = xcalloc(1, sizeof(*folder));

		folder->node = node;
		disk_names_copy(&node->names, &folder->names);
		folder->next = sketch->folders;
		sketch->folders = folder;
	}
	for (size_t i = 0; i < sketch->count; i++)
		apply_names(sketch, sketch->ops[i], sketch->fates[i]);
}

static void release_names(struct sketch *sketch)
{
	while (sketch->folders) {
		struct folder *folder = sketch->folders;

		sketch->folders = folder->next;
		disk_names_release(&folder->names);
		free(folder);
	}
}

/* --- bytes --- */

static bool is_of_bytes(const struct disk_op *op, const struct disk_node *node)
{
	return op->node == node && (op->kind == DISK_WRITE || op->kind == DISK_RESIZE);
}

static uint64_t mix(uint64_t a, uint64_t b)
{
	const uint64_t both[2] = { a, b };

	return hash_keyed(KEY, both, sizeof(both));
}

static bool shows_sector(const struct sketch *sketch, size_t op, size_t sector)
{
	if (sketch->fates[op] == FATE_TORN)
		return mix(sketch->tear ^ (uint64_t)sketch->ops[op]->number, sector) & 1;
	return sketch->fates[op] == FATE_DONE;
}

/* A file's bytes as far as any op reaches, its size, and the last op that each sector shows. */
struct bytes {
	char *data;
	size_t room, size;
	size_t *newest; /* by sector: the place of an op plus 1 */
};

static size_t sector_of(int64_t offset)
{
	return (size_t)offset / PICTURE_SECTOR;
}

/* How long the file is, and how much room all that was ever written needs. */
static void measure(const struct sketch *sketch, const struct disk_node *node, struct bytes *bytes)
{
	size_t size = node->bytes.size;

	bytes->size = size;
	bytes->room = size;
	for (size_t i = 0; i < sketch->count; i++) {
		const struct disk_op *op = sketch->ops[i];
		size_t end = (size_t)(op->offset + op->size);

		if (!is_of_bytes(op, node))
			continue;
		if (op->kind == DISK_RESIZE || end > size)
			size = end;
		if (size > bytes->room)
			bytes->room = size;
		if (sketch->fates[i] != FATE_LOST)
			bytes->size = size;
	}
}

static void date_sectors(const struct sketch *sketch, const struct disk_node *node, struct bytes *bytes)
{
	for (size_t i = 0; i < sketch->count; i++) {
		const struct disk_op *op = sketch->ops[i];

		if (!is_of_bytes(op, node) || op->kind != DISK_WRITE)
			continue;
		for (size_t s = sector_of(op->offset); s <= sector_of(op->offset + op->size - 1); s++)
			if (shows_sector(sketch, i, s))
				bytes->newest[s] = i + 1;
	}
}

static void apply_write(const struct disk_op *op, size_t place, struct bytes *bytes)
{
	int64_t at = op->offset, end = op->offset + op->size;

	while (at < end) {
		size_t sector = sector_of(at);
		int64_t next = (int64_t)(sector + 1) * PICTURE_SECTOR;

		if (next > end)
			next = end;
		if (bytes->newest[sector] > place)
			memcpy(bytes->data + at, op->bytes + (at - op->offset), (size_t)(next - at));
		at = next;
	}
}

static void apply_bytes(const struct sketch *sketch, const struct disk_node *node, struct bytes *bytes)
{
	size_t last = 0;

	for (size_t i = 0; i < sketch->count; i++)
		if (is_of_bytes(sketch->ops[i], node) && sketch->fates[i] != FATE_LOST)
			last = i + 1;
	for (size_t i = 0; i < last; i++) {
		const struct disk_op *op = sketch->ops[i];

		if (!is_of_bytes(op, node))
			continue;
		if (op->kind == DISK_WRITE)
			apply_write(op, i, bytes);
		else
			memset(bytes->data + op->size, 0, bytes->room - (size_t)op->size);
	}
}

static void sketch_bytes(const struct sketch *sketch, struct disk_node *node, struct place *place)
{
	struct bytes bytes = { 0 };
	bool is_pending = false;

	for (size_t i = 0; i < sketch->count && !is_pending; i++)
		is_pending = is_of_bytes(sketch->ops[i], node);
	if (!is_pending) {
		if (!node->fingerprint)
			node->fingerprint = hash_keyed(KEY, node->bytes.data, node->bytes.size) | 1;
		place->bytes = node->bytes.data;
		place->size = node->bytes.size;
		place->fingerprint = node->fingerprint;
		return;
	}
	measure(sketch, node, &bytes);
	bytes.data = xcalloc(1, bytes.room + 1);
	bytes.newest = xcalloc(bytes.room / PICTURE_SECTOR + 1, sizeof(*bytes.newest));
	if (node->bytes.size)
		memcpy(bytes.data, node->bytes.data, node->bytes.size);
	date_sectors(sketch, node, &bytes);
	apply_bytes(sketch, node, &bytes);
	free(bytes.newest);
	place->own = bytes.data;
	place->bytes = bytes.data;
	place->size = bytes.size;
	place->fingerprint = hash_keyed(KEY, bytes.data, bytes.size) | 1;
}

/* --- the picture --- */

static int compare_names(const void *a, const void *b)
{
	return strcmp(((const struct disk_name *)a)->name, ((const struct disk_name *)b)->name);
}

static struct place *add_place(struct picture *picture, const char *above, const char *name)
{
	struct place *place;

	picture->places = xreallocarray(picture->places, picture->count + 1, sizeof(*picture->places));
	place = &picture->places[picture->count++];
	*place = (struct place){ .path = *above ? xasprintf("%s/%s", above, name) : xstrdup(name) };
	return place;
}

static void sketch_folder(struct sketch *sketch, const struct disk_node *node, const char *path)
{
	struct disk_names *names = names_of(sketch, node);

	if (names->count)
		qsort(names->list, names->count, sizeof(*names->list), compare_names);
	for (size_t i = 0; i < names->count; i++) {
		struct disk_node *child = names->list[i].node;
		struct place *place = add_place(sketch->picture, path, names->list[i].name);
		auto_free char *below = xstrdup(place->path);

		place->is_folder = child->is_folder;
		if (child->is_folder)
			sketch_folder(sketch, child, below);
		else
			sketch_bytes(sketch, child, place);
	}
}

struct picture *picture_new(const struct disk *disk, const enum fate *fates, uint64_t tear)
{
	struct sketch sketch = {
		.disk = disk,
		.fates = fates,
		.tear = tear,
		.picture = xcalloc(1, sizeof(struct picture)),
	};

	sketch.count = disk_pending(disk, &sketch.ops);
	sketch_names(&sketch);
	sketch_folder(&sketch, disk_root((struct disk *)(uintptr_t)disk), "");
	release_names(&sketch);
	return sketch.picture;
}

void picture_free(struct picture *picture)
{
	if (!picture)
		return;
	for (size_t i = 0; i < picture->count; i++) {
		free(picture->places[i].path);
		free(picture->places[i].own);
	}
	free(picture->places);
	free(picture);
}

uint64_t picture_fingerprint(const struct picture *picture)
{
	uint64_t fingerprint = picture->count;

	for (size_t i = 0; i < picture->count; i++) {
		const struct place *place = &picture->places[i];

		fingerprint = mix(fingerprint, hash_keyed(KEY, place->path, strlen(place->path)));
		fingerprint = mix(fingerprint, place->fingerprint);
	}
	return fingerprint;
}

const char *picture_file(const struct picture *picture, const char *path, size_t *ret_size)
{
	for (size_t i = 0; i < picture->count; i++) {
		const struct place *place = &picture->places[i];

		if (place->is_folder || strcmp(place->path, path) != 0)
			continue;
		*ret_size = place->size;
		return place->bytes ? place->bytes : "";
	}
	return NULL;
}

static int draw_file(const struct place *place, int folder_fd)
{
	auto_close int fd = openat(folder_fd, place->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	size_t done = 0;

	if (fd < 0)
		return -errno;
	while (done < place->size) {
		ssize_t written = write(fd, place->bytes + done, place->size - done);

		if (written <= 0)
			return written ? -errno : -EIO;
		done += (size_t)written;
	}
	return 0;
}

int picture_draw(const struct picture *picture, const char *folder)
{
	auto_close int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r = fd < 0 ? -errno : 0;

	for (size_t i = 0; i < picture->count && !r; i++) {
		const struct place *place = &picture->places[i];

		if (!place->is_folder)
			r = draw_file(place, fd);
		else if (mkdirat(fd, place->path, 0700) < 0)
			r = -errno;
	}
	return r;
}
