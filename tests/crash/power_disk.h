/*
 * The model of a disk: what of a folder is on it for certain, and what was done since and may be lost with the
 * power.
 *
 * It promises no more than POSIX does on a file system with barriers. A flush of a file makes its bytes and
 * its size durable, but not its name; a flush of a folder makes the names in it durable, but no bytes. What is
 * pending may be on the disk in any part and order (power_picture.h says which parts). A rename shows the old
 * or the new, never neither.
 */
#ifndef BATCHD_TESTS_CRASH_POWER_DISK_H
#define BATCHD_TESTS_CRASH_POWER_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/base/buffer.h"

struct disk;
struct disk_node;

struct disk_name {
	char *name;
	struct disk_node *node;
};

/* Names in a folder, in no order. */
struct disk_names {
	struct disk_name *list;
	size_t count;
};

/* A file or a folder, as it is on the disk for certain, and with the names that a process sees now. */
struct disk_node {
	struct disk_node *next;
	int64_t number; /* from 1 in the order of their making */
	bool is_folder;
	bool is_gone;		 /* no name leads there any more: what is written to it is nobody's */
	struct buffer bytes;	 /* of a file */
	uint64_t fingerprint;	 /* of bytes; 0: not known */
	struct disk_names names; /* of a folder */
	struct disk_names seen;
	int64_t seen_size;
};

enum disk_kind {
	DISK_WRITE,  /* bytes; the file grows where they reach beyond its end */
	DISK_RESIZE, /* the file is cut, or grows by zeroes */
	DISK_ENTER,  /* a name appears */
	DISK_LEAVE,  /* a name goes */
	DISK_MOVE,   /* a name appears as another goes */
};

/* One that is pending. */
struct disk_op {
	enum disk_kind kind;
	int64_t number;		/* from 1 in the order of their coming */
	struct disk_node *node; /* whose bytes, or whose name */
	struct disk_node *folder, *old_folder;
	char *name, *old_name; /* in those; old_*: of DISK_MOVE */
	int64_t offset;
	int64_t size; /* of bytes, or the new one of the file */
	char *bytes;
};

/* An empty folder. */
struct disk *disk_new(void);
void disk_free(struct disk *disk);
struct disk_node *disk_root(struct disk *disk);
/* Takes all that lies in a folder of this machine as being there for certain. 0 or -errno. */
int disk_adopt(struct disk *disk, const char *folder);

/* What a path leads to from a folder, as a process sees it; "" is the folder itself. NULL: nothing. */
struct disk_node *disk_find(struct disk_node *folder, const char *path);

/* What was done, in the order of its doing. The node is made by the first. */
struct disk_node *disk_make(struct disk *disk, struct disk_node *folder, const char *name, bool is_folder);
void disk_link(struct disk *disk, struct disk_node *node, struct disk_node *folder, const char *name);
void disk_leave(struct disk *disk, struct disk_node *folder, const char *name);
void disk_move(struct disk *disk, struct disk_node *old_folder, const char *old_name, struct disk_node *folder,
	       const char *name);
void disk_write(struct disk *disk, struct disk_node *node, int64_t offset, const void *bytes, size_t size);
void disk_resize(struct disk *disk, struct disk_node *node, int64_t size);
/* All that is pending of this file's bytes, or of this folder's names, is on the disk now. */
void disk_sync(struct disk *disk, struct disk_node *node);

/* What is pending, in order; it lives until the disk is changed. */
size_t disk_pending(const struct disk *disk, struct disk_op *const **ret_ops);
/* Changes with all that changes what is on the disk or may be. */
int64_t disk_version(const struct disk *disk);
/* Says in words what an op does, for people; the caller frees. */
char *disk_tell(const struct disk *disk, const struct disk_op *op);

/* Names: a list's node of that name; sets it; takes it away. */
struct disk_node *disk_names_get(const struct disk_names *names, const char *name);
void disk_names_set(struct disk_names *names, const char *name, struct disk_node *node);
void disk_names_remove(struct disk_names *names, const char *name);
void disk_names_copy(const struct disk_names *names, struct disk_names *ret_names);
void disk_names_release(struct disk_names *names);

/* Every folder that ever was, one after the other: the first for NULL; NULL after the last. */
struct disk_node *disk_next_folder(const struct disk *disk, const struct disk_node *folder);

#endif
