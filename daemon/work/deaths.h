/*
 * Steps that end the daemon: found at the next start by the note (io/note), counted on disk, and after DEATHS_MOST of
 * them held, so that what one job has in it does not stop everybody's queue. A kill by a person in the middle of a step
 * cannot be told from a crash and counts too; so the count goes as soon as the step gets on. Inside of the pipeline.
 */
#ifndef BATCHD_WORK_DEATHS_H
#define BATCHD_WORK_DEATHS_H

#include <stdbool.h>
#include <stdint.h>

struct note_entry;
struct pipeline;
struct task;

#define DEATHS_MOST 3
/* What is noted of a list that is read for everybody: it is of no job, so nothing is held for it. */
#define DEATHS_LIST "list"
#define DEATHS_NO_JOB INT64_MAX

/*
 * At the start, before anything runs: counts what the process before this one died of, on disk when it returns, and
 * holds it if need be.
 */
void deaths_count(struct pipeline *pipeline, const struct note_entry *left);
/* Whether the task's step has ended the daemon so often; *ret_count may be NULL. */
bool deaths_forbid(const struct task *task, int64_t *ret_count);

#endif
