/* Checks golden vectors: vectors_check [--hostile] FILE...
 *
 * What a file holds is told by its columns: six are messages (requests, responses, headers,
 * records, bare or framed), five are record batches. With --hostile every message is cut at every
 * byte and its lengths are made to lie instead. The last line is "N passed, N failed"; the exit
 * status is 1 if any failed, 2 if a file could not be used. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "check.h"

void check_fail(struct check *c, const char *fmt, ...)
{
    if (++c->shown > CHECK_SHOWN_MAX) {
        return;
    }
    printf("%s:%zu: ", c->table->path, c->row->line);
    for (size_t i = 0; i < c->row->n; i++) {
        if (strlen(c->row->col[i]) <= 60) {
            printf("%s ", c->row->col[i]);
        }
    }
    va_list ap;
    va_start(ap, fmt);
    vprintf(fmt, ap);
    va_end(ap);
    printf(c->shown == CHECK_SHOWN_MAX ? "\n(more failures are not shown)\n" : "\n");
}

bool check_json(struct check *c, struct bytes ours, const char *expected)
{
    json_error_t e;
    json_t *a = json_loadb((const char *)ours.data, ours.len,
                           JSON_ALLOW_NUL | JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, &e);
    bool ok = false;
    if (a == NULL) {
        check_fail(c, "our JSON is none: %s: %.*s", e.text, BYTES_FMT(ours));
        return false;
    }
    json_t *b = json_loads(expected, JSON_ALLOW_NUL | JSON_DECODE_ANY, &e);
    if (b == NULL) {
        check_fail(c, "the expected JSON is none: %s", e.text);
    } else if (!json_equal(a, b)) {
        check_fail(c, "JSON differs\n  ours     %.*s\n  expected %s", BYTES_FMT(ours), expected);
    } else {
        ok = true;
    }
    json_decref(a);
    json_decref(b);
    return ok;
}

bool check_bytes(struct check *c, const char *what, struct bytes ours, struct bytes expected)
{
    if (bytes_eq(ours, expected)) {
        return true;
    }
    size_t at = 0;
    while (at < ours.len && at < expected.len && ours.data[at] == expected.data[at]) {
        at++;
    }
    check_fail(c, "%s bytes differ from byte %zu on (%zu bytes instead of %zu)", what, at, ours.len,
               expected.len);
    return false;
}

static int check_file(struct check *c, const char *path, bool hostile)
{
    struct table t;
    int rv = 0;
    if (table_load(&t, path) != 0) {
        return -1;
    }
    c->table = &t;
    for (size_t i = 0; i < t.n; i++) {
        c->row = &t.rows[i];
        bool ok;
        if (c->row->n == 6) {
            ok = hostile ? check_hostile_row(c) : check_message_row(c);
        } else if (c->row->n == 5 && !hostile) {
            ok = check_batch_row(c);
        } else {
            fprintf(stderr, "%s:%zu: %zu columns; 6 are messages, 5 are batches\n", path,
                    c->row->line, c->row->n);
            rv = -1;
            break;
        }
        c->passed += ok;
        c->failed += !ok;
    }
    table_free(&t);
    return rv;
}

int main(int argc, char **argv)
{
    struct check c = {0};
    bool hostile = argc > 1 && strcmp(argv[1], "--hostile") == 0;
    int first = hostile ? 2 : 1;
    int unusable = 0;
    if (first >= argc) {
        fprintf(stderr, "usage: vectors_check [--hostile] FILE...\n");
        return 2;
    }
    for (int i = first; i < argc; i++) {
        unusable |= check_file(&c, argv[i], hostile) != 0;
    }
    printf("%zu passed, %zu failed\n", c.passed, c.failed);
    return unusable ? 2 : c.failed != 0;
}
