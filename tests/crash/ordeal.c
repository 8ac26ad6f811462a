/*
 * ordeal KIND SCENE...: KIND is deaths, errors or allocations. From the environment:
 *
 *	FOLDER			where batchd.conf, the inputs and the API's sim.sock are
 *	BUILD			where the programs are
 *	FIRST, LAST, STRIDE	which points of each scene (all; of allocations some hundred)
 *	PART, PARTS		0 and 2: the first half of them
 *	PAIRS, SEED		how many pairs of deaths of each scene, by which dice
 *	ERROR			of errors, one kind alone: "ENOSPC", "ENOSPC on", ...
 *	SUM			the file that gets the closing line too
 */
#include "tests/crash/ordeal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/alloc.h"
#include "daemon/base/cleanup.h"

static int64_t number(const char *name, int64_t otherwise)
{
	const char *text = getenv(name);

	return text && *text ? strtoll(text, NULL, 10) : otherwise;
}

static const char *text(const char *name, const char *otherwise)
{
	const char *value = getenv(name);

	return value && *value ? value : otherwise;
}

static bool is_client_scene(const char *name)
{
	const char *known;

	for (size_t i = 0; (known = client_scene_name(i)); i++)
		if (strcmp(known, name) == 0)
			return true;
	return false;
}

static bool run_scene(struct ordeal *ordeal, struct campaign *campaign, const char *name)
{
	const struct scene *scene = scene_find(name);

	if (scene)
		campaign_run(ordeal, campaign, scene);
	else if (is_client_scene(name))
		campaign_client(ordeal, campaign, name);
	else
		(void)fprintf(stderr, "ordeal: there is no scene \"%s\"\n", name);
	return scene || is_client_scene(name);
}

static void tell_sum(const struct campaign *campaign)
{
	auto_free char *line = xasprintf("%" PRId64 " points tried, %" PRId64 " pairs sampled, %" PRId64 " violations, %" PRId64
					 " crashes without memory\n",
					 campaign->tried, campaign->pairs_tried, campaign->violations, campaign->crashes);
	const char *path = text("SUM", NULL);
	FILE *file = path ? fopen(path, "we") : NULL;

	(void)fputs(line, stdout);
	if (!file)
		return;
	(void)fputs(line, file);
	(void)fclose(file);
}

int main(int argc, char **argv)
{
	const char *build = text("BUILD", ".");
	struct campaign campaign = {
		.kind = argc > 1 ? argv[1] : "",
		.first = number("FIRST", 1),
		.last = number("LAST", INT64_MAX),
		.stride = number("STRIDE", 0),
		.part = number("PART", 0),
		.parts = number("PARTS", 1),
		.pairs = number("PAIRS", 0),
		.seed = (uint64_t)number("SEED", 1),
		.only = text("ERROR", NULL),
	};
	struct ordeal ordeal = {
		.folder = text("FOLDER", "."),
		.batchd = xasprintf("%s/batchd", build),
		.batchctl = xasprintf("%s/batchctl", build),
		.killable = xasprintf("%s/batchd-killable", build),
		.killable_client = xasprintf("%s/batchctl-killable", build),
	};
	bool is_known = argc > 2;

	ordeal_open(&ordeal);
	for (int i = 2; i < argc; i++)
		is_known &= run_scene(&ordeal, &campaign, argv[i]);
	tell_sum(&campaign);
	ordeal_close(&ordeal);
	return !is_known ? 2 : campaign.violations ? 1 : 0;
}
