#include "client/commands.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "client/exits.h"
#include "client/input.h"
#include "client/interrupt.h"
#include "client/json.h"
#include "client/options.h"
#include "client/output.h"
#include "client/submission.h"
#include "client/survey.h"
#include "client/words.h"
#include "daemon/base/buffer.h"
#include "daemon/base/error.h"

#define NAMES_SHOWN 5

static void tell(int64_t line, const char *code, const char *param, const char *message,
		 void *context)
{
	const struct input *input = context;
	struct output_flaw flaw = {input->name, line, code, param, message, 0};

	output_flaw(stdout, &flaw);
}

static const char *model_of(const struct survey_group *group)
{
	return group->model;
}

static const char *url_of(const struct survey_group *group)
{
	return group->url;
}

/* Whether a group before this one has the same name. */
static bool is_known(const struct survey *survey, size_t index,
		     const char *(*name_of)(const struct survey_group *group))
{
	const char *name = name_of(&survey->groups[index]);

	for (size_t i = 0; i < index; i++)
		if (strcmp(name_of(&survey->groups[i]), name) == 0)
			return true;
	return false;
}

static void add_names(struct buffer *buffer, const struct survey *survey, const char *noun,
		      const char *(*name_of)(const struct survey_group *group))
{
	auto_buffer names = {0};
	char number[WORDS_FIGURE];
	int64_t count = 0;

	for (size_t i = 0; i < survey->group_count; i++)
		if (!is_known(survey, i, name_of) && count++ < NAMES_SHOWN)
			buffer_add_format(&names, "%s%s", count > 1 ? ", " : " (",
					  name_of(&survey->groups[i]));
	if (count)
		buffer_add_text(&names, count > NAMES_SHOWN ? ", ...)" : ")");
	buffer_add_format(buffer, ", %s%s", words_number(count, noun, number), buffer_text(&names));
}

static void sum_up_json(const struct survey *survey, const char *file)
{
	auto_json *summary = json_object_new_object();

	json_object_object_add(summary, "file", json_object_new_string(file));
	json_object_object_add(summary, "lines", json_object_new_int64(survey->lines));
	json_object_object_add(summary, "bytes", json_object_new_int64(survey->bytes));
	json_object_object_add(summary, "flaws", json_object_new_int64(survey->flaws));
	output_json(summary);
}

static void sum_up(const struct survey *survey, const char *file)
{
	auto_buffer names = {0};
	char size[WORDS_FIGURE], number[WORDS_FIGURE], lines[WORDS_FIGURE];

	if (output_is_json()) {
		sum_up_json(survey, file);
		return;
	}
	if (survey->flaws) {
		output_say("%s: %s in %s", file, words_number(survey->flaws, "flaw", number),
			   words_number(survey->lines, "line", lines));
		return;
	}
	add_names(&names, survey, "model", model_of);
	add_names(&names, survey, "url", url_of);
	output_say("%s: %s, %s%s", file, words_number(survey->requests, "request", number),
		   words_size(survey->bytes, size), buffer_text(&names));
}

static int validate(const struct options *options, const char *path)
{
	auto_input input = {.fd = -1};
	auto_survey survey = {.on_flaw = tell, .context = &input};
	struct error err;
	int result = input_open(path, false, &input, &err);

	if (result == -ENOTTY)
		return output_fail(EXIT_USAGE, NULL, 0,
				   "%s: give a FILE, or pipe one in; see batchctl help validate",
				   err.text);
	submission_rules(options, &survey.rules);
	if (!result)
		result = survey_run(&survey, &input, &err);
	if (result == -EBADMSG)
		return output_fail(EXIT_INPUT, NULL, 0, "%s", err.text);
	if (result < 0)
		return interrupt_came() ? interrupt_status()
					: output_fail(EXIT_OTHER, NULL, 0, "%s", err.text);
	sum_up(&survey, input.name);
	return survey.flaws ? EXIT_INPUT : EXIT_DONE;
}

int command_validate(struct session *session)
{
	const struct options *options = session->options;
	int worst = submission_check_lines(options);

	if (worst)
		return worst;
	if (!options->operand_count)
		return validate(options, "-");
	for (size_t i = 0; i < options->operand_count; i++)
		worst = exits_worse(worst, validate(options, options->operands[i]));
	return worst;
}
