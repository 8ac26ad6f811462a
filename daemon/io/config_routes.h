/*
 * The section [routes] of batchd.conf. Its lines are read here and not left to inih, which ends a
 * key at a colon too: names of models have some. Inside of config.c.
 */
#ifndef BATCHD_IO_CONFIG_ROUTES_H
#define BATCHD_IO_CONFIG_ROUTES_H

struct config;
struct error;

#define CONFIG_MAX_MODEL 128 /* characters of a model's name, or of a pattern */

/* 1 to CONFIG_MAX_MODEL printable characters of ASCII without blanks. */
int config_check_model(const char *name);

/*
 * Adds the route of a line of the section, "model.PATTERN = PROVIDER[, PROVIDER ...]", which is that
 * of this number. -EINVAL with a sentence that lacks file and line.
 */
int config_routes_add(struct config *config, const char *line, int number, struct error *err);
/*
 * Whether each provider that a route names is there, once all sections are read. -EINVAL with a
 * sentence that begins with path and line.
 */
int config_routes_check(const struct config *config, const char *path, struct error *err);
void config_routes_release(struct config *config);

#endif
