#include "daemon/io/config_dialect.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "daemon/base/alloc.h"
#include "daemon/base/cleanup.h"
#include "daemon/base/error.h"
#include "daemon/io/config.h"
#include "daemon/io/config_keys.h"
#include "daemon/model/dialect.h"
#include "daemon/model/load.h"
#include "daemon/model/scan.h"

#define SECOND INT64_C(1000)
/* Results that go sooner are lost while batchd is down over a weekend. */
#define SHORT_OUTPUT (3 * 24 * 3600 * SECOND)

/* A word of a key, and the number that it stands for: a row of an enum, counted from 1. */
struct word {
	const char *name;
	int number;
};

/* clang-format off */
static const struct word truths[] = {
	{ "no", CONFIG_NO }, { "yes", CONFIG_YES }, { "false", CONFIG_NO }, { "true", CONFIG_YES },
	{ "off", CONFIG_NO }, { "on", CONFIG_YES }, { NULL, 0 },
};
static const struct word expiry_forms[] = {
	{ "brackets", 1 + DIALECT_EXPIRY_BRACKETS }, { "dotted", 1 + DIALECT_EXPIRY_DOTTED },
	{ "none", 1 + DIALECT_EXPIRY_NONE }, { NULL, 0 },
};
static const struct word list_forms[] = {
	{ "pages", 1 + DIALECT_LIST_PAGES }, { "one", 1 + DIALECT_LIST_ONE_PAGE }, { NULL, 0 },
};

/* What the transport decides, and must not be told. */
static const char *const our_headers[] = {
	"Accept-Encoding", "Connection", "Content-Length", "Content-Type", "Expect", "Host", "If-Range", "Range",
	"TE", "Transfer-Encoding", "Upgrade",
};
/* clang-format on */

static int keep(char **text, const char *value)
{
	free(*text);
	*text = xstrdup(value);
	return 0;
}

static int set_word(const struct word *words, const char *value, int *member, const char *allowed,
		    struct error *err)
{
	for (; words->name; words++)
		if (strcmp(words->name, value) == 0) {
			*member = words->number;
			return 0;
		}
	return error_set(err, -EINVAL, "\"%s\" is %s", value, allowed);
}

/* How many bytes of it may stand in the name of a header (RFC 9110, token). */
static size_t token_size(const char *text)
{
	return strspn(text, CONFIG_LETTERS "0123456789!#$%&'*+-.^_`|~");
}

static bool is_printable(const char *text, char least)
{
	for (; *text; text++)
		if (*text < least || *text > '~')
			return false;
	return true;
}

int config_set_dialect(const struct config_key *key, const char *value, void *member, struct error *err)
{
	auto_free char *names = dialect_names();

	(void)key;
	if (!dialect_find(value))
		return error_set(err, -EINVAL, "there is no \"%s\" (%s)", value, names);
	return keep(member, value);
}

int config_set_header_name(const struct config_key *key, const char *value, void *member, struct error *err)
{
	(void)key;
	if (value[token_size(value)])
		return error_set(err, -EINVAL, "\"%s\" is no name of a header", value);
	return keep(member, value);
}

int config_set_query(const struct config_key *key, const char *value, void *member, struct error *err)
{
	(void)key;
	if (strcmp(value, "none") != 0 && (!strchr(value, '=') || strpbrk(value, "?#") || !is_printable(value, '!')))
		return error_set(err, -EINVAL, "\"%s\" is no NAME=VALUE (with \"&\" between several), nor none", value);
	return keep(member, value);
}

int config_set_url_prefix(const struct config_key *key, const char *value, void *member, struct error *err)
{
	size_t size = strlen(value);

	(void)key;
	if (strcmp(value, "none") == 0)
		return keep(member, "");
	if (value[0] != '/' || value[size - 1] == '/' || strpbrk(value, "?#\"\\") || !is_printable(value, '!'))
		return error_set(err, -EINVAL, "\"%s\" is no path like /v1, nor none", value);
	return keep(member, value);
}

int config_set_endpoints(const struct config_key *key, const char *value, void *member, struct error *err)
{
	(void)key;
	if (strcmp(value, "any") != 0 && (strncmp(value, "/v1/", 4) != 0 || !is_printable(value, ' ')))
		return error_set(err, -EINVAL, "\"%s\" is no list of urls like /v1/embeddings, nor any", value);
	return keep(member, value);
}

int config_set_windows(const struct config_key *key, const char *value, void *member, struct error *err)
{
	(void)key;
	if (!is_printable(value, ' ') || !dialect_windows_are_right(value))
		return error_set(err, -EINVAL, "\"%s\" is no list of windows (24h 24h..7d), nor any, nor omit", value);
	return keep(member, value);
}

int config_set_object(const struct config_key *key, const char *value, void *member, struct error *err)
{
	enum scan_kind kind = SCAN_NULL;
	struct scan scan;

	(void)key;
	scan_init(&scan, value, strlen(value));
	if (scan_peek(&scan, &kind) || kind != SCAN_OBJECT || scan_value(&scan, NULL, NULL) || scan_end(&scan))
		return error_set(err, -EINVAL, "no JSON object%s%s", scan.problem ? ": " : "",
				 scan.problem ? scan.problem : "");
	return keep(member, value);
}

int config_set_file_wait(const struct config_key *key, const char *value, void *member, struct error *err)
{
	(void)key;
	return set_word(truths, value, member, "neither yes nor no", err);
}

int config_set_expiry_form(const struct config_key *key, const char *value, void *member, struct error *err)
{
	(void)key;
	return set_word(expiry_forms, value, member, "neither brackets nor dotted nor none", err);
}

int config_set_list_form(const struct config_key *key, const char *value, void *member, struct error *err)
{
	(void)key;
	return set_word(list_forms, value, member, "neither pages nor one", err);
}

/* The value may be a secret: no sentence quotes it. */
int config_add_header(const struct config_key *key, const char *value, void *member, struct error *err)
{
	struct config_headers *headers = member;
	size_t size = token_size(value);

	(void)key;
	if (size == 0 || value[size] != ':' || !is_printable(value, ' '))
		return error_set(err, -EINVAL, "no \"Name: value\" of printable ASCII");
	for (size_t i = 0; i < ARRAY_SIZE(our_headers); i++)
		if (strlen(our_headers[i]) == size && strncasecmp(our_headers[i], value, size) == 0)
			return error_set(err, -EINVAL, "%s is not to be set", our_headers[i]);
	if (headers->count == CONFIG_MAX_HEADERS)
		return error_set(err, -EINVAL, "given more than %d times", CONFIG_MAX_HEADERS);
	headers->list[headers->count++] = xstrdup(value);
	return 0;
}

/* --- what comes of it --- */

static void overrule(const char **column, const char *given)
{
	if (given)
		*column = given;
}

/* A key whose word for "nothing" is nothing. */
static void overrule_unless(const char **column, const char *given, const char *nothing)
{
	if (given)
		*column = strcmp(given, nothing) == 0 ? NULL : given;
}

static void fill_in(int64_t *limit, int64_t otherwise)
{
	if (!*limit)
		*limit = otherwise;
}

static void make_terms(struct config_provider *provider)
{
	struct dialect *terms = &provider->terms;

	*terms = *dialect_find(provider->dialect);
	overrule(&terms->auth_header, provider->auth_header);
	overrule_unless(&terms->auth_prefix, provider->auth_prefix, "none");
	overrule_unless(&terms->query, provider->query, "none");
	overrule(&terms->purpose, provider->purpose);
	overrule(&terms->upload_type, provider->upload_type);
	overrule(&terms->url_prefix, provider->line_url);
	overrule_unless(&terms->endpoints, provider->endpoints, "any");
	overrule(&terms->windows, provider->windows);
	overrule(&terms->create_extra, provider->create_extra);
	if (provider->file_wait)
		terms->waits_for_file = provider->file_wait == CONFIG_YES;
	if (provider->upload_expires_form)
		terms->upload_expiry = (enum dialect_expiry)(provider->upload_expires_form - 1);
	if (provider->list_form)
		terms->list = (enum dialect_list)(provider->list_form - 1);
}

int config_dialect_settle(struct config_provider *provider, struct error *err)
{
	const struct dialect *terms = &provider->terms;

	make_terms(provider);
	fill_in(&provider->poll_first, terms->poll_floor_ms);
	/* The ids of one batch are held in memory: where a provider takes more, it gets several. */
	fill_in(&provider->max_requests,
		terms->max_requests < LOAD_MAX_REQUESTS ? terms->max_requests : LOAD_MAX_REQUESTS);
	fill_in(&provider->max_bytes, terms->max_bytes);
	fill_in(&provider->max_inputs, terms->max_inputs);
	fill_in(&provider->max_batches, terms->max_batches);
	fill_in(&provider->uploads_per_minute, terms->uploads_per_minute);
	fill_in(&provider->batches_per_hour, terms->batches_per_hour);
	fill_in(&provider->lists_per_minute, terms->lists_per_minute);
	if (provider->upload_expires && terms->upload_expiry == DIALECT_EXPIRY_NONE)
		return error_set(err, -EINVAL, "upload_expires: dialect %s takes none (upload_expires_form overrules that)",
				 terms->name);
	if (provider->client_key && !provider->client_cert)
		return error_set(err, -EINVAL, "client_key without client_cert");
	if (provider->bandwidth && provider->bandwidth < provider->low_speed)
		return error_set(err, -EINVAL, "bandwidth is less than low_speed: every transfer would count as stalled");
	return 0;
}

static char *warn_of_range(const char *key, int64_t value_ms, int64_t least_s, int64_t most_s, const char *dialect)
{
	auto_free char *least = config_show_duration(least_s * SECOND);
	auto_free char *most = config_show_duration(most_s * SECOND);

	if (!value_ms || (value_ms >= least_s * SECOND && value_ms <= most_s * SECOND))
		return NULL;
	if (!most_s)
		return xasprintf("%s: dialect %s is not known to take it", key, dialect);
	return xasprintf("%s: dialect %s takes %s to %s", key, dialect, least, most);
}

static char *warn_of_poll(const struct config_provider *provider)
{
	auto_free char *floor = config_show_duration(provider->terms.poll_floor_ms);

	return provider->poll_first >= provider->terms.poll_floor_ms ?
		       NULL :
		       xasprintf("poll_first is below %s; the provider may answer with 429", floor);
}

void config_dialect_warn(const struct config_provider *provider,
			 void (*on_warning)(const char *sentence, void *context), void *context)
{
	const struct dialect *terms = &provider->terms;
	bool is_short = provider->output_expires && provider->output_expires < SHORT_OUTPUT;
	bool lacks_extra = terms->needs_extra && !provider->create_extra;
	char *sentences[] = {
		warn_of_poll(provider),
		warn_of_range("upload_expires", provider->upload_expires, terms->upload_expiry_min_s,
			      terms->upload_expiry_max_s, terms->name),
		warn_of_range("output_expires", provider->output_expires, terms->output_expiry_min_s,
			      terms->output_expiry_max_s, terms->name),
		is_short ? xstrdup("output_expires is below 3d; results that are not fetched in time are lost") : NULL,
		lacks_extra ? xasprintf("create_extra is not set; dialect %s takes no batch without its own", terms->name) :
			      NULL,
	};

	for (size_t i = 0; i < ARRAY_SIZE(sentences); i++) {
		auto_free char *sentence = sentences[i];
		auto_free char *text = sentence ? xasprintf("[provider %s] %s", provider->name, sentence) : NULL;

		if (text)
			on_warning(text, context);
	}
}
