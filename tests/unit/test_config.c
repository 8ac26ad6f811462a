#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>

#include "daemon/base/alloc.h"
#include "daemon/base/buffer.h"
#include "daemon/base/cleanup.h"
#include "daemon/base/error.h"
#include "daemon/io/config.h"
#include "tests/unit/check.h"

#define PROVIDER "[provider a]\nbase_url=http://h/v1\n"
#define LETTERS_32 "abcdefghijklmnopqrstuvwxyz123456"

DEFINE_CLEANUP(struct config *, config_free)

static char folder[] = "/tmp/test_config.XXXXXX";

static char *write_file(const char *name, const void *bytes, size_t size, mode_t mode)
{
	char *path = xasprintf("%s/%s", folder, name);
	FILE *file = fopen(path, "we");

	if (!file || fwrite(bytes, 1, size, file) != size || fchmod(fileno(file), mode) != 0)
		abort();
	(void)fclose(file);
	return path;
}

static int load(const char *text, size_t size, struct config **ret_config, struct error *err)
{
	auto_free char *path = write_file("batchd.conf", text, size, 0600);
	int failed = config_load(path, ret_config, err);

	if (failed && strncmp(err->text, path, strlen(path)) == 0)
		memmove(err->text, err->text + strlen(path), strlen(err->text + strlen(path)) + 1);
	return failed;
}

/* clang-format off */
static const struct { const char *text, *sentence; } wrong_files[] = {
	{ "", ": no provider; add a section [provider NAME] with base_url" },
	{ "[daemon]\n", ": no provider; add a section [provider NAME] with base_url" },
	{ "[provider a]\n", ":1: [provider a]: base_url is missing" },
	{ "\n[provider a]\n\npoll_first = 5 parsecs\n",
	  ":4: [provider a] poll_first: \"5 parsecs\" is no duration (250ms, 5s, 2m, 1h, 1d)" },
	{ "[provider a]\npoll_first = 99d\n", ":2: [provider a] poll_first: \"99d\" is out of range (1ms to 1d)" },
	{ "[provider a]\npoll_first = 0s\n", ":2: [provider a] poll_first: \"0s\" is out of range (1ms to 1d)" },
	{ "[provider a]\nmax_requests = 50001\n", ":2: [provider a] max_requests: \"50001\" is out of range (1 to 50000)" },
	{ "[provider a]\nmax_requests = 5s\n", ":2: [provider a] max_requests: \"5s\" is no whole number" },
	{ "[provider a]\nmax_bytes = 99999999999999999999\n",
	  ":2: [provider a] max_bytes: \"99999999999999999999\" is out of range (1 to 10GB)" },
	{ "[provider a]\nstuck_action = forget\n", ":2: [provider a] stuck_action: \"forget\" is neither tell nor resend" },
	{ "[provider a]\ndelete = everything\n", ":2: [provider a] delete: \"everything\" is none of never, strays, inputs, all" },
	{ "[provider a]\ntrust_list = maybe\n", ":2: [provider a] trust_list: \"maybe\" is neither yes nor no" },
	{ "[provider a]\nbase_url =\n", ":2: [provider a] base_url: no value" },
	{ "[provider a]\nbase_url = ftp://h\n", ":2: [provider a] base_url: no URL that begins with https://HOST or http://HOST" },
	{ "[provider a]\nbase_url = https:///v1\n", ":2: [provider a] base_url: no URL that begins with https://HOST or http://HOST" },
	{ "[provider a]\nbase_url = https://me:pass@h/v1\n",
	  ":2: [provider a] base_url: a name or password has no place in it; a key goes into api_key_file" },
	{ "[provider a]\nbase_url = https://h/v1?x=1\n",
	  ":2: [provider a] base_url: \"https://h/v1?x=1\" must end with its path, without \"?\" or \"#\"" },
	{ "[provider a]\nbase_url = https://h/a b\n", ":2: [provider a] base_url: only printable ASCII without blanks may be sent" },
	{ "[provider a]\napi_key_file = sk-secret\n", ":2: [provider a] api_key_file: this looks like a key; it takes the name of a file" },
	{ "[provider a]\napi_key_file = a b\n",
	  ":2: [provider a] api_key_file: neither a path (with a slash) nor the name of a credential" },
	{ "[provider a]\napi_key = sk-secret\n", ":2: [provider a]: unknown key \"api_key\"" },
	{ "[provider a]\nsocket = /x\n", ":2: [provider a]: unknown key \"socket\"" },
	{ "[daemon]\nbase_url = https://h\n", ":2: [daemon]: unknown key \"base_url\"" },
	{ "[daemon]\nmax_jobs = few\n", ":2: [daemon] max_jobs: \"few\" is no whole number" },
	{ "[daemon]\nmax_cost_per_day = 1 USD\n", ":2: [daemon] max_cost_per_day: \"1 USD\" is no amount (10, 2.50; at most six places)" },
	{ "[user]\n", ":1: [user NAME] takes the name of a user, or a uid" },
	{ "[user no-such-user-here]\n", ":1: [user no-such-user-here]: there is no such user" },
	{ "[user 4294967295]\n", ":1: [user 4294967295]: there is no such user" },
	{ "[user -1]\n", ":1: [user -1]: there is no such user" },
	{ "[user 0]\nmax_jobs = 1\n[user root]\n", ":3: [user root] stands here twice (first at line 1, as [user 0])" },
	{ "[user 7]\nmax_file = 1\n", ":2: [user 7]: unknown key \"max_file\"" },
	{ "[daemon]\nlog_level = loud\n", ":2: [daemon] log_level: \"loud\" is no level (error, warning, notice, info, debug)" },
	{ "[daemon]\nmin_free = 1\nmin_free = 2\n", ":3: [daemon] min_free: given twice (first at line 2)" },
	{ "[daemon]\n[daemon]\n", ":2: [daemon] stands here twice (first at line 1)" },
	{ PROVIDER PROVIDER, ":3: [provider a] stands here twice (first at line 1)" },
	{ "[provider]\n", ":1: [provider NAME] takes a name of 1 to 32 letters, digits, \".\", \"_\" or \"-\"" },
	{ "[provider a/b]\n", ":1: [provider NAME] takes a name of 1 to 32 letters, digits, \".\", \"_\" or \"-\"" },
	{ "[provider abcdefghijklmnopqrstuvwxyz1234567]\n",
	  ":1: [provider NAME] takes a name of 1 to 32 letters, digits, \".\", \"_\" or \"-\"" },
	{ PROVIDER "[provider a model]\n",
	  ":3: [provider NAME model PATTERN] takes a pattern of 1 to 128 printable characters without blanks" },
	{ PROVIDER "[provider a model m n]\n",
	  ":3: [provider NAME model PATTERN] takes a pattern of 1 to 128 printable characters without blanks" },
	{ PROVIDER "[provider b model m]\n", ":3: [provider b model m]: there is no section [provider b] above it" },
	{ "[provider a model m]\n" PROVIDER, ":1: [provider a model m]: there is no section [provider a] above it" },
	{ PROVIDER "[provider a model m]\n[provider a model m]\n", ":4: [provider a model m] stands here twice (first at line 3)" },
	{ PROVIDER "[provider a model m*]\nmax_batches = 0\n",
	  ":4: [provider a model m*] max_batches: \"0\" is out of range (1 to 1000000000)" },
	{ PROVIDER "[provider a model m]\nmax_inputs = 1\n", ":4: [provider a model m]: unknown key \"max_inputs\"" },
	{ PROVIDER "[provider a model m]\nmax_bytes = 1KB\nmax_bytes = 2KB\n",
	  ":5: [provider a model m] max_bytes: given twice (first at line 4)" },
	{ PROVIDER "[provider a modell m]\n", ":3: [provider NAME] takes a name of 1 to 32 letters, digits, \".\", \"_\" or \"-\"" },
	{ "[provider a]\nmax_enqueued_tokens = -1\n", ":2: [provider a] max_enqueued_tokens: \"-1\" is no whole number" },
	{ "[providers a]\n", ":1: unknown section [providers a] (there are [daemon], [provider NAME], [provider NAME model PATTERN], [routes], [model NAME] and [user NAME])" },
	{ "[]\n", ":1: unknown section [] (there are [daemon], [provider NAME], [provider NAME model PATTERN], [routes], [model NAME] and [user NAME])" },
	{ "[daemon x]\n", ":1: unknown section [daemon x] (there are [daemon], [provider NAME], [provider NAME model PATTERN], [routes], [model NAME] and [user NAME])" },
	{ "[models x]\n", ":1: unknown section [models x] (there are [daemon], [provider NAME], [provider NAME model PATTERN], [routes], [model NAME] and [user NAME])" },
	{ "[model]\n", ":1: [model NAME] takes a name of 1 to 128 printable characters without blanks" },
	{ "[model a b]\n", ":1: [model NAME] takes a name of 1 to 128 printable characters without blanks" },
	{ "[model \xc3\xa9]\n", ":1: [model NAME] takes a name of 1 to 128 printable characters without blanks" },
	{ "[model " LETTERS_32 LETTERS_32 LETTERS_32 LETTERS_32 "x]\n",
	  ":1: [model NAME] takes a name of 1 to 128 printable characters without blanks" },
	{ PROVIDER "[model m]\n\n", ":3: [model m]: neither input_price nor output_price" },
	{ PROVIDER "[model m]\ninput_price = 0\n", ":3: [model m]: neither input_price nor output_price" },
	{ PROVIDER "[model m]\ninput_price = 1\n[model m]\n", ":5: [model m] stands here twice (first at line 3)" },
	{ "[model m]\ninput_price = 1.2345678\n",
	  ":2: [model m] input_price: \"1.2345678\" is no price (10, 0.15; at most six places)" },
	{ "[model m]\noutput_price = $2\n", ":2: [model m] output_price: \"$2\" is no price (10, 0.15; at most six places)" },
	{ "[model m]\noutput_price = 1000000.1\n", ":2: [model m] output_price: \"1000000.1\" is out of range (0 to 1000000)" },
	{ "[model m]\nprice = 1\n", ":2: [model m]: unknown key \"price\"" },
	{ "[model m]\noutput_price = 1\noutput_price = 2\n", ":3: [model m] output_price: given twice (first at line 2)" },
	{ "[daemon]\ncurrency = US$\n", ":2: [daemon] currency: \"US$\" is not 1 to 8 letters" },
	{ "[daemon]\ncurrency = ABCDEFGHI\n", ":2: [daemon] currency: \"ABCDEFGHI\" is not 1 to 8 letters" },
	{ "[provider a]\nresend_lost = 1\n", ":2: [provider a] resend_lost: \"1\" is no percentage (1%, 0.05%)" },
	{ "[provider a]\nresend_lost = 0.001%\n", ":2: [provider a] resend_lost: \"0.001%\" is no percentage (1%, 0.05%)" },
	{ "[provider a]\nresend_lost = 1.%\n", ":2: [provider a] resend_lost: \"1.%\" is no percentage (1%, 0.05%)" },
	{ "[provider a]\nbatch_discount = 100.01%\n", ":2: [provider a] batch_discount: \"100.01%\" is out of range (0% to 100%)" },
	{ "[provider a]\nbytes_per_token = 0\n", ":2: [provider a] bytes_per_token: \"0\" is out of range (1 to 1000)" },
	{ "[provider a]\nprobe_lost = 8d\n", ":2: [provider a] probe_lost: \"8d\" is out of range (0ms to 7d)" },
	{ "[daemon\n", ":1: \"[\" without \"]\"" },
	{ "[daemon] x\n", ":1: nothing may follow [daemon] on its line" },
	{ "socket = /x\n", ":1: \"socket\" stands before any section" },
	{ "[daemon]\nsocket\n", ":2: neither [section] nor key = value" },
	{ "[daemon]\nsocket\nwrong = 1\n", ":2: neither [section] nor key = value" },
	{ "[daemon]\nwrong = 1\nsocket\n", ":2: [daemon]: unknown key \"wrong\"" },
	{ "[daemon]\nsocket = /x ; why\n", ":2: a comment needs a line of its own" },
	{ "[daemon]\nsocket = /x # why\n", ":2: a comment needs a line of its own" },
	{ "[daemon]\nsocket = /x\n  /y\n", ":3: neither [section] nor key = value" },
	{ "[daemon]\nsocket = /x\033[2J\n", ":2: a control character" },
	{ "[daemon]\nsocket = /x\rlog_level = info\n", ":2: a control character" },
	{ "[provider a]\ndialect = openia\n",
	  ":2: [provider a] dialect: there is no \"openia\" (openai, azure, azure-dated, groq, dashscope, kimi, zhipu, siliconflow, "
	  "novita, deepinfra, doubleword, perplexity, cerebras, nebius, llm-d, aibrix, ogx, litellm)" },
	{ "[provider a]\nauth_header = a b\n", ":2: [provider a] auth_header: \"a b\" is no name of a header" },
	{ "[provider a]\nheader = X-Secret s3cret\n", ":2: [provider a] header: no \"Name: value\" of printable ASCII" },
	{ "[provider a]\nheader = host: h\n", ":2: [provider a] header: Host is not to be set" },
	{ "[provider a]\nheader=A: 1\nheader=A: 2\nheader=A: 3\nheader=A: 4\nheader=A: 5\nheader=A: 6\nheader=A: 7\nheader=A: 8\nheader=A: 9\n",
	  ":10: [provider a] header: given more than 8 times" },
	{ "[provider a]\nquery = version\n", ":2: [provider a] query: \"version\" is no NAME=VALUE (with \"&\" between several), nor none" },
	{ "[provider a]\nquery = a=1#b\n", ":2: [provider a] query: \"a=1#b\" is no NAME=VALUE (with \"&\" between several), nor none" },
	{ "[provider a]\nline_url = v4\n", ":2: [provider a] line_url: \"v4\" is no path like /v1, nor none" },
	{ "[provider a]\nline_url = /v\"4\n", ":2: [provider a] line_url: \"/v\"4\" is no path like /v1, nor none" },
	{ "[provider a]\nendpoints = embeddings\n",
	  ":2: [provider a] endpoints: \"embeddings\" is no list of urls like /v1/embeddings, nor any" },
	{ "[provider a]\nwindows = 7d..24h\n",
	  ":2: [provider a] windows: \"7d..24h\" is no list of windows (24h 24h..7d), nor any, nor omit" },
	{ "[provider a]\ncreate_extra = [1]\n", ":2: [provider a] create_extra: no JSON object" },
	{ "[provider a]\nfile_wait = maybe\n", ":2: [provider a] file_wait: \"maybe\" is neither yes nor no" },
	{ "[provider a]\nlist_form = two\n", ":2: [provider a] list_form: \"two\" is neither pages nor one" },
	{ "[provider a]\nupload_expires_form = json\n",
	  ":2: [provider a] upload_expires_form: \"json\" is neither brackets nor dotted nor none" },
	{ "[provider a]\nbase_url=http://h\ndialect = perplexity\nupload_expires = 1d\n",
	  ":1: [provider a]: upload_expires: dialect perplexity takes none (upload_expires_form overrules that)" },
	{ "[provider a]\nbase_url=http://h\nclient_key = /k\n", ":1: [provider a]: client_key without client_cert" },
	{ "[provider a]\nbase_url=http://h\nbandwidth = 9\nlow_speed = 10\n",
	  ":1: [provider a]: bandwidth is less than low_speed: every transfer would count as stalled" },
	{ "[provider a]\nbase_url=http://h\ndialect = azure\npoll_longest = 59s\n",
	  ":1: [provider a]: poll_longest (59s) is shorter than poll_first (1m)" },
	{ "[provider a]\nbase_url=http://h\npoll_first = 2m\n",
	  ":1: [provider a]: poll_longest (1m) is shorter than poll_first (2m)" },
	{ "[provider a]\nbase_url=http://h\nretry_longest = 1s\n",
	  ":1: [provider a]: retry_longest (1s) is shorter than retry_first (5s)" },
};
/* clang-format on */

static void refuses_a_wrong_file_with_its_line_and_key(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(wrong_files); i++) {
		auto_with(config_free) struct config *config = NULL;
		struct error err = {0};
		int failed = load(wrong_files[i].text, strlen(wrong_files[i].text), &config, &err);

		CHECK_ROW(wrong_files[i].text, failed == -EINVAL && !config);
		CHECK_ROW(wrong_files[i].sentence, strcmp(err.text, wrong_files[i].sentence) == 0);
		if (strcmp(err.text, wrong_files[i].sentence) != 0)
			(void)fprintf(stderr, "# got %s\n", err.text);
	}
}

/* A section that overrules every column that there is a key for. */
static void reads_every_key_of_a_dialect(void)
{
	static const char text[] = PROVIDER
		"dialect = zhipu\nauth_header = X-Key\nauth_prefix = Token\nheader = X-A: 1\nheader = X-B: 2; 3\n"
		"query = a=1&b=2\npurpose = batch-api\nupload_type = text/plain\nline_url = /v9\n"
		"endpoints = /v1/embeddings /v1/responses\nwindows = 1h 2d..3d\ncreate_extra = {\"a\": [1, {}]}\n"
		"file_wait = yes\nupload_expires = 1d\nupload_expires_form = dotted\noutput_expires = 2d\n"
		"list_form = one\nclient_cert = /c.pem\nclient_key = /k.pem\nlow_speed = 1KB\nbandwidth = 2MB\n";
	auto_with(config_free) struct config *config = NULL;
	const struct config_provider *provider;
	const struct dialect *terms;
	struct error err = {0};

	CU_ASSERT_FATAL(load(text, strlen(text), &config, &err) == 0);
	provider = &config->providers[0];
	terms = &provider->terms;
	CU_ASSERT(provider->upload_expires == 86400000 && provider->output_expires == 172800000);
	CU_ASSERT(provider->low_speed == 1000 && provider->bandwidth == 2000000);
	CU_ASSERT_STRING_EQUAL(provider->client_cert, "/c.pem");
	CU_ASSERT_STRING_EQUAL(provider->client_key, "/k.pem");
	CU_ASSERT_STRING_EQUAL(terms->name, "zhipu");
	CU_ASSERT_STRING_EQUAL(terms->auth_header, "X-Key");
	CU_ASSERT_STRING_EQUAL(terms->auth_prefix, "Token");
	CU_ASSERT_STRING_EQUAL(terms->query, "a=1&b=2");
	CU_ASSERT_STRING_EQUAL(terms->purpose, "batch-api");
	CU_ASSERT_STRING_EQUAL(terms->upload_type, "text/plain");
	CU_ASSERT_STRING_EQUAL(terms->url_prefix, "/v9");
	CU_ASSERT_STRING_EQUAL(terms->endpoints, "/v1/embeddings /v1/responses");
	CU_ASSERT_STRING_EQUAL(terms->windows, "1h 2d..3d");
	CU_ASSERT_STRING_EQUAL(terms->create_extra, "{\"a\": [1, {}]}");
	CU_ASSERT(terms->waits_for_file && terms->upload_expiry == DIALECT_EXPIRY_DOTTED);
	CU_ASSERT(terms->list == DIALECT_LIST_ONE_PAGE && provider->header.count == 2);
	CU_ASSERT_STRING_EQUAL(provider->header.list[0], "X-A: 1");
	CU_ASSERT_STRING_EQUAL(provider->header.list[1], "X-B: 2; 3");
	CU_ASSERT_PTR_NULL(provider->header.list[2]);
}

static void reads_every_key(void)
{
	static const char text[] =
		"\xef\xbb\xbf[daemon]\r\n# a comment\n; another\r\nstate_folder = /s\r\nsocket=/k\n"
		"operators = wheel\ncurrency = EUR\nlog_level = debug\nmax_file = 1MiB\nmax_connections = 7\n"
		"  max_connections_per_user : 3\nmin_free = 0\n\t[provider a.b-c_9]  \n"
		"base_url = https://h:1/v1//\napi_key_file = k.key\norganization = org-1\nproject "
		"= p\n"
		"ca_file = /ca #1.pem\nproxy = http://p:3128\npoll_first = 250ms\npoll_longest = "
		"2h\n"
		"settle = 0s\nretry_first = 1s\nretry_longest = 1d\nconnect_timeout = 2s\n"
		"call_timeout = 3s\nstall_timeout = 4s\nmax_requests = 5\nmax_bytes = 6KB\n"
		"max_attempts = 7\nmax_transfers = 8\ntrust_list = yes\ndelete = all\ndelete_results_after = 0s\nsweep_files = 2d\nmax_inputs = 9\nmax_tokens = 10\n"
		"bytes_per_token = 3\nprobe_lost = 2m\nresend_lost = 0.25 %\nbatch_discount = 12.5%\n"
		"[model a*]\ninput_price = 2.5\noutput_price=0.000001\n[provider "
		"z]\nbase_url=http://z";
	auto_free char *wanted = xstrdup(text);
	auto_with(config_free) struct config *config = NULL;
	const struct config_provider *a;
	struct error err = {0};

	/* A comment sign behind a blank is refused; in the middle of a word it is a letter. */
	memmove(strstr(wanted, " #1"), "-#1", 3);
	if (load(wanted, strlen(wanted), &config, &err) != 0) {
		CU_FAIL("the file was refused");
		(void)fprintf(stderr, "# %s\n", err.text);
		return;
	}
	CU_ASSERT_STRING_EQUAL(config->state_folder, "/s");
	CU_ASSERT_STRING_EQUAL(config->socket, "/k");
	CU_ASSERT_STRING_EQUAL(config->operators, "wheel");
	CU_ASSERT_STRING_EQUAL(config->log_level, "debug");
	CU_ASSERT(config->max_file == 1048576 && config->max_connections == 7);
	CU_ASSERT(config->max_connections_per_user == 3 && config->min_free == 0);
	CU_ASSERT(config->provider_count == 2);
	a = config_provider_find(config, NULL);
	CU_ASSERT_STRING_EQUAL(a->name, "a.b-c_9");
	CU_ASSERT_STRING_EQUAL(a->base_url, "https://h:1/v1");
	CU_ASSERT_STRING_EQUAL(a->api_key_file, "k.key");
	CU_ASSERT_STRING_EQUAL(a->organization, "org-1");
	CU_ASSERT_STRING_EQUAL(a->project, "p");
	CU_ASSERT_STRING_EQUAL(a->ca_file, "/ca-#1.pem");
	CU_ASSERT_STRING_EQUAL(a->proxy, "http://p:3128");
	CU_ASSERT(a->poll_first == 250 && a->poll_longest == 7200000 && a->settle == 0);
	CU_ASSERT(a->retry_first == 1000 && a->retry_longest == 86400000);
	CU_ASSERT(a->connect_timeout == 2000 && a->call_timeout == 3000);
	CU_ASSERT(a->stall_timeout == 4000 && a->max_requests == 5 && a->max_bytes == 6000);
	CU_ASSERT(a->max_attempts == 7 && a->max_transfers == 8 && a->trust_list);
	CU_ASSERT(a->delete == CONFIG_DELETE_ALL && !a->delete_results_after && a->sweep_files == 2 * 86400000);
	CU_ASSERT(a->max_inputs == 9 && a->max_tokens == 10 && a->bytes_per_token == 3);
	CU_ASSERT(a->probe_lost == 120000 && a->resend_lost == 25 && a->batch_discount == 1250);
	CU_ASSERT_STRING_EQUAL(config->currency, "EUR");
	CU_ASSERT(config->model_count == 1 && config->models[0].input_price == 2500000 && config->models[0].output_price == 1);
	CU_ASSERT_STRING_EQUAL(config_provider_find(config, "z")->base_url, "http://z");
	CU_ASSERT_PTR_NULL(config_provider_find(config, "none"));
}

static void presets_what_the_header_promises(void)
{
	auto_with(config_free) struct config *config = NULL;
	const struct config_provider *provider;
	struct error err = {0};

	CU_ASSERT_FATAL(load(PROVIDER, strlen(PROVIDER), &config, &err) == 0);
	provider = &config->providers[0];
	CU_ASSERT_STRING_EQUAL(config->state_folder, "/var/lib/batchd");
	CU_ASSERT_STRING_EQUAL(config->socket, "/run/batchd/batchd.sock");
	CU_ASSERT_STRING_EQUAL(config->log_level, "info");
	CU_ASSERT_PTR_NULL(config->operators);
	CU_ASSERT(config->max_file == 16000000000 && config->max_connections == 1000);
	CU_ASSERT(config->max_connections_per_user == 250 && config->min_free == 256000000);
	CU_ASSERT(!provider->api_key_file && !provider->organization && !provider->project);
	CU_ASSERT(!provider->ca_file && !provider->proxy && !provider->trust_list);
	CU_ASSERT(provider->delete == CONFIG_DELETE_INPUTS && provider->delete_results_after == 86400000);
	CU_ASSERT(provider->poll_first == 5000 && provider->poll_longest == 60000);
	CU_ASSERT(provider->settle == 600000 && provider->retry_first == 5000);
	CU_ASSERT(provider->retry_longest == 900000 && provider->connect_timeout == 10000);
	CU_ASSERT(provider->call_timeout == 60000 && provider->stall_timeout == 60000);
	CU_ASSERT(provider->max_requests == 50000 && provider->max_bytes == 200000000);
	CU_ASSERT(provider->max_attempts == 3 && provider->max_transfers == 4);
	CU_ASSERT(provider->move_after == 600000 && config->route_count == 0 && !config_route_find(config, "any"));
	CU_ASSERT(provider->max_inputs == 50000 && provider->max_tokens == 0);
	CU_ASSERT(provider->bytes_per_token == 4 && provider->probe_lost == 3600000);
	CU_ASSERT(provider->resend_lost == 100 && provider->batch_discount == 5000);
	CU_ASSERT(!provider->max_batches && !provider->max_enqueued_tokens && !provider->max_enqueued_requests);
	CU_ASSERT(provider->model_count == 0 && !config_provider_model_find(provider, "any"));
	CU_ASSERT_STRING_EQUAL(config->currency, "USD");
	CU_ASSERT(config->model_count == 0 && !config_model_find(config, "any"));
}

static void takes_the_first_limits_that_fit_a_model(void)
{
	static const char text[] =
		PROVIDER "max_batches = 9\nmax_enqueued_tokens = 8\nmax_enqueued_requests = 7\n"
			 "[provider a  model  gpt-4o-mini*]\nmax_enqueued_tokens = 2000000\nmax_batches = 3\nmax_bytes = 1MB\n"
			 "[provider b]\nbase_url = http://b\n[provider a model *]\nmax_enqueued_requests = 5\nbytes_per_token = 2\n"
			 "max_requests = 6\n[provider b model x]\nmax_batches = 1\n";
	auto_with(config_free) struct config *config = NULL;
	const struct config_provider *a, *b;
	const struct config_provider_model *mini, *rest;
	struct error err = {0};

	if (load(text, strlen(text), &config, &err) != 0) {
		CU_FAIL("the file was refused");
		(void)fprintf(stderr, "# %s\n", err.text);
		return;
	}
	a = config_provider_find(config, "a");
	b = config_provider_find(config, "b");
	CU_ASSERT(a->max_batches == 9 && a->max_enqueued_tokens == 8 && a->max_enqueued_requests == 7);
	CU_ASSERT(a->model_count == 2 && b->model_count == 1);
	mini = config_provider_model_find(a, "gpt-4o-mini-2026");
	CU_ASSERT(mini && mini->max_enqueued_tokens == 2000000 && mini->max_batches == 3 && mini->max_bytes == 1000000);
	CU_ASSERT(mini && !mini->max_enqueued_requests && !mini->max_requests && !mini->bytes_per_token);
	rest = config_provider_model_find(a, "gpt-4o");
	CU_ASSERT(rest && rest->max_enqueued_requests == 5 && rest->bytes_per_token == 2 && rest->max_requests == 6);
	CU_ASSERT_PTR_NULL(config_provider_model_find(b, "gpt-4o"));
}

static void takes_the_first_prices_that_fit_a_model(void)
{
	/* clang-format off */
	static const struct { const char *model; int64_t price; } rows[] = {
		{ "gpt-4o", 1 }, { "gpt-4o-mini", 2 }, { "gpt-4o-2026", 3 }, { "gpt-4", 4 }, { "ft:gpt-4o", 4 }, { "", 4 },
	};
	static const char text[] = PROVIDER
		"[model gpt-4o]\ninput_price = 0.000001\n[model gpt-*-mini]\ninput_price = 0.000002\n"
		"[model gpt-4o*]\ninput_price = 0.000003\n[model *]\ninput_price = 0.000004\n[model gpt-4]\ninput_price = 9\n";
	/* clang-format on */
	auto_with(config_free) struct config *config = NULL;
	struct error err = {0};

	CU_ASSERT_FATAL(load(text, strlen(text), &config, &err) == 0);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct config_model *model = config_model_find(config, rows[i].model);

		CHECK_ROW(rows[i].model, model && model->input_price == rows[i].price && !model->output_price);
	}
}

/* What a key does not say, the dialect does; a key goes before it. */
static void a_dialect_decides_what_no_key_does(void)
{
	/* clang-format off */
	static const struct { const char *keys; int64_t poll_first, requests, bytes, inputs; } rows[] = {
		{ "", 5000, 50000, 200000000, 50000 },
		{ "dialect = groq\n", 5000, 50000, 100000000, 50000 },
		{ "dialect = azure\n", 60000, 50000, 200000000, 50000 },
		{ "dialect = dashscope\nmax_bytes = 1MB\n", 60000, 50000, 1000000, 50000 },
		{ "max_requests = 7\npoll_first = 1s\ndialect = zhipu\n", 1000, 7, 100000000, 10000 },
		{ "max_inputs = 60000\ndialect = zhipu\n", 5000, 50000, 100000000, 60000 },
	};
	/* clang-format on */

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_free char *text = xasprintf(PROVIDER "%s", rows[i].keys);
		auto_with(config_free) struct config *config = NULL;
		const struct config_provider *provider;
		struct error err = {0};

		CU_ASSERT_FATAL(load(text, strlen(text), &config, &err) == 0);
		provider = &config->providers[0];
		CHECK_ROW(rows[i].keys, provider->poll_first == rows[i].poll_first);
		CHECK_ROW(rows[i].keys, provider->max_requests == rows[i].requests);
		CHECK_ROW(rows[i].keys, provider->max_bytes == rows[i].bytes && provider->max_inputs == rows[i].inputs);
	}
}

/* The words for nothing, which a key of no value could not say. */
static void a_key_may_take_away_what_the_dialect_has(void)
{
	static const char text[] = PROVIDER "dialect = azure-dated\nquery = none\nauth_prefix = none\nendpoints = any\n"
					    "line_url = /v1\nfile_wait = off\nupload_expires_form = none\nlist_form = pages\n"
					    "[provider b]\nbase_url=http://h\nline_url = none\nauth_prefix = none\n";
	auto_with(config_free) struct config *config = NULL;
	const struct dialect *a, *b;
	struct error err = {0};

	CU_ASSERT_FATAL(load(text, strlen(text), &config, &err) == 0);
	a = &config->providers[0].terms;
	b = &config->providers[1].terms;
	CU_ASSERT(!a->query && !a->auth_prefix && !a->endpoints && !a->waits_for_file);
	CU_ASSERT(a->upload_expiry == DIALECT_EXPIRY_NONE && a->list == DIALECT_LIST_PAGES);
	CU_ASSERT_STRING_EQUAL(a->url_prefix, "/v1");
	CU_ASSERT(b->url_prefix && !*b->url_prefix && !b->auth_prefix);
}

static void takes_the_first_route_that_fits_a_model(void)
{
	/* clang-format off */
	static const struct { const char *model, *providers; } rows[] = {
		{ "gpt-4o", "a" }, { "gpt-4o-mini", "b,a" }, { "gpt-4.1", "b" }, { "ft:gpt-4o:org::x", "a,b" }, { "llama", NULL }, { "", NULL },
	};
	static const char text[] =
		"[routes]\n  model.gpt-4o = a\r\n# comment\nmodel.gpt-*-mini=b ,\ta\n\nmodel.gpt-4.* =b\nmodel.ft:*:org::* = a, b\nmodel.gpt* = b\n"
		"model.gpt-3 = b\n" PROVIDER "[provider b]\nbase_url=http://b\n";
	/* clang-format on */
	auto_with(config_free) struct config *config = NULL;
	struct error err = {0};

	if (load(text, strlen(text), &config, &err) != 0) {
		CU_FAIL("the file was refused");
		(void)fprintf(stderr, "# %s\n", err.text);
		return;
	}
	CU_ASSERT(config->route_count == 6 && config->routes[1].line == 4);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct config_route *route = config_route_find(config, rows[i].model);

		CHECK_ROW(rows[i].model, rows[i].providers ? route && strcmp(route->providers, rows[i].providers) == 0 : !route);
	}
}

static void refuses_routes_that_lead_nowhere(void)
{
	/* clang-format off */
	static const struct { const char *lines, *words; } rows[] = {
		{ "model.m = c",           ":4: [routes] model.m: there is no [provider c]" },
		{ "model.m = a, c",        ":4: [routes] model.m: there is no [provider c]" },
		{ "model.m = a\nmodel.n = A", ":5: [routes] model.n: there is no [provider A]" },
		{ "model.m =",             ":4: [routes] model.m: no value" },
		{ "model.m",               ":4: neither [section] nor key = value" },
		{ "model.m = a,",          ":4: [routes] model.m: a name between commas is empty" },
		{ "model.m = ,a",          ":4: [routes] model.m: a name between commas is empty" },
		{ "model.m = a, a",        ":4: [routes] model.m: \"a\" stands there twice" },
		{ "model.m = a\nmodel.m = a", ":5: [routes] model.m: given twice (first at line 4)" },
		{ "model. = a",            ":4: [routes] model.: a pattern has 1 to 128 printable characters without blanks" },
		{ "model.m n = a",         ":4: [routes] model.m n: a pattern has 1 to 128 printable characters without blanks" },
		{ "models.m = a",          ":4: [routes]: unknown key \"models.m\" (it takes model.PATTERN = PROVIDER[, PROVIDER ...])" },
		{ "= a",                   ":4: [routes]: unknown key \"\" (it takes model.PATTERN = PROVIDER[, PROVIDER ...])" },
		{ "model.m = a # why",     ":4: a comment needs a line of its own" },
		{ "[routes]",              ":4: [routes] stands here twice (first at line 3)" },
		{ "[routes x]",            ":4: unknown section [routes x] (there are [daemon], [provider NAME], [provider NAME model PATTERN], [routes], [model NAME] and [user NAME])" },
	};
	/* clang-format on */

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_free char *text = xasprintf(PROVIDER "[routes]\n%s\n", rows[i].lines);
		auto_with(config_free) struct config *config = NULL;
		struct error err = {0};

		CHECK_ROW(rows[i].lines, load(text, strlen(text), &config, &err) == -EINVAL);
		CHECK_ROW(rows[i].lines, strcmp(err.text, rows[i].words) == 0);
	}
}

static void limits_the_number_of_routes_and_of_their_providers(void)
{
	auto_buffer text = {0};

	buffer_add_text(&text, PROVIDER "[routes]\n");
	for (int i = 0; i <= CONFIG_MAX_ROUTES; i++) {
		auto_with(config_free) struct config *config = NULL;
		struct error err = {0};

		buffer_add_format(&text, "model.m%d = a\n", i);
		CU_ASSERT(load(buffer_text(&text), text.size, &config, &err) == (i < CONFIG_MAX_ROUTES ? 0 : -EINVAL));
		CU_ASSERT(i < CONFIG_MAX_ROUTES || strcmp(err.text, ":260: more than 256 routes") == 0);
	}
	buffer_clear(&text);
	buffer_add_text(&text, PROVIDER "[routes]\nmodel.m = p0");
	for (int i = 1; i < 17; i++)
		buffer_add_format(&text, ",p%d", i);
	{
		auto_with(config_free) struct config *config = NULL;
		struct error err = {0};

		CU_ASSERT(load(buffer_text(&text), text.size, &config, &err) == -EINVAL);
		CU_ASSERT_STRING_EQUAL(err.text, ":4: [routes] model.m: more than 16 names");
	}
}

static void limits_the_number_of_models(void)
{
	auto_with(config_free) struct config *config = NULL;
	auto_buffer text = {0};
	struct error err = {0};

	buffer_add_text(&text, PROVIDER);
	for (int i = 0; i < CONFIG_MAX_MODELS; i++)
		buffer_add_format(&text, "[model m%d]\noutput_price=1\n", i);
	CU_ASSERT(load(text.data, text.size, &config, &err) == 0);
	config_free(take(config));
	buffer_add_text(&text, "[model last]\n");
	CU_ASSERT(load(text.data, text.size, &config, &err) == -EINVAL);
	CU_ASSERT_STRING_EQUAL(err.text, ":515: more than 256 models");
}

static void gives_each_user_what_its_section_says_and_the_rest_as_all(void)
{
	/* clang-format off */
	static const struct { int64_t uid; struct config_limits limits; } rows[] = {
		{ 0,    { 0, 20, 3000, 40, 5500000 } },
		{ 1000, { 1, 20, 7, 40, 5500000 } },
		{ 1001, { 10, 20, 3000, 0, 250000 } },
		{ 1002, { 10, 20, 3000, 40, 5500000 } },
	};
	/* clang-format on */
	static const char text[] =
		"[user root]\nmax_jobs = 0\n[user 1000]\nmax_jobs = 1\nmax_bytes = 7\n" PROVIDER
		"[daemon]\nmax_jobs = 10\nmax_requests = 20\nmax_bytes = 3KB\nmax_tokens_per_day = 40\n"
		"max_cost_per_day = 5.5\n[user 1001]\nmax_cost_per_day = 0.25\nmax_tokens_per_day = 0\n";
	auto_with(config_free) struct config *config = NULL;
	struct error err = {0};

	CU_ASSERT_FATAL(load(text, strlen(text), &config, &err) == 0);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_free char *name = xasprintf("uid %d", (int)rows[i].uid);
		const struct config_limits *limits = config_limits_of(config, rows[i].uid);

		CHECK_ROW(name, memcmp(limits, &rows[i].limits, sizeof(*limits)) == 0);
	}
}

/* The longest line is what inih's buffer leaves: it takes 200 bytes here, but a build may differ.
 */
static void names_the_line_that_is_too_long(void)
{
	for (size_t length = 20; length < 5000; length++) {
		auto_with(config_free) struct config *config = NULL;
		auto_buffer text = {0};
		struct error err = {0};

		buffer_add_text(&text, PROVIDER "proxy = ");
		for (size_t i = strlen("proxy = "); i < length; i++)
			buffer_add_text(&text, "x");
		buffer_add_text(&text, "\nmax_attempts = 9\n");
		if (load(buffer_text(&text), text.size, &config, &err) == 0) {
			CU_ASSERT(strlen(config->providers[0].proxy) ==
				  length - strlen("proxy = "));
			CU_ASSERT(config->providers[0].max_attempts == 9);
			continue;
		}
		CU_ASSERT(length > 190 && strncmp(err.text, ":3: longer than ", 16) == 0);
	}
}

static void lets_a_comment_be_of_any_length_and_content(void)
{
	auto_with(config_free) struct config *config = NULL;
	auto_buffer text = {0};
	struct error err = {0};

	buffer_add_text(&text, "  # ");
	for (size_t i = 0; i < 3000; i++)
		buffer_add(&text, "\0\033[", 3);
	buffer_add_text(&text, "\n" PROVIDER "wrong = 1\n");
	CU_ASSERT(load(text.data, text.size, &config, &err) == -EINVAL);
	CU_ASSERT_STRING_EQUAL(err.text, ":4: [provider a]: unknown key \"wrong\"");
}

static void refuses_a_zero_byte_anywhere(void)
{
	static const char text[] = PROVIDER "proxy = http://x\n";

	for (size_t i = 0; i < sizeof(text) - 1; i++) {
		auto_with(config_free) struct config *config = NULL;
		char copy[sizeof(text)];
		struct error err = {0};

		memcpy(copy, text, sizeof(text));
		copy[i] = '\0';
		CU_ASSERT(load(copy, sizeof(copy) - 1, &config, &err) == -EINVAL);
	}
	{
		auto_with(config_free) struct config *config = NULL;
		struct error err = {0};

		CU_ASSERT(load(PROVIDER "\0", sizeof(PROVIDER), &config, &err) == -EINVAL);
		CU_ASSERT_STRING_EQUAL(err.text, ":3: a control character");
	}
}

static void survives_any_bytes(void)
{
	uint64_t state = 42;

	for (int round = 0; round < 5000; round++) {
		auto_with(config_free) struct config *config = NULL;
		static const char letters[] = "[]=:;# \t\r\n\"a1provider\\\xef\xbb\xbf";
		char text[300];
		struct error err = {0};

		for (size_t i = 0; i < sizeof(text); i++) {
			state = state * 6364136223846793005 + 1442695040888963407;
			text[i] = letters[(state >> 33) % sizeof(letters)];
		}
		if (load(text, sizeof(text), &config, &err) != 0)
			CU_ASSERT(err.text[0] != '\0');
	}
}

static void limits_the_number_of_providers(void)
{
	auto_with(config_free) struct config *config = NULL;
	auto_buffer text = {0};
	struct error err = {0};

	for (int i = 0; i < CONFIG_MAX_PROVIDERS; i++)
		buffer_add_format(&text, "[provider p%d]\nbase_url=http://h\n", i);
	CU_ASSERT(load(text.data, text.size, &config, &err) == 0);
	config_free(take(config));
	buffer_add_text(&text, "[provider last]\n");
	CU_ASSERT(load(text.data, text.size, &config, &err) == -EINVAL);
	CU_ASSERT_STRING_EQUAL(err.text, ":129: more than 64 providers");
}

static void names_the_file_that_cannot_be_read(void)
{
	struct config *config = NULL;
	struct error err = {0};

	CU_ASSERT(config_load("/nowhere/batchd.conf", &config, &err) == -ENOENT);
	CU_ASSERT_STRING_EQUAL(err.text,
			       "cannot open /nowhere/batchd.conf: No such file or directory");
	CU_ASSERT(config_load(folder, &config, &err) == -EISDIR);
	CU_ASSERT_PTR_NULL(config);
}

static void reads_durations_and_sizes(void)
{
	/* clang-format off */
	static const struct { const char *text; int (*parse)(const char *, int64_t *); int status; int64_t value; } rows[] = {
		{ "250ms", config_parse_duration, 0, 250 },	{ "5s", config_parse_duration, 0, 5000 },
		{ "2m", config_parse_duration, 0, 120000 },	{ "1h", config_parse_duration, 0, 3600000 },
		{ "1d", config_parse_duration, 0, 86400000 },	{ "0s", config_parse_duration, 0, 0 },
		{ "5", config_parse_duration, -EINVAL, 0 },	{ "", config_parse_duration, -EINVAL, 0 },
		{ "s", config_parse_duration, -EINVAL, 0 },	{ "-5s", config_parse_duration, -EINVAL, 0 },
		{ "+5s", config_parse_duration, -EINVAL, 0 },	{ "5 s", config_parse_duration, -EINVAL, 0 },
		{ "1.5s", config_parse_duration, -EINVAL, 0 },	{ "5sec", config_parse_duration, -EINVAL, 0 },
		{ "106751991167d", config_parse_duration, 0, 9223372036828800000 },
		{ "106751991168d", config_parse_duration, -ERANGE, 0 },
		{ "99999999999999999999ms", config_parse_duration, -ERANGE, 0 },
		{ "512", config_parse_size, 0, 512 },		{ "512B", config_parse_size, 0, 512 },
		{ "200MB", config_parse_size, 0, 200000000 },	{ "64KiB", config_parse_size, 0, 65536 },
		{ "1GB", config_parse_size, 0, 1000000000 },	{ "2TiB", config_parse_size, 0, 2199023255552 },
		{ "9223372036854775807", config_parse_size, 0, INT64_MAX },
		{ "9223372036854775808", config_parse_size, -ERANGE, 0 },
		{ "1M", config_parse_size, -EINVAL, 0 },	{ "1mb", config_parse_size, -EINVAL, 0 },
		{ "0x10", config_parse_size, -EINVAL, 0 },
	};
	/* clang-format on */

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int64_t value = 0;

		CHECK_ROW(rows[i].text, rows[i].parse(rows[i].text, &value) == rows[i].status);
		CHECK_ROW(rows[i].text, value == rows[i].value);
	}
}

static void reads_a_key_that_is_only_its_owners(void)
{
	static char longest[4097];
	/* clang-format off */
	static const struct { const char *content; size_t size; mode_t mode; int status; const char *key; } rows[] = {
		{ "sk-1\n", 5, 0600, 0, "sk-1" },		{ " \tsk-1\r\n\n", 9, 0400, 0, "sk-1" },
		{ "sk-1", 4, 0640, -EPERM, NULL },		{ "sk-1", 4, 0604, -EPERM, NULL },
		{ "sk-1", 4, 0620, -EPERM, NULL },		{ "", 0, 0600, -EINVAL, NULL },
		{ " \n", 2, 0600, -EINVAL, NULL },		{ "sk-1\nsk-2", 9, 0600, -EINVAL, NULL },
		{ "sk\0-1", 5, 0600, -EINVAL, NULL },		{ longest, 4097, 0600, -EINVAL, NULL },
		{ longest, 4096, 0600, 0, longest },
	};
	/* clang-format on */

	memset(longest, 'k', 4096);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_free char *path =
			write_file("key", rows[i].content, rows[i].size, rows[i].mode);
		char name[] = "a";
		struct config_provider provider = {.name = name, .api_key_file = path};
		auto_free char *key = NULL;
		struct error err = {0};

		CHECK_ROW(rows[i].content,
			  config_read_key(&provider, &key, &err) == rows[i].status);
		CHECK_ROW(rows[i].content,
			  rows[i].key ? key && strcmp(key, rows[i].key) == 0 : key == NULL);
		CHECK_ROW(rows[i].content, !strstr(err.text, "sk-") && !strstr(err.text, "kkkk"));
		(void)unlink(path);
	}
}

static int read_named(char *key_file, char **ret_key, struct error *err)
{
	char name[] = "a";
	struct config_provider provider = {.name = name, .api_key_file = key_file};

	return config_read_key(&provider, ret_key, err);
}

static void reads_a_credential_of_the_service_manager(void)
{
	auto_free char *path = write_file("openai.key", "sk-2\n", 5, 0440);
	auto_free char *by_name = NULL, *by_path = NULL, *none = NULL;
	char name[] = "openai.key", missing[] = "missing.key";
	struct error err = {0};

	(void)unsetenv("CREDENTIALS_DIRECTORY");
	CU_ASSERT(read_named(name, &none, &err) == -ENOENT);
	CU_ASSERT(read_named(path, &none, &err) == -EPERM);
	(void)setenv("CREDENTIALS_DIRECTORY", folder, 1);
	CU_ASSERT(read_named(name, &by_name, &err) == 0);
	CU_ASSERT(read_named(path, &by_path, &err) == 0);
	CU_ASSERT(by_name && by_path && strcmp(by_name, "sk-2") == 0 &&
		  strcmp(by_path, by_name) == 0);
	CU_ASSERT(read_named(missing, &none, &err) == -ENOENT);
	CU_ASSERT(read_named(folder, &none, &err) == -EINVAL);
	CU_ASSERT(read_named(NULL, &none, &err) == 0 && !none);
	(void)unsetenv("CREDENTIALS_DIRECTORY");
	(void)unlink(path);
}

static void keep_warning(const char *sentence, void *context)
{
	buffer_add_format(context, "%s\n", sentence);
}

static void warns_of_what_is_legal_but_unwise(void)
{
	/* clang-format off */
	static const struct { const char *keys, *begin; } rows[] = {
		{ "base_url=https://h\n", "" },
		{ "base_url=http://127.0.0.1:8000/v1\n", "" },
		{ "base_url=http://localhost\n", "" },
		{ "base_url=http://localhost.evil.example\n", "[provider a] base_url is http;" },
		{ "base_url=http://h\n", "[provider a] base_url is http;" },
		{ "base_url=https://h\npoll_first=4999ms\n", "[provider a] poll_first is below 5s;" },
		{ "base_url=https://h\ndialect=azure\n", "" },
		{ "base_url=https://h\ndialect=azure\npoll_first=59s\n",
		  "[provider a] poll_first is below 1m; the provider may answer with 429" },
		{ "base_url=https://h\ndialect=azure\nupload_expires=14d\noutput_expires=30d\n", "" },
		{ "base_url=https://h\ndialect=azure\nupload_expires=1h\n", "[provider a] upload_expires: dialect azure takes 14d to 30d" },
		{ "base_url=https://h\ndialect=groq\noutput_expires=14d\n", "[provider a] output_expires: dialect groq is not known to take it" },
		{ "base_url=https://h\noutput_expires=1d\n", "[provider a] output_expires is below 3d;" },
		{ "base_url=https://h\ndialect=aibrix\n", "[provider a] create_extra is not set; dialect aibrix" },
		{ "base_url=https://h\ndialect=aibrix\ncreate_extra={}\n", "" },
		{ "base_url=https://h\nsettle=59s\n", "[provider a] settle is below 1m;" },
		{ "base_url=https://h\ntrust_list=on\n", "[provider a] trust_list is on;" },
		{ "base_url=https://h\n[daemon]\nmax_connections=9\n", "max_connections_per_user is above" },
	};
	/* clang-format on */

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_free char *text = xasprintf("[provider a]\n%s", rows[i].keys);
		auto_with(config_free) struct config *config = NULL;
		auto_buffer said = {0};
		struct error err = {0};

		CU_ASSERT_FATAL(load(text, strlen(text), &config, &err) == 0);
		config_warn(config, keep_warning, &said);
		CHECK_ROW(rows[i].keys,
			  strncmp(buffer_text(&said), rows[i].begin, strlen(rows[i].begin)) == 0);
		CHECK_ROW(rows[i].keys, (*rows[i].begin != '\0') == (said.size != 0));
	}
}

static void prints_every_key_so_that_it_can_be_read_back(void)
{
	auto_free char *path = xasprintf("%s/keys", folder);
	auto_with(config_free) struct config *config = NULL;
	char section[32], name[64], preset[64], before[32] = "";
	auto_fclose FILE *file = fopen(path, "w+e");
	auto_buffer text = {0};
	struct error err = {0};
	int count = 0;

	config_print_keys(file);
	rewind(file);
	while (fscanf(file, "%31s %63s %63s\n", section, name, preset) == 3) {
		if (strcmp(section, before) != 0)
			buffer_add_format(&text, "[%s%s]\n%s", strchr(section, '-') ? "provider a model" : section,
					  *section == 'd' ? "" : *section == 'u' ? " 1000" : " a",
					  strcmp(section, "provider") == 0 ? "base_url = http://h\n" : "");
		memcpy(before, section, sizeof(before));
		if (strcmp(preset, "-") != 0)
			buffer_add_format(&text, "%s = %s\n", name, preset);
		count++;
	}
	buffer_add_text(&text, "input_price = 1\n");
	CU_ASSERT(count == 85);
	CU_ASSERT(load(buffer_text(&text), text.size, &config, &err) == 0);
	(void)unlink(path);
}

static void leaves_no_file_behind(void)
{
	auto_free char *path = xasprintf("%s/batchd.conf", folder);

	(void)unlink(path);
	CU_ASSERT(rmdir(folder) == 0);
}

static void makes_its_folder(void)
{
	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(folder));
}

CHECK_MAIN("config", CHECK(makes_its_folder), CHECK(refuses_a_wrong_file_with_its_line_and_key),
	   CHECK(reads_every_key), CHECK(reads_every_key_of_a_dialect), CHECK(presets_what_the_header_promises),
	   CHECK(a_dialect_decides_what_no_key_does), CHECK(a_key_may_take_away_what_the_dialect_has),
	   CHECK(names_the_line_that_is_too_long),
	   CHECK(lets_a_comment_be_of_any_length_and_content), CHECK(refuses_a_zero_byte_anywhere),
	   CHECK(survives_any_bytes), CHECK(limits_the_number_of_providers),
	   CHECK(takes_the_first_route_that_fits_a_model), CHECK(refuses_routes_that_lead_nowhere),
	   CHECK(limits_the_number_of_routes_and_of_their_providers),
	   CHECK(limits_the_number_of_models), CHECK(takes_the_first_limits_that_fit_a_model), CHECK(takes_the_first_prices_that_fit_a_model),
	   CHECK(gives_each_user_what_its_section_says_and_the_rest_as_all),
	   CHECK(names_the_file_that_cannot_be_read), CHECK(reads_durations_and_sizes),
	   CHECK(reads_a_key_that_is_only_its_owners),
	   CHECK(reads_a_credential_of_the_service_manager),
	   CHECK(warns_of_what_is_legal_but_unwise),
	   CHECK(prints_every_key_so_that_it_can_be_read_back), CHECK(leaves_no_file_behind))
