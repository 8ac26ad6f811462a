#include "tests/sim/actions.h"

#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/alloc.h"
#include "daemon/base/cleanup.h"
#include "tests/sim/reply.h"

/* --- what becomes of a batch --- */

static void set_text(char **text, const char *value)
{
	free(*text);
	*text = xstrdup(value);
}

/* A code makes the batch fail. */
static void plan_failure(const struct rule *rule, const struct subject *subject, struct plan *plan)
{
	(void)subject;
	set_text(&plan->code, rule_text(rule, "code", "invalid_request"));
	set_text(&plan->message, rule_text(rule, "message", NULL));
	set_text(&plan->param, rule_text(rule, "param", NULL));
	plan->line = rule_number(rule, "line", 0);
	set_text(&plan->lines, rule_text(rule, "lines", NULL));
	plan->fails_running = rule_number(rule, "running", 0) != 0;
}

static void plan_no_file(const struct rule *rule, const struct subject *subject, struct plan *plan)
{
	auto_free char *message = xasprintf("Cannot find file %s, or organization org-sim does not "
					    "have access to it.",
					    subject->file ? subject->file : "");

	plan_failure(rule, subject, plan);
	set_text(&plan->message, message);
}

static void plan_expiry(const struct rule *rule, const struct subject *subject, struct plan *plan)
{
	(void)subject;
	plan->expire_percent = rule_number(rule, "percent", 50);
}

static void plan_times(const struct rule *rule, const struct subject *subject, struct plan *plan)
{
	(void)subject;
	plan->validate_ms = rule_number(rule, "validate_ms", plan->validate_ms);
	plan->run_ms = rule_number(rule, "run_ms", plan->run_ms);
	plan->finalize_ms = rule_number(rule, "finalize_ms", plan->finalize_ms);
	plan->cancel_ms = rule_number(rule, "cancel_ms", plan->cancel_ms);
	plan->expire_ms = rule_number(rule, "expire_ms", plan->expire_ms);
}

static void plan_stuck(const struct rule *rule, const struct subject *subject, struct plan *plan)
{
	(void)subject;
	set_text(&plan->stuck_in, rule_text(rule, "status", "in_progress"));
}

static void plan_cancel(const struct rule *rule, const struct subject *subject, struct plan *plan)
{
	(void)rule;
	(void)subject;
	plan->completes_on_cancel = true;
}

void plan_release(struct plan *plan)
{
	free(plan->stuck_in);
	free(plan->code);
	free(plan->message);
	free(plan->param);
	free(plan->lines);
	*plan = (struct plan){0};
}

/* --- what becomes of a line --- */

static struct json_object *response_of(const struct row_view *row)
{
	struct json_object *response = json_object_object_get(row->line, "response");

	if (!response) {
		response = json_object_new_object();
		json_object_object_add(response, "status_code", json_object_new_int(200));
		json_object_object_add(response, "request_id", json_object_new_string(""));
		json_object_object_add(response, "body", json_object_new_object());
		json_object_object_add(row->line, "response", response);
	}
	return response;
}

static struct json_object *error_text(const struct rule *rule)
{
	struct json_object *error = json_object_new_object();

	json_object_object_add(error, "code", reply_string(rule_text(rule, "code", NULL)));
	json_object_object_add(error, "message", reply_string(rule_text(rule, "message", NULL)));
	return error;
}

static void row_copies(const struct rule *rule, struct row_view *row)
{
	row->copies = rule_number(rule, "copies", 0);
}

static void row_set(const struct rule *rule, struct row_view *row)
{
	struct json_object *members = rule_get(rule, "members");

	if (!json_object_is_type(members, json_type_object))
		return;
	json_object_object_foreach(members, name, value)
		json_object_object_add(row->line, name, json_object_get(value));
}

static void row_remove(const struct rule *rule, struct row_view *row)
{
	struct json_object *names = rule_get(rule, "names");
	size_t count =
		json_object_is_type(names, json_type_array) ? json_object_array_length(names) : 0;

	for (size_t i = 0; i < count; i++)
		json_object_object_del(row->line,
				       json_object_get_string(json_object_array_get_idx(names, i)));
}

static void row_status(const struct rule *rule, struct row_view *row)
{
	json_object_object_add(response_of(row), "status_code",
			       json_object_new_int64(rule_number(rule, "status", 0)));
}

static void row_body_string(const struct rule *rule, struct row_view *row)
{
	struct json_object *response = response_of(row), *body = NULL;

	(void)rule;
	(void)json_object_object_get_ex(response, "body", &body);
	json_object_object_add(response, "body",
			       json_object_new_string(json_object_to_json_string(body)));
}

static void row_body_null(const struct rule *rule, struct row_view *row)
{
	(void)rule;
	json_object_object_add(response_of(row), "body", NULL);
}

/* A failure that was not answered: response null, error as documented. */
static void row_error(const struct rule *rule, struct row_view *row)
{
	json_object_object_add(row->line, "response", NULL);
	json_object_object_add(row->line, "error", error_text(rule));
	row->in_error_file = rule_number(rule, "in_output", 0) == 0;
}

/* The same as some have it: no id, no response. */
static void row_error_bare(const struct rule *rule, struct row_view *row)
{
	row_error(rule, row);
	json_object_object_del(row->line, "response");
	json_object_object_del(row->line, "id");
}

static void row_error_string(const struct rule *rule, struct row_view *row)
{
	row_error(rule, row);
	json_object_object_add(row->line, "error",
			       reply_string(rule_text(rule, "message", "it failed")));
}

/* An HTTP failure: error is null, the truth stands in response.body.error. */
static void row_http_error(const struct rule *rule, struct row_view *row)
{
	struct json_object *response = response_of(row), *body = json_object_new_object();
	struct json_object *error = error_text(rule);
	int status = (int)rule_number(rule, "status", 400);

	json_object_object_add(error, "type", reply_string(reply_error_type(status)));
	json_object_object_add(error, "param", NULL);
	json_object_object_add(body, "error", error);
	json_object_object_add(response, "status_code", json_object_new_int(status));
	json_object_object_add(response, "body", body);
	row->in_error_file = rule_number(rule, "in_output", 0) == 0;
}

static void row_raw(const struct rule *rule, struct row_view *row)
{
	set_text(&row->raw, rule_text(rule, "text", ""));
}

/* The first half of the line: a server that wrote while it was killed. */
static void row_half(const struct rule *rule, struct row_view *row)
{
	const char *text = json_object_to_json_string_ext(row->line, JSON_C_TO_STRING_PLAIN);

	(void)rule;
	free(row->raw);
	row->raw = xmemdup0(text, strlen(text) / 2);
}

static void row_escaped(const struct rule *rule, struct row_view *row)
{
	(void)rule;
	row->is_escaped = true;
}

static void row_file(const struct rule *rule, struct row_view *row)
{
	row->in_error_file = rule_number(rule, "error", 1) != 0;
}

#define FAILURE                                                                                    \
	"\"code\":\"invalid_request\",\"message\":null,\"param\":null,\"line\":null,\"lines\":"    \
	"null,\"running\":null"
#define ERROR_LINE                                                                                 \
	"\"code\":\"request_timeout\",\"message\":\"The underlying call to the model timed out.\""
#define HTTP_LINE                                                                                  \
	"\"code\":null,\"message\":\"The server had an error while processing your request.\""

/* clang-format off */
const struct action actions_results[] = {
	{ "fail_validation",  STAGE_BATCH, { .batch = plan_failure }, "{" FAILURE "}" },
	{ "fail_running",     STAGE_BATCH, { .batch = plan_failure }, "{\"running\":1,\"code\":\"server_error\",\"message\":\"The server was restarted.\",\"param\":null}" },
	{ "token_limit",      STAGE_BATCH, { .batch = plan_failure }, "{\"code\":\"token_limit_exceeded\",\"message\":\"Enqueued token limit reached for gpt-4o-mini in organization org-sim. Limit: 2,000,000 enqueued tokens. Please try again once some in_progress batches have been completed.\"}" },
	{ "url_not_found",    STAGE_BATCH, { .batch = plan_failure }, "{\"code\":\"url_not_found\",\"message\":\"The provided url '/v1/chat/completion' is not supported by the Batch API.\",\"line\":1,\"param\":\"url\"}" },
	{ "model_not_found",  STAGE_BATCH, { .batch = plan_failure }, "{\"code\":\"model_not_found\",\"message\":\"The provided model 'sim-model' is not supported by the Batch API.\",\"line\":1,\"param\":\"body.model\"}" },
	{ "file_not_found",   STAGE_BATCH, { .batch = plan_no_file }, "{\"code\":\"invalid_request\",\"param\":\"file_id\"}" },
	{ "expire",           STAGE_BATCH, { .batch = plan_expiry },  "{\"percent\":50}" },
	{ "durations",        STAGE_BATCH, { .batch = plan_times },   "{\"validate_ms\":null,\"run_ms\":null,\"finalize_ms\":null,\"cancel_ms\":null,\"expire_ms\":null}" },
	{ "stuck",            STAGE_BATCH, { .batch = plan_stuck },   "{\"status\":\"in_progress\"}" },
	{ "cancel_completes", STAGE_BATCH, { .batch = plan_cancel },  NULL },
	{ "row_missing",      STAGE_ROW, { .row = row_copies },       "{\"copies\":0}" },
	{ "row_twice",        STAGE_ROW, { .row = row_copies },       "{\"copies\":2}" },
	{ "row_set",          STAGE_ROW, { .row = row_set },          "{\"members\":null}" },
	{ "row_unknown_id",   STAGE_ROW, { .row = row_set },          "{\"members\":{\"custom_id\":\"nobody-sent-this\"}}" },
	{ "row_id_number",    STAGE_ROW, { .row = row_set },          "{\"members\":{\"custom_id\":7}}" },
	{ "row_id_escaped",   STAGE_ROW, { .row = row_escaped },      NULL },
	{ "row_remove",       STAGE_ROW, { .row = row_remove },       "{\"names\":null}" },
	{ "row_no_error",     STAGE_ROW, { .row = row_remove },       "{\"names\":[\"error\"]}" },
	{ "row_no_response",  STAGE_ROW, { .row = row_remove },       "{\"names\":[\"response\"]}" },
	{ "row_not_json",     STAGE_ROW, { .row = row_raw },          "{\"text\":\"<!-- upstream error -->\"}" },
	{ "row_blank",        STAGE_ROW, { .row = row_raw },          "{\"text\":\"\"}" },
	{ "row_half",         STAGE_ROW, { .row = row_half },         NULL },
	{ "row_status",       STAGE_ROW, { .row = row_status },       "{\"status\":0}" },
	{ "row_body_string",  STAGE_ROW, { .row = row_body_string },  NULL },
	{ "row_body_null",    STAGE_ROW, { .row = row_body_null },    NULL },
	{ "row_error",        STAGE_ROW, { .row = row_error },        "{\"in_output\":null," ERROR_LINE "}" },
	{ "row_error_bare",   STAGE_ROW, { .row = row_error_bare },   "{\"in_output\":null," ERROR_LINE "}" },
	{ "row_error_string", STAGE_ROW, { .row = row_error_string }, "{\"in_output\":null," ERROR_LINE "}" },
	{ "row_http_error",   STAGE_ROW, { .row = row_http_error },   "{\"status\":400,\"in_output\":null," HTTP_LINE "}" },
	{ "row_other_file",   STAGE_ROW, { .row = row_file },         "{\"error\":1}" },
	{ .name = NULL },
};
/* clang-format on */

const struct action *action_find(const char *name)
{
	const struct action *const tables[] = {actions_calls, actions_objects, actions_results};

	for (size_t i = 0; i < ARRAY_SIZE(tables); i++)
		for (const struct action *action = tables[i]; action->name; action++)
			if (!strcmp(action->name, name))
				return action;
	return NULL;
}
