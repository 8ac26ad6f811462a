/*
 * The keys of [provider NAME] that overrule its dialect (model/dialect): how their values are read,
 * and what comes of both together. Private to the config module; config.h is what others use.
 */
#ifndef BATCHD_IO_CONFIG_DIALECT_H
#define BATCHD_IO_CONFIG_DIALECT_H

struct config_key;
struct config_provider;
struct error;

/* As the setters of config_keys.c: a value becomes a member. -EINVAL with a sentence that lacks place and key. */
int config_set_dialect(const struct config_key *key, const char *value, void *member, struct error *err);
int config_set_header_name(const struct config_key *key, const char *value, void *member, struct error *err);
int config_set_query(const struct config_key *key, const char *value, void *member, struct error *err);
int config_set_url_prefix(const struct config_key *key, const char *value, void *member, struct error *err);
int config_set_endpoints(const struct config_key *key, const char *value, void *member, struct error *err);
int config_set_windows(const struct config_key *key, const char *value, void *member, struct error *err);
int config_set_object(const struct config_key *key, const char *value, void *member, struct error *err);
int config_set_file_wait(const struct config_key *key, const char *value, void *member, struct error *err);
int config_set_expiry_form(const struct config_key *key, const char *value, void *member, struct error *err);
int config_set_list_form(const struct config_key *key, const char *value, void *member, struct error *err);
/* Adds to a struct config_headers. */
int config_add_header(const struct config_key *key, const char *value, void *member, struct error *err);

/*
 * Once all keys are read: fills in terms, and every limit that was not given. -EINVAL with a
 * sentence that lacks the place where keys contradict each other.
 */
int config_dialect_settle(struct config_provider *provider, struct error *err);
/* One sentence at most for each thing in which the keys go beyond what the dialect is known to allow. */
void config_dialect_warn(const struct config_provider *provider,
			 void (*on_warning)(const char *sentence, void *context), void *context);

#endif
