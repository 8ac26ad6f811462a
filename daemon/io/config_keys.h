/*
 * The table of batchd.conf's keys: their sections, presets, limits, and how a value becomes a
 * member of struct config. Private to the config module; config.h is what others use.
 */
#ifndef BATCHD_IO_CONFIG_KEYS_H
#define BATCHD_IO_CONFIG_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct config_key;
struct error;

/* What the names of providers and of credentials are made of. */
#define CONFIG_LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define CONFIG_NAME_LETTERS CONFIG_LETTERS "0123456789._-"

enum config_section {
	CONFIG_NONE,
	CONFIG_DAEMON,
	CONFIG_PROVIDER,
	CONFIG_PROVIDER_MODEL,
	CONFIG_ROUTES,
	CONFIG_MODEL,
	CONFIG_USER,
};

/* "daemon", "provider", "provider-model", "routes", "model", "user". */
const char *config_section_name(enum config_section section);

/* How many keys there are, in all sections. */
size_t config_key_count(void);
/* A section's key and its number in the table, or NULL. */
const struct config_key *config_key_find(enum config_section section, const char *name,
					 size_t *ret_number);

/* Whether it may stand in a section several times. */
bool config_key_is_list(const struct config_key *key);

/* Puts a value into the section's struct. -EINVAL with a sentence that lacks place and key. */
int config_key_set(const struct config_key *key, const char *value, void *target,
		   struct error *err);
/* Puts every preset of a section into its struct, whose texts must be NULL. */
void config_keys_preset(enum config_section section, void *target);
/* Frees the texts of a section's struct. */
void config_keys_release(enum config_section section, void *target);

#endif
