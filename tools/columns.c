#include "tools/columns.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"

void table_begin(struct table *t, const struct column *columns, size_t n)
{
    *t = (struct table){.columns = columns, .n = n, .row_end = ""};
}

void table_free(struct table *t)
{
    mem_free(t->cells);
}

struct bytes *table_row(struct table *t)
{
    if (t->rows == t->rows_max) {
        t->rows_max = t->rows_max ? 2 * t->rows_max : 16;
        t->cells = mem_realloc(t->cells, t->rows_max * t->n * sizeof *t->cells);
    }
    struct bytes *row = &t->cells[t->rows++ * t->n];
    for (size_t i = 0; i < t->n; i++) {
        row[i] = bytes_str("-");
    }
    return row;
}

/* Characters, not bytes: continuation bytes of UTF-8 take no place. */
static size_t width_of(struct bytes b)
{
    size_t n = 0;
    for (size_t i = 0; i < b.len; i++) {
        n += (b.data[i] & 0xc0) != 0x80;
    }
    return n;
}

static void print_row(const struct table *t, const struct bytes *row, const size_t *widths)
{
    for (size_t i = 0; i < t->n; i++) {
        size_t w = width_of(row[i]);
        printf("%.*s%*s%s", BYTES_FMT(row[i]), w < widths[i] ? (int)(widths[i] - w) : 0, "",
               t->tabs        ? "\t"
               : i + 1 < t->n ? " "
                              : "");
    }
}

void table_print(const struct table *t)
{
    size_t *widths = mem_alloc(t->n * sizeof *widths);
    struct bytes *heading = mem_alloc(t->n * sizeof *heading);
    for (size_t i = 0; i < t->n; i++) {
        heading[i] = bytes_str(t->columns[i].name);
        widths[i] = t->columns[i].width;
        if (t->columns[i].grows && width_of(heading[i]) > widths[i]) {
            widths[i] = width_of(heading[i]);
        }
        for (size_t r = 0; r < t->rows && t->columns[i].grows; r++) {
            size_t w = width_of(t->cells[r * t->n + i]);
            widths[i] = w > widths[i] ? w : widths[i];
        }
    }
    print_row(t, heading, widths);
    putchar('\n');
    for (size_t r = 0; r < t->rows; r++) {
        print_row(t, &t->cells[r * t->n], widths);
        printf("%s\n", t->row_end);
    }
    mem_free(widths);
    mem_free(heading);
}

struct bytes cell_number(struct arena *a, int64_t v)
{
    return bytes_str(v < 0 ? "-" : arena_printf(a, "%lld", (long long)v));
}

struct bytes cell_text(struct bytes v)
{
    return v.len ? v : bytes_str("-");
}
