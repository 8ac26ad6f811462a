/*
 * The log: a constant message and typed fields. Under systemd the fields go to the journal as
 * BATCHD_JOB=57 and so on; elsewhere a line goes to stderr: message, then name=value pairs.
 *
 * A warning says how we go on; an error asks a person to act. Keys, prompts and answers are
 * never logged (G8): log a provider's code and status, never its words.
 *
 * The names of fields, all that may be used:
 *	JOB SHARD BATCH FILE PROVIDER USER STATE STEP ATTEMPT HTTP_STATUS REQUEST_ID WHY
 *	IN_MS REQUESTS BYTES OK FAILED SOCKET PATH LINE PID SIGNAL VERSION CODE COUNT CALL
 */
#ifndef BATCHD_BASE_LOG_H
#define BATCHD_BASE_LOG_H

#include <stdint.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_NOTICE, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* One field; text wins over number where it is not NULL. Made by log_number and log_text. */
struct log_field {
	const char *name;
	const char *text;
	int64_t number;
};

/*
 * Chooses where lines go: to the journal if stderr is the stream that $JOURNAL_STREAM names
 * (device:inode, systemd.exec(5)), else to stderr as text. Lines above level are dropped.
 */
void log_open(enum log_level level);

/* Changes the level alone. */
void log_set_level(enum log_level level);

/* The level for a name (error, warning, notice, info, debug), or -EINVAL. */
int log_level_parse(const char *name, enum log_level *ret_level);

/*
 * Writes one line. fields ends with a field whose name is NULL. Control characters in texts
 * are shown as \xNN, so that no stranger's bytes can forge a line. Use the macros.
 */
void log_write(enum log_level level, const char *message, const struct log_field *fields);

/* A field with a number, and one with a text (copied before log_write returns; NULL is shown as "-"). */
#define log_number(field, value) ((struct log_field){ .name = (field), .number = (int64_t)(value) })
static inline struct log_field log_text(const char *field, const char *value)
{
	return (struct log_field){ .name = field, .text = value ? value : "-" };
}

#define log_line(level, message, ...)                                                              \
	log_write((level), (message),                                                              \
		  (const struct log_field[]){ __VA_ARGS__ __VA_OPT__(, ){ .name = NULL } })
#define log_error(message, ...) log_line(LOG_LEVEL_ERROR, message __VA_OPT__(, ) __VA_ARGS__)
#define log_warning(message, ...) log_line(LOG_LEVEL_WARNING, message __VA_OPT__(, ) __VA_ARGS__)
#define log_notice(message, ...) log_line(LOG_LEVEL_NOTICE, message __VA_OPT__(, ) __VA_ARGS__)
#define log_info(message, ...) log_line(LOG_LEVEL_INFO, message __VA_OPT__(, ) __VA_ARGS__)
#define log_debug(message, ...) log_line(LOG_LEVEL_DEBUG, message __VA_OPT__(, ) __VA_ARGS__)

#endif
