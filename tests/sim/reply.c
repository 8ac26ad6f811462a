#include "tests/sim/reply.h"

#include <json-c/json.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/alloc.h"
#include "daemon/base/cleanup.h"
#include "tests/sim/blob.h"
#include "tests/sim/model.h"

void reply_blob(struct sim_answer *answer, int status, const char *content_type, struct blob *body)
{
	char *copy = xstrdup(content_type); /* which may be the old one */

	answer->status = status;
	free(answer->content_type);
	answer->content_type = copy;
	blob_unref(answer->body);
	answer->body = body;
}

void reply_text(struct sim_answer *answer, int status, const char *content_type, const char *text)
{
	reply_blob(answer, status, content_type, blob_copy(text, strlen(text)));
}

void reply_json(struct sim_answer *answer, int status, struct json_object *object)
{
	reply_text(answer, status, "application/json",
		   json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN |
								  JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(object);
}

struct json_object *reply_string(const char *text)
{
	return text ? json_object_new_string(text) : NULL;
}

const char *reply_error_type(int status)
{
	return status >= 500   ? "server_error"
	       : status == 429 ? "requests"
			       : "invalid_request_error";
}

void reply_error(struct sim_answer *answer, int status, const char *param, const char *code,
		 const char *format, ...)
{
	struct json_object *whole = json_object_new_object(), *error = json_object_new_object();
	auto_free char *message = NULL;
	va_list arguments;

	va_start(arguments, format);
	message = xvasprintf(format, arguments);
	va_end(arguments);
	json_object_object_add(error, "message", reply_string(message));
	json_object_object_add(error, "type", reply_string(reply_error_type(status)));
	json_object_object_add(error, "param", reply_string(param));
	json_object_object_add(error, "code", reply_string(code));
	json_object_object_add(whole, "error", error);
	reply_json(answer, status, whole);
}

void reply_header(struct sim_answer *answer, const char *name, const char *value)
{
	if (answer->header_count == SIM_MAX_HEADERS)
		return;
	answer->headers[answer->header_count++] =
		(struct sim_header){.name = xstrdup(name), .value = xstrdup(value)};
}

void sim_answer_release(struct sim_answer *answer)
{
	for (size_t i = 0; i < answer->header_count; i++) {
		free(answer->headers[i].name);
		free(answer->headers[i].value);
	}
	free(answer->content_type);
	blob_unref(answer->body);
	*answer = (struct sim_answer){0};
}
