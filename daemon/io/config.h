/*
 * batchd.conf: one table of keys, from which reading, checking, defaults and the check of the
 * manual all come. A wrong file names file, line, key and what is allowed; nothing is guessed.
 */
#ifndef BATCHD_IO_CONFIG_H
#define BATCHD_IO_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "daemon/model/dialect.h"

struct error;

#define CONFIG_DEFAULT_PATH "/etc/batchd/batchd.conf"
#define CONFIG_MAX_PROVIDERS 64
#define CONFIG_MAX_MODELS 256
#define CONFIG_MAX_HEADERS 8

/* A switch without a default of its own. */
enum config_truth { CONFIG_UNSAID, CONFIG_NO, CONFIG_YES };

/* "Name: value", in the order of the file; the last is NULL. */
struct config_headers {
	char *list[CONFIG_MAX_HEADERS + 1];
	size_t count;
};

/* What is deleted at a provider when nobody needs it any more; each with what stands before it. */
enum config_delete {
	CONFIG_DELETE_NEVER,
	CONFIG_DELETE_STRAYS, /* files that no batch was made of */
	CONFIG_DELETE_INPUTS, /* of batches that have ended, their answers being here */
	CONFIG_DELETE_ALL,    /* and their result files */
};
#define CONFIG_MAX_USERS 1024
#define CONFIG_MAX_ROUTES 256
#define CONFIG_MAX_MODELS 256 /* sections [model NAME]; so many [provider NAME model PATTERN] of a provider */

/* A [provider NAME model PATTERN] section: what holds for models of that name alone; 0: what [provider NAME] says. */
struct config_provider_model {
	char *pattern; /* "*" in it stands for any letters; the first section that fits a model counts */
	int line;      /* of its header */
	int64_t max_batches;
	int64_t max_enqueued_tokens;
	int64_t max_enqueued_requests;
	int64_t max_requests;
	int64_t max_bytes;
	int64_t bytes_per_token;
};

/* A [provider NAME] section. Times in milliseconds, sizes in bytes. */
struct config_provider {
	char *name;
	char *base_url;	       /* required; without a slash at its end */
	char *api_key_file;    /* a path, or the name of a systemd credential; NULL: no key is sent */
	char *organization;    /* header OpenAI-Organization; NULL: none */
	char *project;	       /* header OpenAI-Project; NULL: none */
	char *dialect;	       /* openai: a row of model/dialect.h */
	struct dialect terms;  /* that row, and what the keys below overrule: who sends reads this */
	char *auth_header;     /* these overrule its columns; NULL, or 0: as the dialect says */
	char *auth_prefix;     /* "none": the key alone */
	char *query;	       /* "none": nothing */
	char *purpose;
	char *upload_type;
	char *line_url;	       /* in place of "/v1" */
	char *endpoints;       /* "any" */
	char *windows;
	char *create_extra;
	int file_wait;	       /* enum config_truth */
	int upload_expires_form; /* 1 + enum dialect_expiry */
	int list_form;	       /* 1 + enum dialect_list */
	struct config_headers header; /* sent with every call */
	int64_t upload_expires; /* 0: uploads say nothing of when they may go */
	int64_t output_expires; /* 0: nor do creates of the results */
	char *ca_file;
	char *client_cert;     /* PEM; NULL: none is shown */
	char *client_key;      /* NULL: it stands in client_cert */
	char *proxy;
	int64_t low_speed;     /* 1: bytes a second below which a transfer counts as stalled */
	int64_t bandwidth;     /* 0, no limit: bytes a second of one upload or download */
	int64_t poll_first;    /* this one and max_requests, max_bytes, max_inputs: as the dialect says */
	int64_t poll_longest;  /* 1m */
	int64_t settle;	       /* 10m */
	int64_t retry_first;   /* 5s */
	int64_t retry_longest; /* 15m */
	int64_t connect_timeout; /* 10s */
	int64_t call_timeout;  /* 1m: every call but upload and content */
	int64_t stall_timeout; /* 1m */
	int64_t max_requests;
	int64_t max_bytes;
	int64_t max_inputs;    /* embedding inputs of a batch */
	int64_t max_tokens;    /* 0, no limit: estimated input tokens of a batch */
	int64_t bytes_per_token; /* 4: of a request as sent, for the estimate */
	int64_t max_batches;   /* 0, no limit: batches in flight, of all models together; so are the next two */
	int64_t max_enqueued_tokens;   /* 0: estimated input tokens of all batches in flight */
	int64_t max_enqueued_requests; /* 0 */
	int64_t max_attempts;  /* 3 */
	int64_t probe_lost;    /* 1h: how long answers that should be there are looked for */
	int64_t resend_lost;   /* 1%: of a shard's requests, in parts of 10,000 */
	int64_t batch_discount; /* 50%: of the prices in [model NAME], in parts of 10,000 */
	int64_t max_transfers; /* 4: uploads and downloads at once */
	int64_t move_after;    /* 10m: unable for so long, what waits for it moves on to the next provider of its list */
	int64_t breaker;       /* 5: calls in a row that fail until the provider is left alone; 0: it never is */
	int64_t uploads_per_minute; /* 0: no limit, once the dialect has filled it in; so for the next two */
	int64_t batches_per_hour;
	int64_t lists_per_minute;
	bool trust_list;       /* no */
	enum config_delete delete; /* inputs */
	int64_t delete_results_after; /* 1d: how long they are left there, with delete = all */
	int64_t sweep_files;   /* 1d: how often its list of files is read for inputs that were missed; 0: never */
	int64_t stuck_after;   /* 1d: a batch in which nothing moves for so long is stuck; 0: none is */
	char *stuck_action;    /* tell; or resend: it is cancelled, and its requests are sent again */
	struct config_provider_model *models; /* in the order of the file */
	size_t model_count;
};

/* A [model NAME] section: what a model costs, in millionths of the currency for a million tokens; 0: not known. */
struct config_model {
	char *name; /* "*" in it stands for any letters; the first section that fits a model counts */
	int64_t input_price;
	int64_t output_price;
};

/* What one user may have in jobs that have not ended, and use up on a day (UTC); 0: no limit. */
struct config_limits {
	int64_t max_jobs;
	int64_t max_requests;
	int64_t max_bytes; /* of inputs */
	int64_t max_tokens_per_day; /* of input and output */
	int64_t max_cost_per_day;   /* in millionths of the currency */
};

/* A [user NAME] section: what is different for one user. */
struct config_user {
	char *name; /* or the uid, as the file has it */
	int64_t uid;
	struct config_limits limits; /* once it is read: those of [daemon] where the section says nothing */
};

/* A line of [routes]: where requests for a model go whose job names no provider. */
struct config_route {
	char *pattern;	 /* "*" in it stands for any letters; the first route that fits a model counts */
	char *providers; /* names of sections in their order, with commas between: model/names.h */
	int line;
};

/* The whole file. */
struct config {
	char *state_folder;	/* /var/lib/batchd */
	char *socket;		/* /run/batchd/batchd.sock */
	char *operators;	/* a group; NULL: root alone */
	char *log_level;	/* info */
	int64_t max_file;	/* 16GB: one input at the front door */
	int64_t max_connections; /* 1000 */
	int64_t max_connections_per_user; /* 250 */
	int64_t min_free;	/* 256MB: less room than this on the state folder's disk stops acceptance */
	struct config_provider *providers; /* in the order of the file; the first is the default */
	size_t provider_count;
	char *currency; /* USD: of the prices */
	struct config_model *models; /* in the order of the file */
	size_t model_count;
	struct config_limits limits; /* of a user without a section */
	struct config_user *users; /* in the order of the file */
	size_t user_count;
	struct config_route *routes; /* in the order of the file */
	size_t route_count;
};

/*
 * Reads a file into a new config. Returns 0, or -ENOENT, -EACCES, ... of opening it, or -EINVAL
 * with a sentence: "/etc/batchd/batchd.conf:12: [provider openai] poll_first: \"5 parsecs\" is no duration (250ms, 5s, 2m, 1h)".
 * Unknown sections and keys, a key given twice, a provider without base_url, a model without a price, a route to a provider that is
 * not there, and no provider at all are errors.
 */
int config_load(const char *path, struct config **ret_config, struct error *err);
/* NULL is fine. */
void config_free(struct config *config);

/* The section called name, the first one for NULL; NULL when there is none. */
const struct config_provider *config_provider_find(const struct config *config, const char *name);

/* The section of a provider for a model; NULL when none fits its name. */
const struct config_provider_model *config_provider_model_find(const struct config_provider *provider, const char *model);

/* The prices of a model; NULL when no section fits its name. */
const struct config_model *config_model_find(const struct config *config, const char *name);
/* The route of a model; NULL when none fits its name. */
const struct config_route *config_route_find(const struct config *config, const char *model);

/* What limits a user. */
const struct config_limits *config_limits_of(const struct config *config, int64_t uid);

/*
 * Reads the key of a provider: api_key_file as a path when it has a slash in it, else as a file of that name in
 * $CREDENTIALS_DIRECTORY. A file that group or others may read is refused (-EPERM), except in the credentials
 * directory, whose files the service manager protects. White space at both ends is dropped; empty, longer than 4 KiB, or with control
 * characters inside is -EINVAL. *ret_key is NULL when no key is configured. The sentence never quotes the key.
 */
int config_read_key(const struct config_provider *provider, char **ret_key, struct error *err);

/* A warning for what is legal but unwise ("poll_first below 5s ..."), one sentence per call of on_warning. */
void config_warn(const struct config *config, void (*on_warning)(const char *sentence, void *context),
		 void *context);

/* Every key with its default, as "section key default" lines ("-" for none); for the checks of conf/ and the manual. */
void config_print_keys(FILE *out);

/* "250ms" "5s" "2m" "1h" "1d" to milliseconds; "200MB" (10^6) "64KiB" (2^10) "1GB" "512" to bytes. -EINVAL, -ERANGE. */
int config_parse_duration(const char *text, int64_t *ret_ms);
int config_parse_size(const char *text, int64_t *ret_bytes);
/* "90s": a duration in its largest unit that leaves no rest. The caller frees. */
char *config_show_duration(int64_t duration_ms);

#endif
