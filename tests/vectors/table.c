#include "table.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "proto/compress.h"

enum { TEXT_MAX = 1 << 30 };

static int read_file(struct buf *out, const char *path)
{
    FILE *f = fopen(path, "rb");
    if (f == NULL) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        return -1;
    }
    size_t n;
    do {
        buf_reserve(out, 1 << 16);
        n = fread(out->data + out->len, 1, 1 << 16, f);
        out->len += n;
    } while (n > 0);
    int failed = ferror(f);
    fclose(f);
    if (failed) {
        fprintf(stderr, "%s: cannot be read\n", path);
    }
    return failed ? -1 : 0;
}

static int inflate_text(struct buf *text, const char *path)
{
    static const uint8_t magic[] = {0x28, 0xb5, 0x2f, 0xfd};
    if (text->len < sizeof magic || memcmp(text->data, magic, sizeof magic) != 0) {
        return 0;
    }
    struct buf plain = {0};
    int err = decompress_put(CODEC_ZSTD, buf_bytes(text), TEXT_MAX, &plain);
    buf_free(text);
    *text = plain;
    if (err) {
        fprintf(stderr, "%s: zstd: %s\n", path, err_text(err));
    }
    return err ? -1 : 0;
}

static void split(struct table_row *row, char *line)
{
    char *rest = line;
    char *column;
    while (row->n < TABLE_COLUMNS_MAX && (column = strsep(&rest, "\t")) != NULL) {
        row->col[row->n++] = column;
    }
}

int table_load(struct table *t, const char *path)
{
    *t = (struct table){.path = mem_strdup(path)};
    if (read_file(&t->text, path) != 0 || inflate_text(&t->text, path) != 0) {
        table_free(t);
        return -1;
    }
    buf_cstr(&t->text);
    char *rest = (char *)t->text.data;
    char *line;
    size_t cap = 0;
    size_t number = 0;
    while ((line = strsep(&rest, "\n")) != NULL) {
        number++;
        if (line[0] == 0 || line[0] == '#') {
            continue;
        }
        if (t->n == cap) {
            cap = cap ? cap * 2 : 64;
            t->rows = mem_realloc(t->rows, cap * sizeof *t->rows);
        }
        struct table_row *row = &t->rows[t->n++];
        *row = (struct table_row){.line = number};
        split(row, line);
    }
    return 0;
}

void table_free(struct table *t)
{
    mem_free(t->path);
    mem_free(t->rows);
    buf_free(&t->text);
    *t = (struct table){0};
}

static int nibble(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int table_hex(struct buf *out, const char *hex)
{
    size_t n = strlen(hex);
    buf_reserve(out, n / 2 + 1);
    for (size_t i = 0; i + 1 < n; i += 2) {
        int high = nibble(hex[i]);
        int low = nibble(hex[i + 1]);
        if (high < 0 || low < 0) {
            return -1;
        }
        buf_put_u8(out, (uint8_t)(high << 4 | low));
    }
    return n % 2 ? -1 : 0;
}
