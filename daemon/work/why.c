#include "daemon/work/why.h"

#include <stdlib.h>

#include "daemon/base/alloc.h"
#include "daemon/model/job.h"
#include "daemon/work/admission.h"
#include "daemon/work/gate.h"
#include "daemon/work/provider.h"

/* What its provider lets nobody do now goes before what the shard was told when it last tried. */
static char *provider_words(struct providers *providers, const struct job *job, const struct shard *shard, int64_t now,
			    int64_t *ret_until)
{
	struct provider *provider = providers_find(providers, shard->provider);
	struct provider_wait wait = { 0 };

	if (!provider)
		return xstrdup("its provider is not in the configuration any more");
	if (provider_may_call(provider, gate_first_call(job, shard), now, &wait))
		return NULL;
	*ret_until = wait.has_no_end ? 0 : wait.until;
	return xstrdup(wait.why);
}

char *why_shard(struct store *store, struct providers *providers, const struct job *job, const struct shard *shard,
		int64_t now, int64_t *ret_until)
{
	bool is_polled = shard->state == SHARD_CREATED && !shard->tries;
	char *why = admission_why(store, providers, shard, now, ret_until);

	/* What waits for a person has words of its own. */
	if (!why && shard->due_at && gate_needs_provider(job, shard))
		why = provider_words(providers, job, shard, now, ret_until);
	if (why)
		return why;
	*ret_until = shard->why && !is_polled ? shard->due_at : 0;
	return xstrdup(shard->why);
}
