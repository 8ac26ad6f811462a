/* Providers as people see them, and what operators do about them. */
#include <string.h>

#include "daemon/base/cleanup.h"
#include "daemon/base/utf8.h"
#include "daemon/door/visit.h"
#include "daemon/io/config.h"
#include "daemon/io/loop.h"
#include "daemon/io/server.h"
#include "daemon/protocol.h"
#include "daemon/work/provider.h"
#include "daemon/work/room.h"

static bool is_reason(const char *text)
{
	if (strlen(text) > PROTOCOL_MAX_REASON || !utf8_is_valid(text))
		return false;
	for (; *text; text++)
		if ((unsigned char)*text < ' ' || *text == 0x7f)
			return false;
	return true;
}

/* The provider that the query names; NULL: the error is replied. */
static struct provider *read_provider(struct visit *visit)
{
	const char *name = exchange_query(visit->exchange, "provider");
	struct provider *provider = name ? providers_find(visit->door->parts.providers, name) : NULL;

	if (!name)
		visit_error(visit, 400, "invalid_value", "provider", "Say which one: 'provider=NAME'.");
	else if (!provider)
		visit_error(visit, 400, "invalid_value", "provider", "There is no provider '%.100s'.", name);
	return provider;
}

void provider_add_health(struct json_object *object, struct provider *provider, int64_t now)
{
	struct health *health = &provider->health;
	struct provider_wait wait = { 0 };
	int64_t since, shut_until = 0;
	enum health_state state = health_state(health, now, &wait, &since);
	auto_free char *shut = NULL;
	bool is_over;

	/* Its calls go through, and yet nobody is let go: its headers say that a rate is used up. */
	if (state == HEALTH_OK && (shut_until = room_shut_until(provider, now, &shut))) {
		state = HEALTH_LIMITED;
		wait = (struct provider_wait){ .until = shut_until, .why = shut };
	}
	is_over = wait.has_no_end || wait.until <= now;

	json_object_object_add(object, "state", json_object_new_string(health_state_name(state)));
	json_object_object_add(object, "is_paused", json_object_new_boolean(state >= HEALTH_REFUSED));
	json_object_object_add(object, "why", json_text(state == HEALTH_OK ? NULL : wait.why));
	json_object_object_add(object, "until", json_seconds(state == HEALTH_OK || is_over ? 0 : wait.until));
	json_object_object_add(object, "since", json_seconds(since));
	json_object_object_add(object, "by", state == HEALTH_PAUSED ? json_object_new_int64(health->pause.by) : NULL);
	json_object_object_add(object, "calls", json_object_new_int64(rate_count(&health->calls, now)));
	json_object_object_add(object, "failures", json_object_new_int64(rate_count(&health->failures, now)));
}

/* What has become of it; with this turn's commit it is so. */
static void answer_changed(struct visit *visit, struct provider *provider)
{
	const struct door_parts *parts = &visit->door->parts;
	struct json_object *object = json_object_new_object();

	json_object_object_add(object, "object", json_object_new_string("batchd.provider"));
	json_object_object_add(object, "name", json_text(provider->config->name));
	provider_add_health(object, provider, loop_now_ms(parts->loop));
	visit_json(visit, 200, object);
	parts->on_change(parts->context);
}

void daemon_pause(struct visit *visit)
{
	const char *reason = exchange_query(visit->exchange, "reason");
	struct provider *provider;

	if (visit_refuse_others(visit))
		return;
	provider = read_provider(visit);
	if (!provider)
		return;
	if (reason && !is_reason(reason)) {
		visit_error(visit, 400, "invalid_value", "reason",
			    "Invalid 'reason': at most %d bytes of UTF-8, none of them a control character.",
			    PROTOCOL_MAX_REASON);
		return;
	}
	provider_pause(provider, visit->uid, reason && *reason ? reason : NULL);
	answer_changed(visit, provider);
}

void daemon_resume(struct visit *visit)
{
	struct provider *provider;

	if (visit_refuse_others(visit))
		return;
	provider = read_provider(visit);
	if (!provider)
		return;
	(void)provider_resume(provider, visit->uid);
	answer_changed(visit, provider);
}
