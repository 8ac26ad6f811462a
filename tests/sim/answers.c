#include "tests/sim/answers.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/buffer.h"
#include "daemon/base/cleanup.h"
#include "daemon/base/hash.h"
#include "tests/sim/line.h"

enum { MAX_TEXT = 64 << 20, VECTOR = 4, BYTES_PER_TOKEN = 4, ID_SEED = 1, BODY_SEED = 0 };

/* What the words "sim:..." in a body ask for. */
struct wishes {
	int status; /* -1: none */
	unsigned times;
	size_t bytes;
	bool is_length;
};

struct answer {
	const struct line *line;
	uint64_t hash;
	size_t text_bytes;
	bool is_length;
	struct answer_usage usage;
	struct buffer *out;
};

/* clang-format off */
/* The words of failures, as public reports show them; others get the last row. */
static const struct failure {
	int status;
	const char *type, *code, *param, *message;
} failures[] = {
	{ 400, "invalid_request_error", "\"context_length_exceeded\"", "\"messages\"",
	  "This model's maximum context length is 128000 tokens. However, your messages resulted in 131072 tokens." },
	{ 401, "invalid_request_error", "\"invalid_api_key\"", "null", "Incorrect API key provided." },
	{ 404, "invalid_request_error", "\"model_not_found\"", "\"model\"", "The model does not exist or you do not have access to it." },
	{ 429, "requests", "\"rate_limit_exceeded\"", "null", "Rate limit reached for requests." },
	{ 503, "service_unavailable", "null", "null", "The engine is currently overloaded, please try again later." },
	{ 0,   "server_error", "null", "null", "The server had an error while processing your request. Sorry about that!" },
};
/* clang-format on */

static size_t word_number(const char *at, const char *end, size_t limit)
{
	size_t number = 0;

	for (; at < end && isdigit((unsigned char)*at) && number <= limit; at++)
		number = 10 * number + (size_t)(*at - '0');
	return number < limit ? number : limit;
}

static bool begins(const char *at, const char *end, const char *word)
{
	size_t size = strlen(word);

	return (size_t)(end - at) >= size && !memcmp(at, word, size);
}

static struct wishes read_wishes(const struct line *line)
{
	struct wishes wishes = {.status = -1};
	const char *at = line->body.data, *end = at + line->body.size;

	while (at && (at = memmem(at, (size_t)(end - at), "sim:", 4))) {
		at += 4;
		if (begins(at, end, "status="))
			wishes.status = (int)word_number(at + 7, end, 999);
		else if (begins(at, end, "error="))
			wishes.status = ANSWER_TIMEOUT;
		else if (begins(at, end, "times="))
			wishes.times = (unsigned)word_number(at + 6, end, 1000000);
		else if (begins(at, end, "bytes="))
			wishes.bytes = word_number(at + 6, end, MAX_TEXT);
		else if (begins(at, end, "finish=length"))
			wishes.is_length = true;
	}
	return wishes;
}

static uint64_t id_hash(const struct line *line)
{
	return hash_keyed(ID_SEED, line->custom_id.data, line->custom_id.size);
}

static int decide(const struct answer_rules *rules, const struct line *line,
		  const struct wishes *wishes, unsigned attempt)
{
	bool is_chosen = id_hash(line) % 1000 < rules->fail_permille;

	if (wishes->status >= 0)
		return wishes->times && attempt > wishes->times ? ANSWER_OK : wishes->status;
	if (!is_chosen || (rules->fail_times && attempt > rules->fail_times))
		return ANSWER_OK;
	return rules->fail_status ? rules->fail_status : 500;
}

/* The text of an answer, without characters that JSON escapes, and with some that are long. */
static void add_text(const struct answer *answer)
{
	static const char filler[] = " Grüße aus dem Modell, ça marche, 完了 ✓ and so on;";
	size_t start = answer->out->size;

	buffer_add_format(answer->out, "Antwort %016" PRIx64 " ✓", answer->hash);
	while (answer->out->size - start + sizeof(filler) - 1 <= answer->text_bytes)
		buffer_add(answer->out, filler, sizeof(filler) - 1);
	while (answer->out->size - start < answer->text_bytes)
		buffer_add(answer->out, ".", 1);
}

static void add_model(const struct answer *answer)
{
	if (answer->line->model.kind == LINE_STRING)
		line_quote_value(answer->out, &answer->line->model);
	else
		buffer_add_text(answer->out, "null");
}

static void add_usage(const struct answer *answer, const char *input, const char *output)
{
	buffer_add_format(answer->out,
			  "\"usage\":{\"%s\":%" PRId64 ",\"%s\":%" PRId64
			  ",\"total_tokens\":%" PRId64 "}}",
			  input, answer->usage.input_tokens, output, answer->usage.output_tokens,
			  answer->usage.input_tokens + answer->usage.output_tokens);
}

static uint64_t created(const struct answer *answer)
{
	return 1700000000u + answer->hash % 10000000u;
}

static void add_chat(const struct answer *answer)
{
	buffer_add_format(answer->out,
			  "{\"id\":\"chatcmpl-%016" PRIx64
			  "\",\"object\":\"chat.completion\",\"created\":%" PRIu64 ",\"model\":",
			  answer->hash, created(answer));
	add_model(answer);
	buffer_add_text(answer->out, ",\"choices\":[{\"index\":0,\"message\":{\"role\":"
				     "\"assistant\",\"content\":\"");
	add_text(answer);
	buffer_add_format(answer->out,
			  "\",\"refusal\":null},\"logprobs\":null,\"finish_reason\":\"%s\"}],",
			  answer->is_length ? "length" : "stop");
	add_usage(answer, "prompt_tokens", "completion_tokens");
}

static void add_completion(const struct answer *answer)
{
	buffer_add_format(answer->out,
			  "{\"id\":\"cmpl-%016" PRIx64
			  "\",\"object\":\"text_completion\",\"created\":%" PRIu64 ",\"model\":",
			  answer->hash, created(answer));
	add_model(answer);
	buffer_add_text(answer->out, ",\"choices\":[{\"text\":\"");
	add_text(answer);
	buffer_add_format(answer->out,
			  "\",\"index\":0,\"logprobs\":null,\"finish_reason\":\"%s\"}],",
			  answer->is_length ? "length" : "stop");
	add_usage(answer, "prompt_tokens", "completion_tokens");
}

static void add_response(const struct answer *answer)
{
	buffer_add_format(
		answer->out,
		"{\"id\":\"resp_%016" PRIx64 "\",\"object\":\"response\",\"created_at\":%" PRIu64
		",\"status\":\"%s\",\"error\":null,\"model\":",
		answer->hash, created(answer), answer->is_length ? "incomplete" : "completed");
	add_model(answer);
	buffer_add_format(answer->out,
			  ",\"output\":[{\"type\":\"message\",\"id\":\"msg_%016" PRIx64
			  "\",\"status\":\"completed\",\"role\":\"assistant\",\"content\":"
			  "[{\"type\":\"output_text\",\"annotations\":[],\"text\":\"",
			  answer->hash);
	add_text(answer);
	buffer_add_text(answer->out, "\"}]}],");
	add_usage(answer, "input_tokens", "output_tokens");
}

static void add_embeddings(const struct answer *answer)
{
	buffer_add_text(answer->out, "{\"object\":\"list\",\"data\":[");
	for (size_t i = 0; i < answer->line->input_count; i++) {
		buffer_add_format(answer->out,
				  "%s{\"object\":\"embedding\",\"index\":%zu,\"embedding\":[",
				  i ? "," : "", i);
		for (unsigned k = 0; k < VECTOR; k++)
			buffer_add_format(answer->out, "%s0.%04u", k ? "," : "",
					  (unsigned)((answer->hash >> (k * 16) & 0xffff) + i) %
						  10000);
		buffer_add_text(answer->out, "]}");
	}
	buffer_add_text(answer->out, "],\"model\":");
	add_model(answer);
	buffer_add_format(answer->out,
			  ",\"usage\":{\"prompt_tokens\":%" PRId64 ",\"total_tokens\":%" PRId64
			  "}}",
			  answer->usage.input_tokens, answer->usage.input_tokens);
}

static void add_moderation(const struct answer *answer)
{
	bool is_flagged = answer->hash & 1;

	buffer_add_format(answer->out, "{\"id\":\"modr-%016" PRIx64 "\",\"model\":", answer->hash);
	add_model(answer);
	buffer_add_format(answer->out,
			  ",\"results\":[{\"flagged\":%s,\"categories\":{\"violence\":%s},"
			  "\"category_scores\":{\"violence\":0.%04u}}]}",
			  is_flagged ? "true" : "false", is_flagged ? "true" : "false",
			  (unsigned)(answer->hash % 10000));
}

static void add_other(const struct answer *answer)
{
	buffer_add_format(answer->out, "{\"created\":%" PRIu64 ",\"data\":[{\"text\":\"",
			  created(answer));
	add_text(answer);
	buffer_add_text(answer->out, "\"}],");
	add_usage(answer, "input_tokens", "output_tokens");
}

/* clang-format off */
/* By url; the last row is for all others. */
static const struct kind {
	const char *url;
	bool has_text;
	void (*add)(const struct answer *answer);
} kinds[] = {
	{ "/v1/chat/completions", true,  add_chat },
	{ "/v4/chat/completions", true,  add_chat },
	{ "/chat/completions",    true,  add_chat },
	{ "/v1/responses",        true,  add_response },
	{ "/v1/completions",      true,  add_completion },
	{ "/v1/embeddings",       false, add_embeddings },
	{ "/v1/moderations",      false, add_moderation },
	{ NULL,                   true,  add_other },
};
/* clang-format on */

static const struct kind *kind_of(const struct line *line)
{
	const struct kind *kind = kinds;

	while (kind->url && !line_is(&line->url, kind->url))
		kind++;
	return kind;
}

static void add_failure(int status, struct buffer *out)
{
	const struct failure *failure = failures;

	while (failure->status && failure->status != status)
		failure++;
	buffer_add_format(out,
			  "{\"error\":{\"message\":\"%s\",\"type\":\"%s\",\"param\":%s,"
			  "\"code\":%s}}",
			  failure->message, failure->type, failure->param, failure->code);
}

static void begin_line(const struct line *line, uint64_t hash, struct buffer *out)
{
	buffer_add_format(out,
			  "{\"id\":\"batch_req_%016" PRIx64 "%08x\",\"custom_id\":", id_hash(line),
			  (unsigned)(hash >> 32));
	line_quote_value(out, &line->custom_id);
}

int64_t answers_tokens(const struct line *line)
{
	return (int64_t)(line->body.size / BYTES_PER_TOKEN) + 1;
}

int answers_status(const struct answer_rules *rules, const struct line *line, unsigned attempt)
{
	struct wishes wishes = read_wishes(line);

	return decide(rules, line, &wishes, attempt);
}

int answers_add(const struct answer_rules *rules, const struct line *line, unsigned attempt,
		struct buffer *out, struct answer_usage *usage)
{
	const struct kind *kind = kind_of(line);
	struct wishes wishes = read_wishes(line);
	struct answer answer = {
		.line = line,
		.hash = hash_keyed(BODY_SEED, line->body.data, line->body.size),
		.text_bytes = wishes.bytes ? wishes.bytes : rules->text_bytes,
		.is_length = wishes.is_length,
		.usage = {.input_tokens = answers_tokens(line)},
		.out = out,
	};
	int status = decide(rules, line, &wishes, attempt);

	if (status == ANSWER_TIMEOUT) {
		answers_add_unasked(line, "request_timeout",
				    "The underlying call to the model timed out.", out);
		return status;
	}
	if (kind->has_text)
		answer.usage.output_tokens = (int64_t)(answer.text_bytes / BYTES_PER_TOKEN) + 7;
	begin_line(line, answer.hash, out);
	buffer_add_format(out,
			  ",\"response\":{\"status_code\":%d,\"request_id\":\"req_%016" PRIx64
			  "\",\"body\":",
			  status, answer.hash);
	if (status == ANSWER_OK) {
		kind->add(&answer);
		usage->input_tokens += answer.usage.input_tokens;
		usage->output_tokens += answer.usage.output_tokens;
	} else {
		add_failure(status, out);
	}
	buffer_add_text(out, "},\"error\":null}\n");
	return status;
}

void answers_add_unasked(const struct line *line, const char *code, const char *message,
			 struct buffer *out)
{
	uint64_t hash = hash_keyed(BODY_SEED, line->body.data, line->body.size);

	begin_line(line, hash, out);
	buffer_add_format(out,
			  ",\"response\":null,\"error\":{\"code\":\"%s\",\"message\":\"%s\"}}\n",
			  code, message);
}
