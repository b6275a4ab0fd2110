/* Golden vectors: tab-separated files, plain or compressed (.zst), one vector a line. Rows point
 * into the text, which the table owns. */
#ifndef TESTS_VECTORS_TABLE_H
#define TESTS_VECTORS_TABLE_H

#include "base/buf.h"

enum { TABLE_COLUMNS_MAX = 8 };

struct table_row {
    const char *col[TABLE_COLUMNS_MAX]; /* NUL-terminated */
    size_t n;
    size_t line; /* 1 is the first */
};

struct table {
    char *path;
    struct buf text;
    struct table_row *rows;
    size_t n;
};

/* 0, or -1 with a sentence on stderr. Lines that are empty or start with '#' are left out. */
int table_load(struct table *t, const char *path);
void table_free(struct table *t);
/* Appends the bytes that a hex text stands for; -1 if it is not hex. */
int table_hex(struct buf *out, const char *hex);

#endif
