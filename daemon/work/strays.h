/*
 * Files that a provider may have and nobody needs: of uploads whose answer was lost, of those that were not used, and, when a shard has
 * ended, its own (tidy.h). They are noted on disk before they can come to be, and deleted after the shard whose rows they hold has
 * ended: those known by their id at once, the others after they were found, by their unique name, in the provider's list of
 * files. A file that a shard may yet need is never among them; that is asked for right before it is deleted. Now and then the
 * list is read for inputs that were missed (orphans.h).
 *
 * One call at a time goes to a provider, none while it is paused, and no failure of one pauses it: jobs never wait for a stray. What a
 * provider refuses is tried again for some days, then forgotten with a line in the log.
 */
#ifndef BATCHD_WORK_STRAYS_H
#define BATCHD_WORK_STRAYS_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/io/store.h"

struct loop;
struct pipeline;
struct provider;
struct providers;
struct strays;
struct task;

/* All of them must outlive it. pipeline writes the history. */
struct strays *strays_new(struct loop *loop, struct store *store, struct pipeline *pipeline,
			  struct providers *providers);
/* Drops what is under way; the disk knows what is due. NULL is fine. */
void strays_free(struct strays *strays);
/* Something may have become due: look in the next turn. Cheap, call it freely. */
void strays_kick(struct strays *strays);
/* Begins nothing any more, and drops what is under way. */
void strays_stop(struct strays *strays);

/* Whether files of a kind may be deleted at a provider. */
bool strays_may_delete(const struct provider *provider, enum store_stray_kind kind);

/* The name that the file of a shard is uploaded under. The caller frees. */
char *strays_file_name(const char *marker);

/*
 * For a step: an upload is about to leave, and must not before this is on disk. Returns whether no earlier upload of the shard left
 * anything in doubt; then strays_drop_upload undoes it, when the outcome of this one is known.
 */
bool strays_note_upload(struct task *task);
void strays_drop_upload(struct task *task);
/* For a step: nobody will use this file any more. NULL is fine. */
void strays_note_file(struct task *task, const char *file_id);

#endif
