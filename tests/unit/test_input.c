#include <errno.h>

#include "daemon/work/input.h"
#include "tests/unit/job_scene.h"

/* What a line must be; its bytes are all the same letter. */
struct expected {
	size_t size; /* of the line without its end */
	bool is_too_long;
};

static void keep_input(struct scene *scene, const struct buffer *text)
{
	struct vault_writer *writer = vault_writer_new(scene->vault, VAULT_FILE_LIMIT);
	struct store_file file = {.purpose = (char *)(uintptr_t) "batch", .bytes = 1};

	scene->job.input_file = store_file_add(scene->store, &file);
	CU_ASSERT_EQUAL_FATAL(vault_write(writer, text->data, text->size, NULL), 0);
	CU_ASSERT_EQUAL_FATAL(vault_keep_file(writer, scene->job.input_file, NULL), 0);
}

static int next_line(struct input *input, struct input_line *line, int64_t *steps)
{
	int r;

	while ((r = input_next(input, line, NULL)) == INPUT_MORE)
		++*steps;
	return r;
}

static bool is_all(const char *bytes, size_t size, char letter)
{
	for (size_t i = 0; i < size; i++)
		if (bytes[i] != letter)
			return false;
	return true;
}

/* Reads a file of these lines, each with this end but the last, which has it if is_ended. */
static void read_lines(const struct expected *lines, size_t count, size_t longest, const char *end,
		       bool is_ended)
{
	struct input input = {.reader = VAULT_READER_NONE};
	auto_buffer text = {0};
	struct input_line line;
	struct scene scene;
	uint64_t offset = 0;
	int64_t steps = 0;

	for (size_t i = 0; i < count; i++) {
		auto_free char *bytes = xmalloc(lines[i].size);

		memset(bytes, 'a' + (int)(i % 26), lines[i].size);
		buffer_add(&text, bytes, lines[i].size);
		buffer_add_text(&text, i + 1 < count || is_ended ? end : "");
	}
	scene_begin(&scene);
	keep_input(&scene, &text);
	CU_ASSERT_EQUAL_FATAL(input_open(&input, scene.vault, scene.job.input_file, longest, NULL),
			      0);
	for (size_t i = 0; i < count; i++) {
		CU_ASSERT_EQUAL_FATAL(next_line(&input, &line, &steps), INPUT_LINE);
		CU_ASSERT_EQUAL(line.number, (int64_t)i + 1);
		CU_ASSERT_EQUAL(line.offset, (int64_t)offset);
		CU_ASSERT_EQUAL_FATAL(line.is_too_long, lines[i].is_too_long);
		if (!line.is_too_long) {
			CU_ASSERT_EQUAL_FATAL(line.size, lines[i].size);
			CU_ASSERT(is_all(line.bytes, line.size, (char)('a' + i % 26)));
		}
		offset += lines[i].size + strlen(end);
	}
	CU_ASSERT_EQUAL(next_line(&input, &line, &steps), INPUT_END);
	CU_ASSERT_EQUAL(next_line(&input, &line, &steps), INPUT_END);
	CU_ASSERT(steps >= (int64_t)(text.size / INPUT_STEP));
	input_release(&input);
	scene_end(&scene);
}

static void read_lines_of_all_ends(const struct expected *lines, size_t count, size_t longest)
{
	static const char *const ends[] = {"\n", "\r\n"};

	for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
		read_lines(lines, count, longest, ends[i], true);
		read_lines(lines, count, longest, ends[i], false);
	}
}

static void gives_lines_of_any_length(void)
{
	static const size_t sizes[] = {100,     0,       262142,  262143,  262144, 262145,
				       262146,  300000,  524288,  1,       90,     1048574,
				       1048575, 1048576, 1048577, 3000000, 0,      200,
				       3000000, 3000000, 524287,  700000};
	struct expected lines[ARRAY_SIZE(sizes)];

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++)
		lines[i] = (struct expected){.size = sizes[i], .is_too_long = false};
	read_lines_of_all_ends(lines, ARRAY_SIZE(lines), 3000000);
}

static void passes_over_a_line_that_is_too_long(void)
{
	/* clang-format off */
	static const struct expected around_a_window[] = {
		{ 300000, false }, { 400000, true }, { 300001, true },   { 100, false },
		{ 262144, false }, { 300000, false }, { 5000000, true }, { 300000, false },
		{ 2000000, true },
	};
	static const struct expected within_a_window[] = {
		{ 10, false }, { 11, true }, { 0, false }, { 12, true }, { 300000, true }, { 10, false },
		{ 11, true },
	};
	/* clang-format on */

	read_lines_of_all_ends(around_a_window, ARRAY_SIZE(around_a_window), 300000);
	read_lines_of_all_ends(within_a_window, ARRAY_SIZE(within_a_window), 10);
}

/* Sizes such that windows end at every place of some line. */
static void meets_every_place_of_a_line_with_the_end_of_a_window(void)
{
	for (size_t first = INPUT_STEP - 9; first <= INPUT_STEP + 3; first++) {
		const struct expected lines[] = {{first, false},      {3, false}, {0, false},
						 {INPUT_STEP, false}, {2, false}, {5, false}};

		read_lines_of_all_ends(lines, ARRAY_SIZE(lines), 1000000);
	}
}

static void gives_no_line_of_an_empty_file(void)
{
	struct input input;
	auto_buffer text = {0};
	struct input_line line;
	struct scene scene;

	scene_begin(&scene);
	keep_input(&scene, &text);
	CU_ASSERT_EQUAL_FATAL(input_open(&input, scene.vault, scene.job.input_file, 10, NULL), 0);
	CU_ASSERT_EQUAL(input_next(&input, &line, NULL), INPUT_END);
	input_release(&input);
	input_release(&input);
	CU_ASSERT_EQUAL(input_open(&input, scene.vault, scene.job.input_file + 1, 10, NULL),
			-ENOENT);
	input_release(&input);
	scene_end(&scene);
}

/* Beside the line that is there, a window of its usual size is all that stays. */
static void gives_the_memory_of_a_long_line_back(void)
{
	struct input input;
	auto_buffer text = {0};
	auto_free char *bytes = xmalloc(5000000);
	struct input_line line;
	struct scene scene;
	int64_t steps = 0;

	memset(bytes, 'a', 5000000);
	buffer_add(&text, bytes, 5000000);
	buffer_add_text(&text, "\nb\n");
	scene_begin(&scene);
	keep_input(&scene, &text);
	CU_ASSERT_EQUAL_FATAL(input_open(&input, scene.vault, scene.job.input_file, 6000000, NULL),
			      0);
	CU_ASSERT_EQUAL(next_line(&input, &line, &steps), INPUT_LINE);
	CU_ASSERT_EQUAL(line.size, 5000000);
	CU_ASSERT_EQUAL(next_line(&input, &line, &steps), INPUT_LINE);
	CU_ASSERT_EQUAL(line.size, 1);
	CU_ASSERT_EQUAL(input.capacity, INPUT_STEP);
	input_release(&input);
	scene_end(&scene);
}

CHECK_MAIN("input", CHECK(gives_lines_of_any_length), CHECK(passes_over_a_line_that_is_too_long),
	   CHECK(meets_every_place_of_a_line_with_the_end_of_a_window),
	   CHECK(gives_no_line_of_an_empty_file), CHECK(gives_the_memory_of_a_long_line_back))
