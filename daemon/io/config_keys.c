#include "daemon/io/config_keys.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "daemon/base/alloc.h"
#include "daemon/base/cleanup.h"
#include "daemon/base/error.h"
#include "daemon/base/log.h"
#include "daemon/io/config.h"
#include "daemon/io/config_dialect.h"
#include "daemon/model/price.h"

#define MAX_CREDENTIAL 128 /* characters of a credential's name */
#define MAX_CURRENCY   8   /* letters */

struct unit {
	const char *name;
	int64_t factor;
};

/* What an amount is counted in; units stand in rising order. */
struct measure {
	const char *noun; /* and examples, for the sentence that refuses a value */
	const struct unit *units;
	size_t unit_count;
};

struct config_key {
	enum config_section section;
	const char *name;
	size_t offset; /* of its member in the section's struct */
	int (*set)(const struct config_key *key, const char *value, void *member,
		   struct error *err);
	const char *preset; /* NULL: none */
	const struct measure *measure;
	int64_t minimum, maximum;
};

#define DAEMON(member)   CONFIG_DAEMON, #member, offsetof(struct config, member)
#define PROVIDER(member) CONFIG_PROVIDER, #member, offsetof(struct config_provider, member)
#define LIMIT(member)    CONFIG_DAEMON, #member, offsetof(struct config, limits.member)
#define USER(member)     CONFIG_USER, #member, offsetof(struct config_user, limits.member)
#define PROVIDER_MODEL(member)   CONFIG_PROVIDER_MODEL, #member, offsetof(struct config_provider_model, member)
#define MODEL(member)    CONFIG_MODEL, #member, offsetof(struct config_model, member)
#define KIB              INT64_C(1024)
#define SECOND           INT64_C(1000)
#define DAY              (24 * 3600 * SECOND)
#define MOST             INT64_C(1000000000000000) /* of what limits users */

/* clang-format off */
static const struct unit duration_units[] = {
	{ "ms", 1 }, { "s", SECOND }, { "m", 60 * SECOND }, { "h", 3600 * SECOND }, { "d", DAY },
};
static const struct unit size_units[] = {
	{ "", 1 }, { "B", 1 },
	{ "KB", 1000 },			{ "kB", 1000 },		{ "KiB", KIB },
	{ "MB", 1000000 },		{ "MiB", KIB * KIB },
	{ "GB", 1000000000 },		{ "GiB", KIB * KIB * KIB },
	{ "TB", 1000000000000 },	{ "TiB", KIB * KIB * KIB * KIB },
};
static const struct unit count_units[] = { { "", 1 } };

static const struct measure duration = { "duration (250ms, 5s, 2m, 1h, 1d)", duration_units, ARRAY_SIZE(duration_units) };
static const struct measure size = { "size (512, 64KiB, 200MB, 1GB)", size_units, ARRAY_SIZE(size_units) };
static const struct measure count = { "whole number", count_units, ARRAY_SIZE(count_units) };
/* clang-format on */

static int parse_amount(const struct measure *measure, const char *text, int64_t *ret_value)
{
	size_t digits = strspn(text, "0123456789");
	int64_t value = 0;

	if (digits == 0)
		return -EINVAL;
	for (size_t i = 0; i < measure->unit_count; i++) {
		if (strcmp(text + digits, measure->units[i].name) != 0)
			continue;
		for (size_t k = 0; k < digits; k++)
			if (__builtin_mul_overflow(value, 10, &value) ||
			    __builtin_add_overflow(value, text[k] - '0', &value))
				return -ERANGE;
		if (__builtin_mul_overflow(value, measure->units[i].factor, &value))
			return -ERANGE;
		*ret_value = value;
		return 0;
	}
	return -EINVAL;
}

/* The amount in its largest unit that leaves no rest. */
static char *show_amount(const struct measure *measure, int64_t value)
{
	const struct unit *best = &measure->units[0];

	for (size_t i = 0; i < measure->unit_count && value; i++)
		if (value % measure->units[i].factor == 0 &&
		    measure->units[i].factor > best->factor)
			best = &measure->units[i];
	return xasprintf("%" PRId64 "%s", value / best->factor, best->name);
}

static int set_amount(const struct config_key *key, const char *value, void *member,
		      struct error *err)
{
	auto_free char *minimum = show_amount(key->measure, key->minimum);
	auto_free char *maximum = show_amount(key->measure, key->maximum);
	int64_t amount = 0;
	int failed = parse_amount(key->measure, value, &amount);

	if (failed == -EINVAL)
		return error_set(err, -EINVAL, "\"%s\" is no %s", value, key->measure->noun);
	if (failed || amount < key->minimum || amount > key->maximum)
		return error_set(err, -EINVAL, "\"%s\" is out of range (%s to %s)", value, minimum,
				 maximum);
	*(int64_t *)member = amount;
	return 0;
}

/* Parts of 10,000, from "1%", "0.05%" or "50 %". */
static int set_percent(const struct config_key *key, const char *value, void *member,
		       struct error *err)
{
	size_t digits = strspn(value, "0123456789");
	size_t places = value[digits] == '.' ? strspn(value + digits + 1, "0123456789") : 0;
	const char *rest = value + digits + (value[digits] == '.') + places;
	int64_t parts = 0;

	if (digits == 0 || digits > 3 || places > 2 || (value[digits] == '.' && places == 0) ||
	    (strcmp(rest, "%") != 0 && strcmp(rest, " %") != 0))
		return error_set(err, -EINVAL, "\"%s\" is no percentage (1%%, 0.05%%)", value);
	for (size_t i = 0; i < digits; i++)
		parts = parts * 10 + (value[i] - '0');
	for (size_t i = 0; i < 2; i++)
		parts = parts * 10 + (i < places ? value[digits + 1 + i] - '0' : 0);
	if (parts < key->minimum || parts > key->maximum)
		return error_set(err, -EINVAL, "\"%s\" is out of range (0%% to 100%%)", value);
	*(int64_t *)member = parts;
	return 0;
}

/* An amount in millionths; what it is, and what it may look like, is for the complaint. */
static int set_micros(const char *value, const char *noun, const char *examples, void *member, struct error *err)
{
	int failed = price_parse(value, member);

	if (failed == -ERANGE)
		return error_set(err, -EINVAL, "\"%s\" is out of range (0 to 1000000)", value);
	if (failed)
		return error_set(err, -EINVAL, "\"%s\" is no %s (%s; at most six places)", value, noun, examples);
	return 0;
}

static int set_price(const struct config_key *key, const char *value, void *member,
		     struct error *err)
{
	(void)key;
	return set_micros(value, "price", "10, 0.15", member, err);
}

static int set_money(const struct config_key *key, const char *value, void *member,
		     struct error *err)
{
	(void)key;
	return set_micros(value, "amount", "10, 2.50", member, err);
}

static int set_switch(const struct config_key *key, const char *value, void *member,
		      struct error *err)
{
	static const char *const words[] = {"no", "yes", "false", "true", "off", "on"};

	(void)key;
	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (strcmp(value, words[i]) == 0) {
			*(bool *)member = i % 2;
			return 0;
		}
	return error_set(err, -EINVAL, "\"%s\" is neither yes nor no", value);
}

static int set_delete(const struct config_key *key, const char *value, void *member,
		      struct error *err)
{
	static const char *const words[] = {
		[CONFIG_DELETE_NEVER] = "never",
		[CONFIG_DELETE_STRAYS] = "strays",
		[CONFIG_DELETE_INPUTS] = "inputs",
		[CONFIG_DELETE_ALL] = "all",
	};

	(void)key;
	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (strcmp(value, words[i]) == 0) {
			*(enum config_delete *)member = (enum config_delete)i;
			return 0;
		}
	return error_set(err, -EINVAL, "\"%s\" is none of never, strays, inputs, all", value);
}

static int set_text(const struct config_key *key, const char *value, void *member,
		    struct error *err)
{
	char **text = member;

	(void)key;
	(void)err;
	free(*text);
	*text = xstrdup(value);
	return 0;
}

static int set_stuck(const struct config_key *key, const char *value, void *member,
		     struct error *err)
{
	if (strcmp(value, "tell") != 0 && strcmp(value, "resend") != 0)
		return error_set(err, -EINVAL, "\"%s\" is neither tell nor resend", value);
	return set_text(key, value, member, err);
}

static int set_level(const struct config_key *key, const char *value, void *member,
		     struct error *err)
{
	enum log_level level;

	if (log_level_parse(value, &level) < 0)
		return error_set(err, -EINVAL,
				 "\"%s\" is no level (error, warning, notice, info, debug)", value);
	return set_text(key, value, member, err);
}

static int set_currency(const struct config_key *key, const char *value, void *member,
			struct error *err)
{
	size_t length = strlen(value);

	if (length > MAX_CURRENCY || strspn(value, CONFIG_LETTERS) != length)
		return error_set(err, -EINVAL, "\"%s\" is not 1 to %d letters", value, MAX_CURRENCY);
	return set_text(key, value, member, err);
}

static int set_socket(const struct config_key *key, const char *value, void *member,
		      struct error *err)
{
	size_t longest = sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1;

	if (strlen(value) > longest)
		return error_set(err, -EINVAL,
				 "longer than %zu bytes, the most a Unix socket can have", longest);
	return set_text(key, value, member, err);
}

/* What becomes the value of an HTTP header. */
static int set_header(const struct config_key *key, const char *value, void *member,
		      struct error *err)
{
	for (const char *letter = value; *letter; letter++)
		if (*letter <= ' ' || *letter > '~')
			return error_set(err, -EINVAL,
					 "only printable ASCII without blanks may be sent");
	return set_text(key, value, member, err);
}

static int set_base_url(const struct config_key *key, const char *value, void *member,
			struct error *err)
{
	size_t scheme = strncmp(value, "https://", 8) == 0  ? 8
			: strncmp(value, "http://", 7) == 0 ? 7
							    : 0;
	auto_free char *url = xstrdup(value);
	size_t length = strlen(url);

	if (scheme == 0 || strcspn(value + scheme, "/") == 0)
		return error_set(err, -EINVAL,
				 "no URL that begins with https://HOST or http://HOST");
	if (memchr(value + scheme, '@', strcspn(value + scheme, "/")))
		return error_set(
			err, -EINVAL,
			"a name or password has no place in it; a key goes into api_key_file");
	if (strpbrk(value, "?#"))
		return error_set(err, -EINVAL,
				 "\"%s\" must end with its path, without \"?\" or \"#\"", value);
	while (length > scheme && url[length - 1] == '/')
		url[--length] = '\0';
	return set_header(key, url, member, err);
}

/* Never quoted: what stands here by mistake may be a key. */
static int set_key_file(const struct config_key *key, const char *value, void *member,
			struct error *err)
{
	size_t length = strlen(value);

	if (strchr(value, '/'))
		return set_text(key, value, member, err);
	if (strncmp(value, "sk-", 3) == 0 || strncmp(value, "Bearer", 6) == 0)
		return error_set(err, -EINVAL,
				 "this looks like a key; it takes the name of a file");
	if (length > MAX_CREDENTIAL || strspn(value, CONFIG_NAME_LETTERS) != length ||
	    value[0] == '.')
		return error_set(err, -EINVAL,
				 "neither a path (with a slash) nor the name of a credential");
	return set_text(key, value, member, err);
}

/* clang-format off */
static const struct config_key keys[] = {
	{ DAEMON(state_folder),		set_text,	"/var/lib/batchd",		NULL, 0, 0 },
	{ DAEMON(socket),		set_socket,	"/run/batchd/batchd.sock",	NULL, 0, 0 },
	{ DAEMON(operators),		set_text,	NULL,				NULL, 0, 0 },
	{ DAEMON(log_level),		set_level,	"info",				NULL, 0, 0 },
	{ DAEMON(max_file),		set_amount,	"16GB",		&size,	KIB,	INT64_C(1000000000000) },
	{ DAEMON(max_connections),	set_amount,	"1000",		&count,	1,	10000 },
	{ DAEMON(max_connections_per_user), set_amount,	"250",		&count,	1,	10000 },
	{ DAEMON(min_free),		set_amount,	"256MB",	&size,	0,	INT64_C(1000000000000) },
	{ DAEMON(currency),		set_currency,	"USD",				NULL, 0, 0 },
	{ LIMIT(max_jobs),		set_amount,	"0",		&count,	0,	MOST },
	{ LIMIT(max_requests),		set_amount,	"0",		&count,	0,	MOST },
	{ LIMIT(max_bytes),		set_amount,	"0",		&size,	0,	MOST },
	{ LIMIT(max_tokens_per_day),	set_amount,	"0",		&count,	0,	MOST },
	{ LIMIT(max_cost_per_day),	set_money,	"0",				NULL, 0, 0 },
	{ PROVIDER(base_url),		set_base_url,	NULL,				NULL, 0, 0 },
	{ PROVIDER(api_key_file),	set_key_file,	NULL,				NULL, 0, 0 },
	{ PROVIDER(organization),	set_header,	NULL,				NULL, 0, 0 },
	{ PROVIDER(project),		set_header,	NULL,				NULL, 0, 0 },
	{ PROVIDER(dialect),		config_set_dialect, DIALECT_DEFAULT,		NULL, 0, 0 },
	{ PROVIDER(auth_header),	config_set_header_name, NULL,			NULL, 0, 0 },
	{ PROVIDER(auth_prefix),	set_header,	NULL,				NULL, 0, 0 },
	{ PROVIDER(header),		config_add_header, NULL,			NULL, 0, 0 },
	{ PROVIDER(query),		config_set_query, NULL,				NULL, 0, 0 },
	{ PROVIDER(purpose),		set_header,	NULL,				NULL, 0, 0 },
	{ PROVIDER(upload_type),	set_header,	NULL,				NULL, 0, 0 },
	{ PROVIDER(line_url),		config_set_url_prefix, NULL,			NULL, 0, 0 },
	{ PROVIDER(endpoints),		config_set_endpoints, NULL,			NULL, 0, 0 },
	{ PROVIDER(windows),		config_set_windows, NULL,			NULL, 0, 0 },
	{ PROVIDER(create_extra),	config_set_object, NULL,			NULL, 0, 0 },
	{ PROVIDER(file_wait),		config_set_file_wait, NULL,			NULL, 0, 0 },
	{ PROVIDER(upload_expires),	set_amount,	"0s",		&duration, 0,	365 * DAY },
	{ PROVIDER(upload_expires_form), config_set_expiry_form, NULL,			NULL, 0, 0 },
	{ PROVIDER(output_expires),	set_amount,	"0s",		&duration, 0,	365 * DAY },
	{ PROVIDER(list_form),		config_set_list_form, NULL,			NULL, 0, 0 },
	{ PROVIDER(ca_file),		set_text,	NULL,				NULL, 0, 0 },
	{ PROVIDER(client_cert),	set_text,	NULL,				NULL, 0, 0 },
	{ PROVIDER(client_key),		set_text,	NULL,				NULL, 0, 0 },
	{ PROVIDER(proxy),		set_header,	NULL,				NULL, 0, 0 },
	{ PROVIDER(low_speed),		set_amount,	"1",		&size,	1,	INT64_C(1000000000) },
	{ PROVIDER(bandwidth),		set_amount,	"0",		&size,	0,	INT64_C(1000000000000) },
	{ PROVIDER(poll_first),		set_amount,	NULL,		&duration, 1,	DAY },
	{ PROVIDER(poll_longest),	set_amount,	"1m",		&duration, 1,	DAY },
	{ PROVIDER(settle),		set_amount,	"10m",		&duration, 0,	7 * DAY },
	{ PROVIDER(retry_first),	set_amount,	"5s",		&duration, 1,	DAY },
	{ PROVIDER(retry_longest),	set_amount,	"15m",		&duration, 1,	DAY },
	{ PROVIDER(connect_timeout),	set_amount,	"10s",		&duration, 1,	3600 * SECOND },
	{ PROVIDER(call_timeout),	set_amount,	"1m",		&duration, 1,	3600 * SECOND },
	{ PROVIDER(stall_timeout),	set_amount,	"1m",		&duration, 1,	3600 * SECOND },
	{ PROVIDER(max_requests),	set_amount,	NULL,		&count,	1,	50000 },
	{ PROVIDER(max_bytes),		set_amount,	NULL,		&size,	1,	INT64_C(10000000000) },
	{ PROVIDER(max_inputs),		set_amount,	NULL,		&count,	1,	INT64_C(1000000000) },
	{ PROVIDER(max_tokens),		set_amount,	"0",		&count,	0,	INT64_C(1000000000000) },
	{ PROVIDER(bytes_per_token),	set_amount,	"4",		&count,	1,	1000 },
	{ PROVIDER(max_batches),	set_amount,	"0",		&count,	0,	INT64_C(1000000000) },
	{ PROVIDER(max_enqueued_tokens), set_amount,	"0",		&count,	0,	INT64_C(1000000000000000) },
	{ PROVIDER(max_enqueued_requests), set_amount,	"0",		&count,	0,	INT64_C(1000000000000) },
	{ PROVIDER(max_attempts),	set_amount,	"3",		&count,	1,	100 },
	{ PROVIDER(probe_lost),		set_amount,	"1h",		&duration, 0,	7 * DAY },
	{ PROVIDER(resend_lost),	set_percent,	"1%",				NULL, 0, 10000 },
	{ PROVIDER(batch_discount),	set_percent,	"50%",				NULL, 0, 10000 },
	{ PROVIDER(max_transfers),	set_amount,	"4",		&count,	1,	64 },
	{ PROVIDER(move_after),		set_amount,	"10m",		&duration, 0,	7 * DAY },
	{ PROVIDER(breaker),		set_amount,	"5",		&count,	0,	1000 },
	{ PROVIDER(uploads_per_minute),	set_amount,	"0",		&count,	0,	1000000 },
	{ PROVIDER(batches_per_hour),	set_amount,	"0",		&count,	0,	1000000 },
	{ PROVIDER(lists_per_minute),	set_amount,	"0",		&count,	0,	1000000 },
	{ PROVIDER(trust_list),		set_switch,	"no",				NULL, 0, 0 },
	{ PROVIDER(delete),		set_delete,	"inputs",			NULL, 0, 0 },
	{ PROVIDER(delete_results_after), set_amount,	"1d",		&duration, 0,	365 * DAY },
	{ PROVIDER(sweep_files),	set_amount,	"1d",		&duration, 0,	365 * DAY },
	{ PROVIDER(stuck_after),	set_amount,	"1d",		&duration, 0,	30 * DAY },
	{ PROVIDER(stuck_action),	set_stuck,	"tell",				NULL, 0, 0 },
	{ USER(max_jobs),		set_amount,	NULL,		&count,	0,	MOST },
	{ USER(max_requests),		set_amount,	NULL,		&count,	0,	MOST },
	{ USER(max_bytes),		set_amount,	NULL,		&size,	0,	MOST },
	{ USER(max_tokens_per_day),	set_amount,	NULL,		&count,	0,	MOST },
	{ USER(max_cost_per_day),	set_money,	NULL,				NULL, 0, 0 },
	{ PROVIDER_MODEL(max_batches),		set_amount,	NULL,		&count,	1,	INT64_C(1000000000) },
	{ PROVIDER_MODEL(max_enqueued_tokens),	set_amount,	NULL,		&count,	1,	INT64_C(1000000000000000) },
	{ PROVIDER_MODEL(max_enqueued_requests), set_amount,	NULL,		&count,	1,	INT64_C(1000000000000) },
	{ PROVIDER_MODEL(max_requests),		set_amount,	NULL,		&count,	1,	50000 },
	{ PROVIDER_MODEL(max_bytes),		set_amount,	NULL,		&size,	1,	INT64_C(10000000000) },
	{ PROVIDER_MODEL(bytes_per_token),	set_amount,	NULL,		&count,	1,	1000 },
	{ MODEL(input_price),		set_price,	NULL,				NULL, 0, 0 },
	{ MODEL(output_price),		set_price,	NULL,				NULL, 0, 0 },
};
/* clang-format on */

const char *config_section_name(enum config_section section)
{
	/* clang-format off */
	static const char *const names[] = {
		[CONFIG_NONE]     = "",
		[CONFIG_DAEMON]   = "daemon",
		[CONFIG_PROVIDER] = "provider",
		[CONFIG_ROUTES]   = "routes",
		[CONFIG_PROVIDER_MODEL]   = "provider-model",
		[CONFIG_MODEL]    = "model",
		[CONFIG_USER]     = "user",
	};
	/* clang-format on */

	return names[section];
}

size_t config_key_count(void)
{
	return ARRAY_SIZE(keys);
}

const struct config_key *config_key_find(enum config_section section, const char *name,
					 size_t *ret_number)
{
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		if (keys[i].section == section && strcmp(keys[i].name, name) == 0) {
			*ret_number = i;
			return &keys[i];
		}
	return NULL;
}

bool config_key_is_list(const struct config_key *key)
{
	return key->set == config_add_header;
}

int config_key_set(const struct config_key *key, const char *value, void *target, struct error *err)
{
	return key->set(key, value, (char *)target + key->offset, err);
}

void config_keys_preset(enum config_section section, void *target)
{
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		if (keys[i].section == section && keys[i].preset)
			(void)config_key_set(&keys[i], keys[i].preset, target, NULL);
}

/* What a key owns, that is freed with its section. */
enum possession { NOTHING, TEXT, LIST };

static enum possession possession_of(const struct config_key *key)
{
	static int (*const numbers[])(const struct config_key *, const char *, void *, struct error *) = {
		set_amount, set_percent, set_price, set_money, set_switch, set_delete, config_set_file_wait, config_set_expiry_form,
		config_set_list_form,
	};

	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
		if (key->set == numbers[i])
			return NOTHING;
	return config_key_is_list(key) ? LIST : TEXT;
}

static void release_list(struct config_headers *headers)
{
	for (size_t i = 0; i < headers->count; i++)
		free(headers->list[i]);
}

void config_keys_release(enum config_section section, void *target)
{
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		void *member = (char *)target + keys[i].offset;
		enum possession possession = possession_of(&keys[i]);

		if (keys[i].section == section && possession == TEXT)
			free(*(char **)member);
		else if (keys[i].section == section && possession == LIST)
			release_list(member);
	}
}

char *config_show_duration(int64_t duration_ms)
{
	return show_amount(&duration, duration_ms);
}

void config_print_keys(FILE *out)
{
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		(void)fprintf(out, "%s %s %s\n",
			      config_section_name(keys[i].section), keys[i].name,
			      keys[i].preset ? keys[i].preset : "-");
}

int config_parse_duration(const char *text, int64_t *ret_ms)
{
	return parse_amount(&duration, text, ret_ms);
}

int config_parse_size(const char *text, int64_t *ret_bytes)
{
	return parse_amount(&size, text, ret_bytes);
}
