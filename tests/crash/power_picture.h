/*
 * What a disk may show after the power went: a picture of it, in which every pending op met one fate.
 *
 * Bytes are torn at sectors: each sector of a file shows what it was after some op, and what came to it before
 * that. A file is as long as it was after the last op of which anything is there; where its bytes are not,
 * there are zeroes. A cut of a file is done when anything after it is.
 */
#ifndef BATCHD_TESTS_CRASH_POWER_PICTURE_H
#define BATCHD_TESTS_CRASH_POWER_PICTURE_H

#include <stddef.h>
#include <stdint.h>

#define PICTURE_SECTOR 512

struct disk;
struct picture;

enum fate {
	FATE_DONE,
	FATE_LOST,
	FATE_TORN,   /* of bytes: some sectors; of a rename: both names are there; else as FATE_DONE */
	FATE_ZEROES, /* of bytes: the size alone; else as FATE_LOST */
	FATE_COUNT,
};

/* "lost", "torn", ... */
const char *fate_name(enum fate fate);

/*
 * fates has one for each op that is pending; tear draws the sectors. The disk must not change while the
 * picture is there.
 */
struct picture *picture_new(const struct disk *disk, const enum fate *fates, uint64_t tear);
void picture_free(struct picture *picture);
/* Two pictures that show the same have the same. */
uint64_t picture_fingerprint(const struct picture *picture);
/* The bytes of the file of that path, *ret_size of them; NULL: there is none. */
const char *picture_file(const struct picture *picture, const char *path, size_t *ret_size);
/* Makes it true in an empty folder of this machine. 0 or -errno. */
int picture_draw(const struct picture *picture, const char *folder);

#endif
