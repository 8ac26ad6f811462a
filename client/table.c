#include "client/table.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/alloc.h"
#include "daemon/base/buffer.h"
#include "daemon/base/cleanup.h"

#define ROWS_AT_ONCE 1000
#define GAP          2

struct cell {
	char *text;
	size_t width;
	enum output_colour colour;
};

struct table {
	const struct table_column *columns;
	size_t count;
	FILE *stream;
	size_t line_columns;
	bool has_header;
	size_t *widths;
	struct cell *cells; /* room for ROWS_AT_ONCE rows */
	size_t cell_count;
};

static void write_blanks(FILE *stream, size_t count)
{
	if (count)
		(void)fprintf(stream, "%*s", (int)count, "");
}

/* How many bytes of text fit into room columns. */
static size_t fitting(const char *text, size_t room)
{
	size_t size = strlen(text), at = 0, width = 0;

	while (at < size) {
		int columns;
		size_t length = output_character(text + at, size - at, &columns);

		width += (size_t)columns;
		if (width > room)
			break;
		at += length;
	}
	return at;
}

/* The last column, cut with a mark where the line ends. */
static void write_last(struct table *table, const struct cell *cell, size_t room)
{
	const char *mark = output_is_utf8() ? "\xe2\x80\xa6" : "~";

	(void)fputs(output_colour_on(cell->colour), table->stream);
	if (!room || cell->width <= room)
		(void)fputs(cell->text, table->stream);
	else
		(void)fprintf(table->stream, "%.*s%s", (int)fitting(cell->text, room - 1),
			      cell->text, mark);
	(void)fprintf(table->stream, "%s\n", output_colour_off(cell->colour));
}

static void write_row(struct table *table, const struct cell *cells)
{
	size_t used = 0, last = table->count - 1;

	for (size_t i = 0; i < last; i++) {
		size_t blanks = table->widths[i] - cells[i].width;
		bool is_number = table->columns[i].is_number;

		write_blanks(table->stream, is_number ? blanks : 0);
		(void)fprintf(table->stream, "%s%s%s", output_colour_on(cells[i].colour),
			      cells[i].text, output_colour_off(cells[i].colour));
		write_blanks(table->stream, (is_number ? 0 : blanks) + GAP);
		used += table->widths[i] + GAP;
	}
	if (table->columns[last].is_number)
		write_blanks(table->stream, table->widths[last] - cells[last].width);
	write_last(table, &cells[last],
		   table->line_columns > used + 1 ? table->line_columns - used : 0);
}

static void write_header(struct table *table)
{
	struct cell *header = xcalloc(table->count, sizeof(*header));

	for (size_t i = 0; i < table->count; i++) {
		header[i].text = xstrdup(table->columns[i].name);
		header[i].width = strlen(header[i].text);
	}
	write_row(table, header);
	for (size_t i = 0; i < table->count; i++)
		free(header[i].text);
	free(header);
	table->has_header = true;
}

static void write_rows(struct table *table)
{
	for (size_t i = 0; i < table->cell_count; i++)
		if (table->widths[i % table->count] < table->cells[i].width)
			table->widths[i % table->count] = table->cells[i].width;
	if (!table->has_header)
		write_header(table);
	for (size_t i = 0; i + table->count <= table->cell_count; i += table->count)
		write_row(table, table->cells + i);
	for (size_t i = 0; i < table->cell_count; i++)
		free(table->cells[i].text);
	table->cell_count = 0;
}

struct table *table_new(const struct table_column *columns, size_t count, FILE *stream,
			size_t line_columns)
{
	struct table *table = xcalloc(1, sizeof(*table));

	table->columns = columns;
	table->count = count;
	table->stream = stream;
	table->line_columns = line_columns;
	table->widths = xcalloc(count, sizeof(*table->widths));
	table->cells = xcalloc(ROWS_AT_ONCE * count, sizeof(*table->cells));
	for (size_t i = 0; i < count; i++)
		table->widths[i] = strlen(columns[i].name);
	return table;
}

void table_add(struct table *table, enum output_colour colour, const char *format, ...)
{
	struct cell *cell;
	auto_free char *text = NULL;
	struct buffer escaped = {0};
	va_list arguments;

	if (table->cell_count == ROWS_AT_ONCE * table->count)
		write_rows(table);
	va_start(arguments, format);
	text = xvasprintf(format, arguments);
	va_end(arguments);
	output_escape(&escaped, text, strlen(text), output_is_utf8());
	cell = &table->cells[table->cell_count++];
	cell->width = output_width(buffer_text(&escaped), escaped.size);
	cell->text = escaped.data;
	cell->colour = colour;
}

void table_finish(struct table *table)
{
	write_rows(table);
	free(table->cells);
	free(table->widths);
	free(table);
}
