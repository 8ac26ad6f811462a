/*
 * What becomes of a shard whose batch failed: nothing was run and nothing is billed. Whether
 * another try can help depends on why, and on whether the provider names the lines that are wrong:
 * then those fail alone. Inside of the pipeline.
 */
#ifndef BATCHD_WORK_FAILED_H
#define BATCHD_WORK_FAILED_H

struct api_answer;
struct api_batch;
struct task;

/*
 * Ends the task, now or after slices of local work. batch is what answer says.
 *	no such model, or url, there	the rows move on to the next provider, where there is one (work/move)
 *	our queue there is full		the rows wait, with the same file
 *	the file is not found		the same file a few times, then a new upload, then refused
 *	too large			cut in half
 *	no reason			the same file, as often as a request is tried
 *	lines that are wrong		shard-N.err has an answer made for each, and the shard ENDs without a refusal
 *	anything else			refused
 */
void failed_settle(struct task *task, const struct api_answer *answer, const struct api_batch *batch);

#endif
