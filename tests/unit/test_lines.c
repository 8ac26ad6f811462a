/* Downloads, line by line: where lines end, and how long they may be. */
#include "daemon/work/lines.h"

#include <fcntl.h>

#include "tests/unit/job_scene.h"

static struct scene scene;

/* Opens what was kept of shard 1. */
static void open_lines(struct lines *lines)
{
	struct vault_reader reader = VAULT_READER_NONE;

	CU_ASSERT_EQUAL_FATAL(vault_open_record(scene.vault, SCENE_JOB, "shard-1.out", &reader, NULL), 0);
	lines_init(lines, &reader);
}

/* All lines of a text, each in brackets after its place. */
static char *read_all(const char *text)
{
	auto_buffer all = {0};
	struct lines lines;
	struct line line;
	int r;

	scene_begin(&scene);
	scene_download(&scene, 1, "out", text);
	open_lines(&lines);
	do {
		r = lines_fill(&lines, NULL);
		while (lines_next(&lines, &line))
			buffer_add_format(&all, "%d[%.*s]", (int)line.offset, (int)line.size, line.bytes);
	} while (r == 1);
	CU_ASSERT_EQUAL(r, 0);
	lines_release(&lines);
	scene_end(&scene);
	return xstrdup(buffer_text(&all));
}

/* clang-format off */
static const struct { const char *text, *lines; } texts[] = {
	{ "", "" },
	{ "a", "0[a]" },
	{ "a\n", "0[a]" },
	{ "a\nb", "0[a]2[b]" },
	{ "a\r\nb\r\r\nc\r", "0[a]3[b]7[c]" },
	{ "a\rb\n", "0[a\rb]" },
	{ "\n\na\n\n \t\n\r\nb\n", "2[a]10[b]" },
	{ "\n", "" },
	{ " \n", "" },
	{ "  a  \n", "0[  a  ]" },
	{ "\xef\xbb\xbf" "a\n", "3[a]" },
	{ "\xef\xbb\xbf\n", "" },
	{ "a\n\xef\xbb\xbf" "b\n", "0[a]2[\xef\xbb\xbf" "b]" },
};
/* clang-format on */

static void tells_where_each_line_lies(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		auto_free char *all = read_all(texts[i].text);

		CHECK_ROW(texts[i].text, strcmp(all, texts[i].lines) == 0);
	}
}

/* Lines around the size of the window, so that each falls across its edges somewhere. */
static void reads_lines_of_every_size(void)
{
	enum { COUNT = 24 };
	auto_buffer text = {0};
	struct lines lines;
	struct line line;
	int64_t at = 0;
	size_t number = 0;
	int r;

	scene_begin(&scene);
	for (size_t i = 0; i < COUNT; i++)
		buffer_add_format(&text, "%zu%*s.\n", i, (int)(((size_t)1 << i) + 100 * (i % 3)), "");
	scene_keep(&scene, "shard-1.out", text.data, text.size);
	open_lines(&lines);
	do {
		r = lines_fill(&lines, NULL);
		for (; lines_next(&lines, &line); number++) {
			CU_ASSERT_EQUAL(line.offset, at);
			CU_ASSERT_EQUAL(strtoul(line.bytes, NULL, 10), number);
			CU_ASSERT_EQUAL(memcmp(line.bytes, text.data + at, line.size), 0);
			CU_ASSERT(line.bytes[line.size - 1] == '.' && text.data[at + (int64_t)line.size] == '\n');
			at += (int64_t)line.size + 1;
		}
	} while (r == 1);
	CU_ASSERT_EQUAL(number, COUNT);
	CU_ASSERT_EQUAL(at, (int64_t)text.size);
	lines_release(&lines);
	scene_end(&scene);
}

/* The bytes are holes in the file. */
static void make_long_line(const char *before, const char *after)
{
	auto_free char *folder = xasprintf("%s/jobs/1", scene.folder);
	auto_free char *path = xasprintf("%s/shard-1.out", folder);
	int fd;

	(void)mkdir(folder, 0700);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	CU_ASSERT_FATAL(fd >= 0);
	CU_ASSERT_EQUAL(pwrite(fd, before, strlen(before), 0), (ssize_t)strlen(before));
	CU_ASSERT_EQUAL(pwrite(fd, after, strlen(after), (off_t)LINES_MAX + 5000000), (ssize_t)strlen(after));
	(void)close(fd);
}

static void passes_over_a_line_that_is_too_long(void)
{
	struct lines lines;
	struct line line;
	auto_buffer seen = {0};
	size_t longest = 0;
	int r;

	scene_begin(&scene);
	make_long_line("a\n", "\nc\n");
	open_lines(&lines);
	do {
		r = lines_fill(&lines, NULL);
		while (lines_next(&lines, &line))
			buffer_add_format(&seen, "%.*s", line.is_too_long ? 1 : (int)line.size,
					  line.is_too_long ? "!" : line.bytes);
		longest = lines.capacity > longest ? lines.capacity : longest;
	} while (r == 1);
	CU_ASSERT_STRING_EQUAL(buffer_text(&seen), "a!c");
	CU_ASSERT(longest <= 2 * LINES_MAX);
	lines_release(&lines);
	scene_end(&scene);
}

/* clang-format off */
CHECK_MAIN("lines",
	   CHECK(tells_where_each_line_lies),
	   CHECK(reads_lines_of_every_size),
	   CHECK(passes_over_a_line_that_is_too_long))
/* clang-format on */
