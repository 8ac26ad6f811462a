/*
 * How a job comes to be, whoever asks for it: a submission that was made before is answered with
 * the job of then, by its Idempotency-Key, or, where none was sent and the answer was lost, by
 * being equal. Inside of daemon/door only.
 */
#ifndef BATCHD_DOOR_ACCEPT_H
#define BATCHD_DOOR_ACCEPT_H

#include <stdbool.h>
#include <stdint.h>

struct door;
struct job;
struct job_wish;
struct vault_writer;
struct visit;

/* Whether a submission with this digest was made before, or that cannot be told; then it is answered. */
bool accept_was_made(struct visit *visit, const uint8_t digest[32]);
/*
 * Whether the limits of the visitor let another job in, whose input has so many bytes as far as they are known; if not, the reply is
 * given. Root has none.
 */
bool accept_has_room(struct visit *visit, int64_t bytes);
/* The same when the headers are there, before a body is read; but what may be a repeat of what was accepted must be read to be known. */
bool accept_may_begin(struct visit *visit, int64_t bytes);
/* Replies with a job's batch object. */
void accept_answer(struct visit *visit, int64_t job);
/* Keeps the Idempotency-Key, if one was sent, as that of a job. Returns whether there was one. */
bool accept_note_key(struct visit *visit, const uint8_t digest[32], int64_t job);

/*
 * Adds a job, remembers its submission, and replies. The visit's own state gives way to what is to
 * be remembered.
 */
void accept_job(struct visit *visit, struct job *job, const uint8_t digest[32]);

/*
 * The end of createBatch and of the one-call submit: finds out whether it was made before (by wish
 * and input), adds the job, replies. file 0: the bytes of writer become the input first.
 */
void accept_wish(struct visit *visit, const struct job_wish *wish, int64_t file, struct vault_writer *writer,
		 const uint8_t fingerprint[16]);

/* Forgets all submissions. */
void accept_forget(struct door *door);

#endif
