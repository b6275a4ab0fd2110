/* Tables as Kafka's tools print them: one space between columns, each cell padded to the width of
 * its column, the last one as it is (width 0). A column that grows is as wide as its longest cell.
 */
#ifndef TOOLS_COLUMNS_H
#define TOOLS_COLUMNS_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/bytes.h"

struct column {
    const char *name;
    size_t width; /* at least; 0: not padded */
    bool grows;
};

struct table {
    const struct column *columns;
    size_t n;
    struct bytes *cells; /* rows * n */
    size_t rows, rows_max;
    const char *row_end; /* what stands behind each row but the heading, before the newline */
    bool tabs;           /* a tab behind every cell instead of a space between them */
};

void table_begin(struct table *t, const struct column *columns, size_t n);
/* The n cells of a new row, all "-"; valid until the next. What is put there must live until
 * table_print. */
struct bytes *table_row(struct table *t);
void table_print(const struct table *t);
void table_free(struct table *t);

/* A number as a cell, in the arena; below 0: "-". */
struct bytes cell_number(struct arena *a, int64_t v);
/* A cell for text that may be null or empty: "-". */
struct bytes cell_text(struct bytes v);

#endif
