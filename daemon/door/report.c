#include "daemon/door/report.h"

#include <inttypes.h>
#include <json-c/json.h>

#include "daemon/work/verify.h"

struct report {
	FILE *out;
	bool is_json;
};

static void add_text(struct json_object *object, const char *name, const char *text)
{
	json_object_object_add(object, name, text ? json_object_new_string(text) : NULL);
}

static void add_number(struct json_object *object, const char *name, int64_t number)
{
	json_object_object_add(object, name, json_object_new_int64(number));
}

/* Numbers count from 1: 0 is none. */
static void add_which(struct json_object *object, const char *name, int64_t number)
{
	json_object_object_add(object, name, number ? json_object_new_int64(number) : NULL);
}

static struct json_object *begin_line(const char *what)
{
	struct json_object *object = json_object_new_object();

	add_text(object, "object", what);
	return object;
}

static void end_line(const struct report *report, struct json_object *object)
{
	(void)fprintf(report->out, "%s\n",
		      json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
	(void)fflush(report->out);
	json_object_put(object);
}

static void write_text(FILE *out, const struct verify_finding *finding)
{
	(void)fputs(finding->is_damage ? "damage: " : "note: ", out);
	if (finding->job)
		(void)fprintf(out, "job %" PRId64 ": ", finding->job);
	if (finding->shard)
		(void)fprintf(out, "shard %" PRId64 ": ", finding->shard);
	if (finding->place)
		(void)fprintf(out, "%s: ", finding->place);
	(void)fprintf(out, "%s\n", finding->words);
}

static void on_finding(const struct verify_finding *finding, void *context)
{
	const struct report *report = context;
	struct json_object *object;

	if (!report->is_json) {
		write_text(report->out, finding);
		return;
	}
	object = begin_line("batchd.finding");
	add_text(object, "level", finding->is_damage ? "damage" : "note");
	add_which(object, "job", finding->job);
	add_which(object, "shard", finding->shard);
	add_text(object, "file", finding->place);
	add_text(object, "message", finding->words);
	end_line(report, object);
}

static bool on_progress(int64_t bytes, int64_t total, void *context)
{
	const struct report *report = context;
	struct json_object *object;

	if (report->is_json) {
		object = begin_line("batchd.progress");
		add_number(object, "bytes", bytes);
		add_number(object, "total", total);
		end_line(report, object);
	}
	/* Whoever asked may be gone. */
	return !ferror(report->out);
}

static void write_sums(const struct report *report, const struct verify_sums *sums)
{
	struct json_object *object;

	if (!report->is_json) {
		(void)fprintf(report->out,
			      "%" PRId64 " jobs, %" PRId64 " files, %" PRId64 " bytes: %" PRId64 " damaged, %" PRId64
			      " notes\n",
			      sums->jobs, sums->files, sums->bytes, sums->damages, sums->notes);
		return;
	}
	object = begin_line("batchd.verified");
	add_number(object, "jobs", sums->jobs);
	add_number(object, "files", sums->files);
	add_number(object, "bytes", sums->bytes);
	add_number(object, "damages", sums->damages);
	add_number(object, "notes", sums->notes);
	end_line(report, object);
}

int report_run(const char *folder, int64_t now, bool is_json, FILE *out)
{
	struct report report = { .out = out, .is_json = is_json };
	const struct verify_callbacks callbacks = {
		.on_finding = on_finding,
		.on_progress = on_progress,
		.context = &report,
	};
	struct verify_sums sums;
	int r = verify_run(folder, now, &callbacks, &sums);

	write_sums(&report, &sums);
	return r || fflush(out) || ferror(out) ? 1 : 0;
}
