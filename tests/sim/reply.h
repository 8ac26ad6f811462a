/*
 * Filling a struct sim_answer: documented JSON, documented errors, and whatever else a script
 * wants to be said.
 */
#ifndef BATCHD_TESTS_SIM_REPLY_H
#define BATCHD_TESTS_SIM_REPLY_H

#include <stddef.h>

struct blob;
struct json_object;
struct sim_answer;

/* Replaces status, type and body; takes the blob. */
void reply_blob(struct sim_answer *answer, int status, const char *content_type, struct blob *body);
/* The same with a text, and with an object, which is taken. */
void reply_text(struct sim_answer *answer, int status, const char *content_type, const char *text);
void reply_json(struct sim_answer *answer, int status, struct json_object *object);

/* The documented error; param and code may be NULL, and are null then. */
void reply_error(struct sim_answer *answer, int status, const char *param, const char *code,
		 const char *format, ...) __attribute__((format(printf, 5, 6)));

/* Adds a header; more than there is room for are left out. */
void reply_header(struct sim_answer *answer, const char *name, const char *value);

/* The type that errors of a status have where nothing else is said. */
const char *reply_error_type(int status);

/* A JSON string, or null for NULL. */
struct json_object *reply_string(const char *text);

#endif
