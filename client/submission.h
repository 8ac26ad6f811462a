/*
 * What a submit asks for: its options checked, and in the words of the front door. validate and
 * the dry run read the same options, so that they judge what a submit would send.
 */
#ifndef BATCHD_CLIENT_SUBMISSION_H
#define BATCHD_CLIENT_SUBMISSION_H

struct input;
struct options;
struct survey_rules;

/* The options that say how lines are read. 0, or EXIT_USAGE, which was told. */
int submission_check_lines(const struct options *options);
/* Those that bound a job: its priority and its budgets; the same. */
int submission_check_bounds(const struct options *options);
/* All options of submit; the same. */
int submission_check(const struct options *options);

/* How the lines are to be read; limits are the official provider's. Borrows from options. */
void submission_rules(const struct options *options, struct survey_rules *ret_rules);

/* What the beginning of an input tells. */
struct submission_look {
	const char *endpoint; /* that was asked for, else of the first line, else a default */
	const char *packing;  /* Content-Encoding; NULL: plain */
};
struct submission_look submission_look(const struct options *options, const struct input *input);

/* The call's path, with its query; the caller frees. */
char *submission_path(const struct options *options, const struct input *input,
		      const char *endpoint);

#endif
