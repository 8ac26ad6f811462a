/*
 * Tables for people: a header in capitals, two blanks between columns, numbers to the right, no
 * frames. Only the last column is ever cut, and only on a terminal. Memory is bounded: rows are
 * printed by the thousand, and a column that was printed narrow only grows.
 */
#ifndef BATCHD_CLIENT_TABLE_H
#define BATCHD_CLIENT_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "client/output.h"

struct table;

struct table_column {
	const char *name;
	bool is_number;
};

/* columns must outlive the table. line_columns: where the last column is cut; 0: never. */
struct table *table_new(const struct table_column *columns, size_t count, FILE *stream,
			size_t line_columns);

/* The next cell, escaped; cells fill row after row. */
void table_add(struct table *table, enum output_colour colour, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Prints what is left (the header in any case) and frees. */
void table_finish(struct table *table);

#endif
