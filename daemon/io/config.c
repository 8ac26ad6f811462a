#include "daemon/io/config.h"

#include <errno.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>

#include <ini.h>

#include "daemon/base/alloc.h"
#include "daemon/base/cleanup.h"
#include "daemon/base/error.h"
#include "daemon/io/config_dialect.h"
#include "daemon/io/config_keys.h"
#include "daemon/io/config_routes.h"
#include "daemon/model/price.h"

#define MAX_NAME 32 /* characters of a provider's name */
#define MAX_USER 64 /* of a user's */

/* One reading of one file. */
struct parse {
	FILE *stream;
	const char *path;
	struct config *config;
	enum config_section section;
	void *target;   /* whose members the section's keys fill */
	char *title;    /* of a [provider NAME model PATTERN], behind its first word */
	int *key_lines; /* where the section gave each key; 0: not yet */
	int daemon_line, routes_line;
	int provider_lines[CONFIG_MAX_PROVIDERS];
	int model_lines[CONFIG_MAX_MODELS];
	int user_lines[CONFIG_MAX_USERS];
	int line;
	int read_error;     /* errno of reading the file, or 0 */
	struct error error; /* the first thing that is wrong, always at line */
};

static bool has_failed(const struct parse *parse)
{
	return parse->error.code != 0;
}

static int open_daemon(struct parse *parse, const char *name)
{
	(void)name;
	if (parse->daemon_line)
		return error_set(&parse->error, -EINVAL,
				 "[daemon] stands here twice (first at line %d)",
				 parse->daemon_line);
	parse->daemon_line = parse->line;
	parse->section = CONFIG_DAEMON;
	parse->target = parse->config;
	return 0;
}

/* What stands behind the word "model" in "NAME model PATTERN"; NULL: it is a provider's own section. */
static const char *pattern_in(const char *title)
{
	const char *word = title + strcspn(title, " \t");
	size_t size;

	word += strspn(word, " \t");
	size = strcspn(word, " \t");
	if (size != strlen("model") || strncmp(word, "model", size) != 0)
		return NULL;
	return word + size + strspn(word + size, " \t");
}

static struct config_provider *provider_above(struct parse *parse, const char *title)
{
	struct config *config = parse->config;
	size_t length = strcspn(title, " \t");

	for (size_t i = 0; i < config->provider_count; i++)
		if (strlen(config->providers[i].name) == length &&
		    strncmp(config->providers[i].name, title, length) == 0)
			return &config->providers[i];
	(void)error_set(&parse->error, -EINVAL, "[provider %s]: there is no section [provider %.*s] above it", title,
			(int)length, title);
	return NULL;
}

static int open_limits(struct parse *parse, const char *title, const char *pattern)
{
	struct config_provider *provider = provider_above(parse, title);
	struct config_provider_model *limits;

	if (!provider)
		return parse->error.code;
	if (config_check_model(pattern) < 0)
		return error_set(&parse->error, -EINVAL,
				 "[provider NAME model PATTERN] takes a pattern of 1 to %d printable characters without blanks",
				 CONFIG_MAX_MODEL);
	for (size_t i = 0; i < provider->model_count; i++)
		if (strcmp(provider->models[i].pattern, pattern) == 0)
			return error_set(&parse->error, -EINVAL, "[provider %s] stands here twice (first at line %d)",
					 title, provider->models[i].line);
	if (provider->model_count == CONFIG_MAX_MODELS)
		return error_set(&parse->error, -EINVAL, "more than %d sections [provider %s model PATTERN]",
				 CONFIG_MAX_MODELS, provider->name);
	provider->models = xreallocarray(provider->models, provider->model_count + 1, sizeof(*provider->models));
	limits = &provider->models[provider->model_count++];
	*limits = (struct config_provider_model){.pattern = xstrdup(pattern), .line = parse->line};
	config_keys_preset(CONFIG_PROVIDER_MODEL, limits);
	parse->section = CONFIG_PROVIDER_MODEL;
	parse->target = limits;
	free(parse->title);
	parse->title = xstrdup(title);
	return 0;
}

static int open_provider(struct parse *parse, const char *name)
{
	struct config *config = parse->config;
	struct config_provider *provider;
	const char *pattern = pattern_in(name);
	size_t length = strlen(name);

	if (pattern)
		return open_limits(parse, name, pattern);
	if (length == 0 || length > MAX_NAME || strspn(name, CONFIG_NAME_LETTERS) != length)
		return error_set(&parse->error, -EINVAL,
				 "[provider NAME] takes a name of 1 to %d letters, digits, \".\", "
				 "\"_\" or \"-\"",
				 MAX_NAME);
	for (size_t i = 0; i < config->provider_count; i++)
		if (strcmp(config->providers[i].name, name) == 0)
			return error_set(&parse->error, -EINVAL,
					 "[provider %s] stands here twice (first at line %d)", name,
					 parse->provider_lines[i]);
	if (config->provider_count == CONFIG_MAX_PROVIDERS)
		return error_set(&parse->error, -EINVAL, "more than %d providers",
				 CONFIG_MAX_PROVIDERS);
	config->providers = xreallocarray(config->providers, config->provider_count + 1,
					  sizeof(*config->providers));
	parse->provider_lines[config->provider_count] = parse->line;
	provider = &config->providers[config->provider_count++];
	*provider = (struct config_provider){.name = xstrdup(name)};
	config_keys_preset(CONFIG_PROVIDER, provider);
	parse->section = CONFIG_PROVIDER;
	parse->target = provider;
	return 0;
}

static int open_routes(struct parse *parse, const char *name)
{
	(void)name;
	if (parse->routes_line)
		return error_set(&parse->error, -EINVAL, "[routes] stands here twice (first at line %d)",
				 parse->routes_line);
	parse->routes_line = parse->line;
	parse->section = CONFIG_ROUTES;
	return 0;
}

static int open_model(struct parse *parse, const char *name)
{
	struct config *config = parse->config;
	struct config_model *model;

	if (config_check_model(name) < 0)
		return error_set(&parse->error, -EINVAL,
				 "[model NAME] takes a name of 1 to %d printable characters without blanks",
				 CONFIG_MAX_MODEL);
	for (size_t i = 0; i < config->model_count; i++)
		if (strcmp(config->models[i].name, name) == 0)
			return error_set(&parse->error, -EINVAL, "[model %s] stands here twice (first at line %d)",
					 name, parse->model_lines[i]);
	if (config->model_count == CONFIG_MAX_MODELS)
		return error_set(&parse->error, -EINVAL, "more than %d models", CONFIG_MAX_MODELS);
	config->models = xreallocarray(config->models, config->model_count + 1, sizeof(*config->models));
	parse->model_lines[config->model_count] = parse->line;
	model = &config->models[config->model_count++];
	*model = (struct config_model){.name = xstrdup(name)};
	config_keys_preset(CONFIG_MODEL, model);
	parse->section = CONFIG_MODEL;
	parse->target = model;
	return 0;
}

/* A uid as it stands in digits; (uid_t)-1, which is nobody's, when it is none. */
static uid_t read_uid(const char *name)
{
	size_t length = strlen(name);
	unsigned long long number = length <= 10 ? strtoull(name, NULL, 10) : UINT32_MAX;

	return strspn(name, "0123456789") == length && number < UINT32_MAX ? (uid_t)number : (uid_t)-1;
}

static int find_uid(struct parse *parse, const char *name, int64_t *ret_uid)
{
	uid_t uid = read_uid(name);
	const struct passwd *user = uid == (uid_t)-1 && *name ? getpwnam(name) : NULL;

	if (user)
		uid = user->pw_uid;
	if (!*name || strlen(name) > MAX_USER)
		return error_set(&parse->error, -EINVAL, "[user NAME] takes the name of a user, or a uid");
	if (uid == (uid_t)-1)
		return error_set(&parse->error, -EINVAL, "[user %s]: there is no such user", name);
	*ret_uid = uid;
	return 0;
}

static int open_user(struct parse *parse, const char *name)
{
	static const struct config_limits unset = { -1, -1, -1, -1, -1 };
	struct config *config = parse->config;
	struct config_user *user;
	int64_t uid = 0;

	if (find_uid(parse, name, &uid))
		return parse->error.code;
	for (size_t i = 0; i < config->user_count; i++)
		if (config->users[i].uid == uid)
			return error_set(&parse->error, -EINVAL,
					 "[user %s] stands here twice (first at line %d, as [user %s])", name,
					 parse->user_lines[i], config->users[i].name);
	if (config->user_count == CONFIG_MAX_USERS)
		return error_set(&parse->error, -EINVAL, "more than %d users", CONFIG_MAX_USERS);
	config->users = xreallocarray(config->users, config->user_count + 1, sizeof(*config->users));
	parse->user_lines[config->user_count] = parse->line;
	user = &config->users[config->user_count++];
	*user = (struct config_user){.name = xstrdup(name), .uid = uid, .limits = unset};
	parse->section = CONFIG_USER;
	parse->target = user;
	return 0;
}

/* clang-format off */
static const struct {
	const char *word;
	bool has_name;
	int (*open)(struct parse *parse, const char *name);
} sections[] = {
	{ "daemon",   false, open_daemon },
	{ "provider", true,  open_provider },
	{ "routes",   false, open_routes },
	{ "model",    true,  open_model },
	{ "user",     true,  open_user },
};
/* clang-format on */

/*
 * A section is read here and not left to inih, which cuts long names, ignores what stands behind
 * the bracket, and says nothing of a section without keys.
 */
static int open_section(struct parse *parse, const char *line)
{
	size_t length = strcspn(line, "]");
	auto_free char *name = xmemdup0(line + 1, length - 1);
	size_t size = strcspn(name, " \t");
	const char *rest = name + size + strspn(name + size, " \t");

	if (line[length] == '\0')
		return error_set(&parse->error, -EINVAL, "\"[\" without \"]\"");
	if (line[length + 1 + strspn(line + length + 1, " \t\r")] != '\0')
		return error_set(&parse->error, -EINVAL, "nothing may follow [%s] on its line",
				 name);
	memset(parse->key_lines, 0, config_key_count() * sizeof(*parse->key_lines));
	for (size_t i = 0; i < ARRAY_SIZE(sections); i++)
		if (strlen(sections[i].word) == size && strncmp(sections[i].word, name, size) == 0 &&
		    (sections[i].has_name || !name[size]))
			return sections[i].open(parse, rest);
	return error_set(&parse->error, -EINVAL,
			 "unknown section [%s] (there are [daemon], [provider NAME], [provider NAME model PATTERN], [routes], "
			 "[model NAME] and [user NAME])",
			 name);
}

/* Moves one line without its newline into text, as far as it fits. false at the end of the file. */
static bool take_line(FILE *stream, char *text, size_t capacity, bool *ret_is_cut,
		      bool *ret_has_control)
{
	size_t length = 0;
	bool is_empty = true;
	int byte, before = 0;

	*ret_is_cut = false;
	*ret_has_control = false;
	for (byte = getc(stream); byte != EOF && byte != '\n'; byte = getc(stream)) {
		*ret_has_control |= (byte < ' ' && byte != '\t' && byte != '\r') || byte == 0x7f ||
				    before == '\r';
		before = byte;
		is_empty = false;
		if (length + 1 < capacity)
			text[length++] = (char)byte;
		else
			*ret_is_cut = true;
	}
	text[length] = '\0';
	return byte != EOF || !is_empty;
}

static int check_line(struct parse *parse, const char *line, bool is_cut, bool has_control,
		      int capacity)
{
	if (has_control)
		return error_set(&parse->error, -EINVAL, "a control character");
	if (is_cut)
		return error_set(&parse->error, -EINVAL, "longer than %d bytes", capacity - 1);
	for (const char *mark = strpbrk(line, ";#"); mark; mark = strpbrk(mark + 1, ";#"))
		if (mark > line && (mark[-1] == ' ' || mark[-1] == '\t'))
			return error_set(&parse->error, -EINVAL,
					 "a comment needs a line of its own");
	if (*line == '[')
		return open_section(parse, line);
	return parse->section == CONFIG_ROUTES && *line ?
		       config_routes_add(parse->config, line, parse->line, &parse->error) :
		       0;
}

/*
 * Feeds inih (the type of its reader asks for an int): one call, one line, so that its count of
 * lines is ours. What it would take in a way that nobody expects never reaches it: continued lines
 * (the blanks that would mark them are dropped), comments behind values, lines longer than its
 * buffer.
 */
static char *read_line(char *text, int capacity, void *context)
{
	struct parse *parse = context;
	bool is_cut, has_control;
	const char *start = text;

	errno = 0;
	if (has_failed(parse) ||
	    !take_line(parse->stream, text, (size_t)capacity - 1, &is_cut, &has_control)) {
		parse->read_error = ferror(parse->stream) ? errno : 0;
		return NULL;
	}
	parse->line++;
	if (parse->line == 1 && strncmp(start, "\xef\xbb\xbf", 3) == 0)
		start += 3;
	start += strspn(start, " \t\r");
	if (*start == '#' || *start == ';')
		start += strlen(start);
	else if (check_line(parse, start, is_cut, has_control, capacity - 1) < 0)
		return NULL;
	else if (parse->section == CONFIG_ROUTES)
		start += strlen(start);
	memmove(text, start, strlen(start) + 1);
	return strcat(text, "\n");
}

static char *section_title(const struct parse *parse)
{
	const struct config_provider *provider = parse->target;
	const struct config_model *model = parse->target;
	const struct config_user *user = parse->target;
	const char *name = parse->section == CONFIG_PROVIDER ? provider->name :
			   parse->section == CONFIG_MODEL    ? model->name :
			   parse->section == CONFIG_USER     ? user->name :
							       NULL;

	if (parse->section == CONFIG_PROVIDER_MODEL)
		return xasprintf("[provider %s]", parse->title);
	return xasprintf("[%s%s%s]", config_section_name(parse->section), name ? " " : "", name ? name : "");
}

/* Called by inih for each key; the answer 0 makes it count this line as wrong. */
static int take_key(void *context, const char *section, const char *name, const char *value)
{
	struct parse *parse = context;
	size_t number = 0;
	const struct config_key *key = config_key_find(parse->section, name, &number);
	auto_free char *title = section_title(parse);
	int *first = &parse->key_lines[number];

	(void)section;
	if (parse->section == CONFIG_NONE)
		(void)error_set(&parse->error, -EINVAL, "\"%s\" stands before any section", name);
	else if (!key)
		(void)error_set(&parse->error, -EINVAL, "%s: unknown key \"%s\"", title, name);
	else if (*first && !config_key_is_list(key))
		(void)error_set(&parse->error, -EINVAL, "%s %s: given twice (first at line %d)",
				title, name, *first);
	else if (!value || !*value)
		(void)error_set(&parse->error, -EINVAL, "%s %s: no value", title, name);
	else if (config_key_set(key, value, parse->target, &parse->error) < 0)
		(void)error_prefix(&parse->error, "%s %s", title, name);
	else
		*first = parse->line;
	return !has_failed(parse);
}

static int check_order(const char *first_name, int64_t first, const char *longest_name,
		       int64_t longest, struct error *err)
{
	auto_free char *first_text = config_show_duration(first);
	auto_free char *longest_text = config_show_duration(longest);

	if (first <= longest)
		return 0;
	return error_set(err, -EINVAL, "%s (%s) is shorter than %s (%s)", longest_name,
			 longest_text, first_name, first_text);
}

static int check_providers(struct parse *parse)
{
	const struct config *config = parse->config;
	struct error *err = &parse->error;

	if (config->provider_count == 0)
		return error_set(err, -EINVAL,
				 "%s: no provider; add a section [provider NAME] with base_url",
				 parse->path);
	for (size_t i = 0; i < config->provider_count; i++) {
		struct config_provider *provider = &config->providers[i];

		if (!provider->base_url)
			(void)error_set(err, -EINVAL, "base_url is missing");
		else if (config_dialect_settle(provider, err) == 0 &&
			 check_order("poll_first", provider->poll_first, "poll_longest",
				     provider->poll_longest, err) == 0)
			(void)check_order("retry_first", provider->retry_first, "retry_longest",
					  provider->retry_longest, err);
		if (has_failed(parse))
			return error_prefix(err, "%s:%d: [provider %s]", parse->path,
					    parse->provider_lines[i], provider->name);
	}
	return 0;
}

static int check_models(struct parse *parse)
{
	const struct config *config = parse->config;

	for (size_t i = 0; i < config->model_count; i++)
		if (!config->models[i].input_price && !config->models[i].output_price)
			return error_set(&parse->error, -EINVAL,
					 "%s:%d: [model %s]: neither input_price nor output_price", parse->path,
					 parse->model_lines[i], config->models[i].name);
	return 0;
}

/* What a user's section does not say is as for everybody, wherever [daemon] stands. */
static void settle_users(struct config *config)
{
	const struct config_limits *all = &config->limits;

	for (size_t i = 0; i < config->user_count; i++) {
		struct config_limits *own = &config->users[i].limits;
		const struct {
			int64_t *own;
			int64_t all;
		} limits[] = {
			{ &own->max_jobs, all->max_jobs },
			{ &own->max_requests, all->max_requests },
			{ &own->max_bytes, all->max_bytes },
			{ &own->max_tokens_per_day, all->max_tokens_per_day },
			{ &own->max_cost_per_day, all->max_cost_per_day },
		};

		for (size_t k = 0; k < ARRAY_SIZE(limits); k++)
			if (*limits[k].own < 0)
				*limits[k].own = limits[k].all;
	}
}

static int parse_file(struct parse *parse)
{
	int wrong_line = ini_parse_stream(read_line, parse, take_key, parse);

	if (parse->read_error)
		return error_set(&parse->error, -parse->read_error, "cannot read %s: %s",
				 parse->path, strerror(parse->read_error));
	/* inih goes on behind a line that it does not understand; the first wrong line is the one
	 * to tell. */
	if (wrong_line > 0 && (!has_failed(parse) || wrong_line < parse->line)) {
		parse->line = wrong_line;
		(void)error_set(&parse->error, -EINVAL, "neither [section] nor key = value");
	}
	if (has_failed(parse))
		return error_prefix(&parse->error, "%s:%d", parse->path, parse->line);
	settle_users(parse->config);
	if (check_providers(parse) || check_models(parse))
		return parse->error.code;
	return config_routes_check(parse->config, parse->path, &parse->error);
}

DEFINE_CLEANUP(struct config *, config_free)

int config_load(const char *path, struct config **ret_config, struct error *err)
{
	auto_with(config_free) struct config *config = NULL;
	auto_free int *key_lines = xcalloc(config_key_count(), sizeof(*key_lines));
	auto_fclose FILE *stream = fopen(path, "re");
	struct parse parse = {.stream = stream, .path = path, .key_lines = key_lines};

	if (!stream)
		return error_set(err, -errno, "cannot open %s: %s", path, strerror(errno));
	config = xcalloc(1, sizeof(*config));
	config_keys_preset(CONFIG_DAEMON, config);
	parse.config = config;
	(void)parse_file(&parse);
	free(parse.title);
	if (parse.error.code)
		return error_set(err, parse.error.code, "%s", parse.error.text);
	*ret_config = take(config);
	return 0;
}

void config_free(struct config *config)
{
	if (!config)
		return;
	for (size_t i = 0; i < config->provider_count; i++) {
		free(config->providers[i].name);
		for (size_t k = 0; k < config->providers[i].model_count; k++) {
			free(config->providers[i].models[k].pattern);
			config_keys_release(CONFIG_PROVIDER_MODEL, &config->providers[i].models[k]);
		}
		free(config->providers[i].models);
		config_keys_release(CONFIG_PROVIDER, &config->providers[i]);
	}
	free(config->providers);
	for (size_t i = 0; i < config->model_count; i++) {
		free(config->models[i].name);
		config_keys_release(CONFIG_MODEL, &config->models[i]);
	}
	free(config->models);
	for (size_t i = 0; i < config->user_count; i++)
		free(config->users[i].name);
	free(config->users);
	config_routes_release(config);
	config_keys_release(CONFIG_DAEMON, config);
	free(config);
}

const struct config_provider *config_provider_find(const struct config *config, const char *name)
{
	for (size_t i = 0; i < config->provider_count; i++)
		if (!name || strcmp(config->providers[i].name, name) == 0)
			return &config->providers[i];
	return NULL;
}

const struct config_provider_model *config_provider_model_find(const struct config_provider *provider, const char *model)
{
	for (size_t i = 0; i < provider->model_count; i++)
		if (price_name_fits(provider->models[i].pattern, model))
			return &provider->models[i];
	return NULL;
}

const struct config_model *config_model_find(const struct config *config, const char *name)
{
	for (size_t i = 0; i < config->model_count; i++)
		if (price_name_fits(config->models[i].name, name))
			return &config->models[i];
	return NULL;
}

const struct config_limits *config_limits_of(const struct config *config, int64_t uid)
{
	for (size_t i = 0; i < config->user_count; i++)
		if (config->users[i].uid == uid)
			return &config->users[i].limits;
	return &config->limits;
}
