/*
 * The subcommands. Each returns an exit status and has told what went wrong.
 */
#ifndef BATCHD_CLIENT_COMMANDS_H
#define BATCHD_CLIENT_COMMANDS_H

struct buffer;
struct connection;
struct json_object;
struct options;

struct session {
	const struct options *options;
	struct connection *connection;
	const char *socket;
};

/* commands_submit.c, commands_validate.c: jobs in */
int command_submit(struct session *session);
int command_validate(struct session *session);

/* commands_dry_run.c: submit, but for the sending; the options were checked. */
int command_dry_run(struct session *session);

/* commands_look.c */
int command_list(struct session *session);
int command_show(struct session *session);
int command_log(struct session *session);

/* commands_wait.c */
int command_wait(struct session *session);
/* Says how a job ended; returns the exit status that tells it. */
int command_tell_end(struct json_object *batch);

/* commands_results.c */
int command_results(struct session *session);

/* commands_change.c */
int command_cancel(struct session *session);
int command_hold(struct session *session);
int command_release(struct session *session);
int command_set(struct session *session);
int command_retry(struct session *session);
int command_resolve(struct session *session);

/* commands_service.c */
int command_status(struct session *session);
int command_ping(struct session *session);

/* commands_provider.c: verbs of operators */
int command_pause(struct session *session);
int command_resume(struct session *session);
/* Appends how a provider does, as batchd tells it. */
void provider_describe(struct json_object *provider, struct buffer *words);

/* commands_backup.c: verbs of operators */
int command_backup(struct session *session);
int command_verify(struct session *session);

#endif
