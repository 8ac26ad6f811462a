#include "tests/sim/dialects.h"

#include <stdio.h>
#include <string.h>

#include "daemon/base/cleanup.h"

enum { HOUR_S = 3600, DAY_S = 24 * HOUR_S };

/* clang-format off */
#define LIST(...) (const char *const[]){ __VA_ARGS__, NULL }

#define BEARER        .auth_header = "Authorization", .auth_prefix = "Bearer "
#define BRACKETS      .anchor = "expires_after[anchor]", .seconds = "expires_after[seconds]", .shortest_s = HOUR_S, .longest_s = 30 * DAY_S
#define DOTS          .anchor = "expires_after.anchor", .seconds = "expires_after.seconds", .shortest_s = 14 * DAY_S, .longest_s = 30 * DAY_S
#define ONE_DAY       .windows = LIST("24h"), .needs_window = true
#define CHAT_ALONE    .endpoints = LIST("/v1/chat/completions")
#define ALIKE         BEARER, .purpose = "batch", BRACKETS
#define USUAL         ALIKE, .cancel_refusal = 409

/* A rule for batches as they are shown; and one for files. */
#define BATCHES(rule) "{\"call\":[\"create\",\"retrieve\",\"cancel\",\"list\"]," rule "}"
#define FILES(rule)   "{\"call\":[\"upload\",\"file\",\"files\"]," rule "}"

static const struct sim_dialect dialects[] = {
	/* The OpenAPI document. */
	{ .name = "openai", .base = "/v1", BEARER, BRACKETS, .has_output_expiry = true, .cancel_refusal = 409, ONE_DAY,
	  .endpoints = LIST("/v1/responses", "/v1/chat/completions", "/v1/embeddings", "/v1/completions", "/v1/moderations",
			    "/v1/images/generations", "/v1/images/edits", "/v1/videos") },
	/*
	 * Microsoft, azure-ai-docs, includes/batch/batch-rest.md: "status": "Validating", created_at as ISO text, request_counts of
	 * nulls, endpoint null; batch-python.md: "error_file_id": ""; how-to-batch-content.md: an empty error file where nothing
	 * failed, expires_after with dots, files that are processed before they can be used, lines of /v1/chat/completions.
	 */
	{ .name = "azure", .base = "/openai/v1", .auth_header = "api-key", .auth_prefix = "", .purpose = "batch", DOTS,
	  .has_output_expiry = true, ONE_DAY, .cancel_refusal = 409, .processing_ms = 100, .has_empty_errors = true,
	  .endpoints = LIST("/v1/chat/completions", "/v1/responses"),
	  .script = "[" BATCHES("\"action\":\"times_iso\"") "," BATCHES("\"action\":\"null_counts\"") ","
		    BATCHES("\"action\":\"no_endpoint\"") "," BATCHES("\"action\":\"empty_ids\"") ","
		    BATCHES("\"action\":\"status_names\",\"map\":{\"validating\":\"Validating\",\"in_progress\":\"InProgress\","
			    "\"finalizing\":\"Finalizing\",\"completed\":\"Completed\",\"failed\":\"Failed\",\"cancelled\":\"Cancelled\"}")
		    "]" },
	/* The same before v1: batch-python.md and the client openai-python, lib/azure.py; a wrong version is 404 "Resource not found". */
	{ .name = "azure-dated", .base = "/openai", .auth_header = "api-key", .auth_prefix = "", .version = "2024-10-21",
	  .purpose = "batch", DOTS, .has_output_expiry = true, ONE_DAY, .cancel_refusal = 409, .processing_ms = 100,
	  .has_empty_errors = true, .endpoints = LIST("/chat/completions", "/responses"),
	  .script = "[" BATCHES("\"action\":\"no_endpoint\"") "," BATCHES("\"action\":\"empty_ids\"") "]" },
	/* console.groq.com/docs/batch; groq-python, types/batch_list_response.py and resources/batches.py. */
	{ .name = "groq", .base = "/openai/v1", USUAL, CHAT_ALONE, .has_plain_list = true, .needs_window = true,
	  .windows = LIST("24h", "48h", "72h", "96h", "120h", "144h", "168h", "7d"),
	  .script = "[{\"call\":\"list\",\"action\":\"no_has_more\"},{\"call\":\"list\",\"action\":\"no_first_last\"},"
		    BATCHES("\"action\":\"remove\",\"names\":[\"usage\",\"model\"]") "]" },
	/* Alibaba Cloud Model Studio, OpenAPI document of "OpenAI compatible - Batch". */
	{ .name = "dashscope", .base = "/compatible-mode/v1", USUAL, .needs_window = true, .windows = LIST("24h", "336h", "7d", "14d"),
	  .endpoints = LIST("/v1/chat/completions", "/v1/embeddings", "/v1/chat/ds-test") },
	/* platform.kimi.ai/docs/api/batch-cancel: a cancel that comes too late is 400; the rest is the official form. */
	{ .name = "kimi", .base = "/v1", ALIKE, .cancel_refusal = 400, CHAT_ALONE, .needs_window = true,
	  .windows = LIST("12h", "24h", "48h", "7d") },
	/* docs.bigmodel.cn, "Batch API": urls of v4; the window is deprecated; auto_delete_input_file. */
	{ .name = "zhipu", .base = "/api/paas/v4", USUAL, .endpoints = LIST("/v4/chat/completions", "/v4/embeddings"),
	  .extra = "auto_delete_input_file", .needed = "auto_delete_input_file" },
	/* docs.siliconflow.cn, "Upload a file" and "Create a batch": the answer to an upload is in "data", a batch waits in_queue. */
	{ .name = "siliconflow", .base = "/v1", USUAL, CHAT_ALONE, .needs_window = true, .windows = LIST("24h", "336h"), .extra = "replace",
	  .script = "[" FILES("\"action\":\"rename\",\"map\":{\"created_at\":\"createdAt\"}") ","
		    "{\"call\":\"upload\",\"action\":\"wrap\",\"members\":{\"code\":20000,\"message\":\"Ok\",\"status\":true}},"
		    BATCHES("\"action\":\"set\",\"members\":{\"request_counts\":null}") ","
		    BATCHES("\"action\":\"status_names\",\"map\":{\"validating\":\"in_queue\"}") "]" },
	/* novita.ai/docs, "Batch API": capitals, PROGRESS, counts beside the rest, created_at and errors as texts. */
	{ .name = "novita", .base = "/openai/v1", USUAL, .endpoints = LIST("/v1/chat/completions", "/v1/completions", "/v1/embeddings"),
	  .windows = LIST("24h", "48h"),
	  .script = "[" BATCHES("\"action\":\"status_upper\"") ","
		    BATCHES("\"action\":\"status_names\",\"map\":{\"IN_PROGRESS\":\"PROGRESS\",\"FINALIZING\":\"PROGRESS\"}") ","
		    BATCHES("\"action\":\"times_iso\"") "," BATCHES("\"action\":\"counts_beside\"") ","
		    BATCHES("\"action\":\"set\",\"members\":{\"errors\":\"\"}") "]" },
	/* deepinfra.com/docs, "Batch": output_expires_after is taken. */
	{ .name = "deepinfra", .base = "/v1/openai", USUAL, .has_output_expiry = true, ONE_DAY,
	  .endpoints = LIST("/v1/chat/completions", "/v1/completions", "/v1/embeddings") },
	/* github.com/doublewordai/control-layer, dwctl/src/api/models/batches.rs: what is null is left out; "analytics"; handlers/files.rs: X-Incomplete. */
	{ .name = "doubleword", .base = "/v1", USUAL, .needs_window = true, .windows = LIST("24h", "1h", "background"),
	  .endpoints = LIST("/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/responses"),
	  .script = "[" BATCHES("\"action\":\"omit_nulls\"") "," BATCHES("\"action\":\"extra_members\"") ","
	    "{\"call\":\"content\",\"action\":\"incomplete\",\"value\":\"false\"}]" },
	/* docs.perplexity.ai, "Batch": expires_after is refused. */
	{ .name = "perplexity", .base = "/v1", BEARER, .purpose = "batch", .cancel_refusal = 409, ONE_DAY,
	  .endpoints = LIST("/v1/chat/completions", "/v1/responses", "/v1/agent") },
	/* inference-docs.cerebras.ai, "Batch". */
	{ .name = "cerebras", .base = "/v1", USUAL, CHAT_ALONE, ONE_DAY },
	/* docs.tokenfactory.nebius.com, "Batch inference". */
	{ .name = "nebius", .base = "/v1", USUAL, .endpoints = LIST("/v1/chat/completions", "/v1/embeddings"), ONE_DAY },
	/* github.com/llm-d, batch-gateway, internal/shared/openai: empty ids are left out. */
	{ .name = "llm-d", .base = "/v1", USUAL, .needs_window = true, .windows = LIST("24h", "1h30m", "90m"),
	  .endpoints = LIST("/v1/responses", "/v1/chat/completions", "/v1/embeddings", "/v1/completions", "/v1/moderations"),
	  .script = "[" BATCHES("\"action\":\"omit_nulls\"") "]" },
	/* github.com/vllm-project/aibrix, docs/source/features/batch-api.rst: scheduling first, bare ids, lines without "error". */
	{ .name = "aibrix", .base = "/v1", USUAL, .needs_window = true, .windows = LIST("24h", "1h", "4h", "best_effort"),
	  .endpoints = LIST("/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/rerank"), .extra = "aibrix",
	  .needed = "aibrix.model_template.name", .has_bare_ids = true,
	  .script = "[" BATCHES("\"action\":\"status_names\",\"map\":{\"validating\":\"scheduling\"}") ","
		    BATCHES("\"younger_ms\":60,\"action\":\"set\",\"members\":{\"request_counts\":null}") ","
		    "{\"action\":\"row_no_error\"}]" },
	/* github.com/ogx-ai/ogx, tests/integration/batches. */
	{ .name = "ogx", .base = "/v1", USUAL, .endpoints = LIST("/v1/chat/completions", "/v1/embeddings"), ONE_DAY },
	/* docs.litellm.ai, "Managed batches": ids hold the model, and are long. */
	{ .name = "litellm", .base = "/v1", USUAL, .has_output_expiry = true, ONE_DAY,
	  .endpoints = LIST("/v1/chat/completions", "/v1/embeddings", "/v1/completions", "/v1/responses"),
	  .script = "[{\"call\":[\"upload\",\"create\"],\"action\":\"long_ids\",\"size\":600}]" },
};
/* clang-format on */

const struct sim_dialect *sim_dialect_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(dialects); i++)
		if (!name || !strcmp(dialects[i].name, name))
			return &dialects[i];
	return NULL;
}

const char *sim_dialect_path(const struct sim_dialect *dialect, const char *path, char *buffer, size_t size)
{
	size_t base = strlen(dialect->base);

	if (strncmp(path, dialect->base, base) || path[base] != '/')
		return NULL;
	(void)snprintf(buffer, size, "/v1%s", path + base);
	return buffer;
}

const char *sim_dialect_pick(const char *const *list, const char *text)
{
	for (; list && text && *list; list++)
		if (!strcmp(*list, text))
			return *list;
	return NULL;
}
