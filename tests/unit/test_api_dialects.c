/*
 * What leaves for a provider, to the letter, in each dialect and under each key that overrules one: the test stands in the place of the
 * HTTP library and writes down what it is given.
 */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/base/alloc.h"
#include "daemon/base/buffer.h"
#include "daemon/base/cleanup.h"
#include "daemon/base/error.h"
#include "daemon/io/config.h"
#include "daemon/io/http.h"
#include "daemon/model/dialect.h"
#include "daemon/work/api.h"
#include "tests/unit/check.h"

DEFINE_CLEANUP(struct config *, config_free)

/* --- the library --- */

struct http_call {
	int unused;
};

static struct buffer told;
static struct http_call the_call;

static void tell_fields(const struct http_field *field)
{
	for (; field->name; field++) {
		buffer_add_format(&told, " %s=", field->name);
		if (field->text)
			buffer_add_text(&told, field->text);
		else
			buffer_add_format(&told, "(%s, %s)", field->file_name, field->content_type);
	}
}

struct http_call *http_start(struct http *http, const struct http_request *request, http_on_data *on_data,
			     http_on_done *on_done, void *context)
{
	(void)http, (void)on_data, (void)on_done, (void)context;
	buffer_clear(&told);
	buffer_add_format(&told, "%s %s", request->method, request->url);
	for (const char *const *header = request->headers; *header; header++)
		buffer_add_format(&told, " [%s]", *header);
	if (request->fields)
		tell_fields(request->fields);
	if (request->body)
		buffer_add_format(&told, " %s", request->body);
	if (request->client_cert)
		buffer_add_format(&told, " cert=%s key=%s", request->client_cert, request->client_key);
	if (request->bandwidth)
		buffer_add_format(&told, " bandwidth=%d low_speed=%d", (int)request->bandwidth, (int)request->low_speed);
	return &the_call;
}

void http_call_abort(struct http_call *call)
{
	CU_ASSERT_PTR_EQUAL(call, &the_call);
}

bool http_call_is_sent(const struct http_call *call)
{
	(void)call;
	return false;
}

char *http_escape(const char *text)
{
	return xstrdup(text);
}

/* --- the calls --- */

static int64_t now_of(void *context)
{
	(void)context;
	return 0;
}

static void on_answer(const struct api_answer *answer, void *context)
{
	(void)answer, (void)context;
	CU_FAIL("nobody answers");
}

static struct config *read_section(const char *keys)
{
	char path[] = "/tmp/test_api_dialects.XXXXXX";
	auto_free char *text = xasprintf("[provider p]\nbase_url = http://h/v1\n%s", keys);
	struct config *config = NULL;
	struct error err = { 0 };
	int fd = mkstemp(path);

	CU_ASSERT_FATAL(fd >= 0);
	CU_ASSERT_EQUAL_FATAL(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	(void)close(fd);
	if (config_load(path, &config, &err))
		(void)fprintf(stderr, "# %s\n", err.text);
	(void)unlink(path);
	CU_ASSERT_PTR_NOT_NULL_FATAL(config);
	return config;
}

enum what { UPLOAD, CREATE, LIST, NEXT_PAGE, FILES, FILE_STATUS, RETRIEVE, CANCEL, DELETE, CONTENT };

static struct api_request *call(struct api *api, enum what what)
{
	const struct http_source source = { .size = 1 };

	switch (what) {
	case UPLOAD:
		return api_upload(api, "n.jsonl", &source, on_answer, NULL);
	case CREATE:
		return api_create(api, "f", "/v1/embeddings", "24h", "m", on_answer, NULL);
	case LIST:
		return api_list(api, NULL, on_answer, NULL);
	case NEXT_PAGE:
		return api_list(api, "b", on_answer, NULL);
	case FILES:
		return api_list_files(api, NULL, on_answer, NULL);
	case FILE_STATUS:
		return api_file(api, "f", on_answer, NULL);
	case RETRIEVE:
		return api_retrieve(api, "b", on_answer, NULL);
	case CANCEL:
		return api_cancel(api, "b", on_answer, NULL);
	case DELETE:
		return api_delete(api, "f", on_answer, NULL);
	case CONTENT:
		return api_content(api, "f", 0, NULL, NULL, on_answer, NULL);
	}
	return NULL;
}

#define KEY " [Authorization: Bearer K]"
#define BODY "{\"input_file_id\":\"f\",\"endpoint\":\"/v1/embeddings\",\"completion_window\":\"24h\",\"metadata\":{\"batchd\":\"m\"}}"

/* clang-format off */
static const struct {
	const char *keys;
	enum what what;
	const char *told;
} cases[] = {
	{ "", UPLOAD,      "POST http://h/v1/files" KEY " purpose=batch file=(n.jsonl, application/octet-stream)" },
	{ "", CREATE,      "POST http://h/v1/batches" KEY " " BODY },
	{ "", LIST,        "GET http://h/v1/batches?limit=100" KEY },
	{ "", NEXT_PAGE,   "GET http://h/v1/batches?limit=100&after=b" KEY },
	{ "", FILES,       "GET http://h/v1/files?purpose=batch&order=desc&limit=100" KEY },
	{ "", FILE_STATUS, "GET http://h/v1/files/f" KEY },
	{ "", RETRIEVE,    "GET http://h/v1/batches/b" KEY },
	{ "", CANCEL,      "POST http://h/v1/batches/b/cancel" KEY },
	{ "", DELETE,      "DELETE http://h/v1/files/f" KEY },
	{ "", CONTENT,     "GET http://h/v1/files/f/content" KEY },
	{ "organization = o\nproject = q\nheader = X-A: 1\nheader = X-B: 2\n", RETRIEVE,
	  "GET http://h/v1/batches/b" KEY " [OpenAI-Organization: o] [OpenAI-Project: q] [X-A: 1] [X-B: 2]" },
	{ "upload_expires = 1h\n", UPLOAD,
	  "POST http://h/v1/files" KEY " purpose=batch expires_after[anchor]=created_at expires_after[seconds]=3600 file=(n.jsonl, application/octet-stream)" },
	{ "output_expires = 7d\n", CREATE,
	  "POST http://h/v1/batches" KEY " {\"input_file_id\":\"f\",\"endpoint\":\"/v1/embeddings\",\"completion_window\":\"24h\","
	  "\"metadata\":{\"batchd\":\"m\"},\"output_expires_after\":{\"anchor\":\"created_at\",\"seconds\":604800}}" },
	{ "client_cert = /c\nclient_key = /k\nbandwidth = 5\nlow_speed = 2\n", RETRIEVE,
	  "GET http://h/v1/batches/b" KEY " cert=/c key=/k bandwidth=5 low_speed=2" },
	{ "dialect = azure\n", UPLOAD, "POST http://h/v1/files [api-key: K] purpose=batch file=(n.jsonl, application/json)" },
	{ "dialect = azure\nupload_expires = 14d\n", UPLOAD,
	  "POST http://h/v1/files [api-key: K] purpose=batch expires_after.anchor=created_at expires_after.seconds=1209600 file=(n.jsonl, application/json)" },
	{ "dialect = azure\n", CREATE, "POST http://h/v1/batches [api-key: K] " BODY },
	{ "dialect = azure\nauth_header = Authorization\nauth_prefix = Bearer\n", FILE_STATUS, "GET http://h/v1/files/f" KEY },
	{ "dialect = azure-dated\n", UPLOAD,
	  "POST http://h/v1/files?api-version=2024-10-21 [api-key: K] purpose=batch file=(n.jsonl, application/json)" },
	{ "dialect = azure-dated\n", CREATE,
	  "POST http://h/v1/batches?api-version=2024-10-21 [api-key: K] {\"input_file_id\":\"f\",\"endpoint\":\"/embeddings\","
	  "\"completion_window\":\"24h\",\"metadata\":{\"batchd\":\"m\"}}" },
	{ "dialect = azure-dated\nquery = api-version=x&y=z\n", LIST, "GET http://h/v1/batches?limit=100&api-version=x&y=z [api-key: K]" },
	{ "dialect = azure-dated\n", CONTENT, "GET http://h/v1/files/f/content?api-version=2024-10-21 [api-key: K]" },
	{ "dialect = azure-dated\n", CANCEL, "POST http://h/v1/batches/b/cancel?api-version=2024-10-21 [api-key: K]" },
	{ "dialect = azure-dated\nquery = none\n", DELETE, "DELETE http://h/v1/files/f [api-key: K]" },
	{ "dialect = groq\n", LIST,      "GET http://h/v1/batches" KEY },
	{ "dialect = groq\n", NEXT_PAGE, "GET http://h/v1/batches?limit=100&after=b" KEY },
	{ "dialect = groq\n", FILES,     "GET http://h/v1/files" KEY },
	{ "dialect = groq\nlist_form = pages\n", LIST, "GET http://h/v1/batches?limit=100" KEY },
	{ "dialect = zhipu\n", CREATE,
	  "POST http://h/v1/batches" KEY " {\"auto_delete_input_file\":false,\"input_file_id\":\"f\",\"endpoint\":\"/v4/embeddings\","
	  "\"metadata\":{\"batchd\":\"m\"}}" },
	{ "dialect = zhipu\nwindows = 24h\ncreate_extra = {}\nline_url = /v1\n", CREATE, "POST http://h/v1/batches" KEY " " BODY },
	{ "dialect = aibrix\ncreate_extra = {\"aibrix\":{\"model_template\":{\"name\":\"t\"}}}\n", CREATE,
	  "POST http://h/v1/batches" KEY " {\"aibrix\":{\"model_template\":{\"name\":\"t\"}},\"input_file_id\":\"f\",\"endpoint\":\"/v1/embeddings\","
	  "\"completion_window\":\"24h\",\"metadata\":{\"batchd\":\"m\"}}" },
	/* What the config adds never goes before what must be there. */
	{ "create_extra = {\"metadata\":{\"team\":\"x\",\"batchd\":\"y\"},\"input_file_id\":\"z\"}\n", CREATE,
	  "POST http://h/v1/batches" KEY " {\"metadata\":{\"team\":\"x\",\"batchd\":\"m\"},\"input_file_id\":\"f\",\"endpoint\":\"/v1/embeddings\","
	  "\"completion_window\":\"24h\"}" },
	{ "create_extra = {\"metadata\":null}\n", CREATE,
	  "POST http://h/v1/batches" KEY " {\"metadata\":{\"batchd\":\"m\"},\"input_file_id\":\"f\",\"endpoint\":\"/v1/embeddings\","
	  "\"completion_window\":\"24h\"}" },
	{ "windows = 48h..3d\n", CREATE,
	  "POST http://h/v1/batches" KEY " {\"input_file_id\":\"f\",\"endpoint\":\"/v1/embeddings\",\"completion_window\":\"48h\",\"metadata\":{\"batchd\":\"m\"}}" },
	{ "purpose = batch-api\nupload_type = text/plain\n", UPLOAD, "POST http://h/v1/files" KEY " purpose=batch-api file=(n.jsonl, text/plain)" },
	{ "purpose = batch-api\n", FILES, "GET http://h/v1/files?purpose=batch-api&order=desc&limit=100" KEY },
};
/* clang-format on */

static void each_request_is_as_the_dialect_wants_it(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		auto_with(config_free) struct config *config = read_section(cases[i].keys);
		struct api *api = api_new(NULL, &config->providers[0], "K", now_of, NULL);
		auto_free char *name = xasprintf("%s(%d)", cases[i].keys, (int)cases[i].what);

		api_abort(call(api, cases[i].what));
		CHECK_ROW(name, strcmp(buffer_text(&told), cases[i].told) == 0);
		if (strcmp(buffer_text(&told), cases[i].told) != 0)
			(void)fprintf(stderr, "# told %s\n", buffer_text(&told));
		api_free(api);
	}
}

static void without_a_key_none_is_sent(void)
{
	auto_with(config_free) struct config *config = read_section("dialect = aibrix\nheader = X-A: 1\n");
	struct api *api = api_new(NULL, &config->providers[0], NULL, now_of, NULL);

	api_abort(call(api, RETRIEVE));
	CU_ASSERT_STRING_EQUAL(buffer_text(&told), "GET http://h/v1/batches/b [X-A: 1]");
	api_free(api);
}

/* A section that some program made by hand. */
static void a_section_without_terms_is_the_official_one(void)
{
	const struct config_provider section = { .base_url = (char *)(uintptr_t) "http://h/v1" };
	struct api *api = api_new(NULL, &section, "K", now_of, NULL);

	CU_ASSERT_STRING_EQUAL(api_terms(api)->name, "openai");
	api_abort(call(api, CREATE));
	CU_ASSERT_STRING_EQUAL(buffer_text(&told), "POST http://h/v1/batches" KEY " " BODY);
	api_free(api);
	buffer_release(&told);
}

CHECK_MAIN("api_dialects", CHECK(each_request_is_as_the_dialect_wants_it), CHECK(without_a_key_none_is_sent),
	   CHECK(a_section_without_terms_is_the_official_one))
