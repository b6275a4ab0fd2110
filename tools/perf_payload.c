#include "tools/perf_payload.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "tools/text.h"

enum { LETTERS_MIN = 4 << 20 }; /* more than any batch */

static void start(struct perf_payload *p)
{
    *p = (struct perf_payload){0};
    prng_seed(&p->random, 0);
}

void perf_payload_letters(struct perf_payload *p, size_t size)
{
    start(p);
    p->size = size;
    size_t n = size + LETTERS_MIN;
    buf_reserve(&p->text, n);
    while (p->text.len < n) {
        p->text.data[p->text.len++] = (uint8_t)('A' + prng_below(&p->random, 26));
    }
}

void perf_payload_numbers(struct perf_payload *p)
{
    start(p);
}

static void cut(struct perf_payload *p, const char *delimiter)
{
    size_t skip = strlen(delimiter), cap = 0;
    const uint8_t *s = p->text.data, *end = s + p->text.len, *next;
    do {
        next = skip ? memmem(s, (size_t)(end - s), delimiter, skip) : NULL;
        if (p->parts_n == cap) {
            cap = cap ? cap * 2 : 64;
            p->parts = mem_realloc(p->parts, cap * sizeof *p->parts);
        }
        p->parts[p->parts_n++] = (struct bytes){s, (size_t)((next ? next : end) - s)};
        s = next ? next + skip : end;
    } while (next);
    while (p->parts_n > 1 && p->parts[p->parts_n - 1].len == 0) {
        p->parts_n--;
    }
}

int perf_payload_file(struct perf_payload *p, const char *path, const char *delimiter,
                      struct errmsg *em)
{
    start(p);
    int rv = tool_read_file(path, &p->text, em);
    if (rv == 0 && p->text.len == 0) {
        rv = errmsg_set(em, ERR_INVALID, "The payload file %s is empty", path);
    }
    if (rv) {
        perf_payload_free(p);
        return rv;
    }
    cut(p, delimiter);
    return 0;
}

struct bytes perf_payload_next(struct perf_payload *p, int64_t n)
{
    if (p->parts) {
        return p->parts[prng_below(&p->random, p->parts_n)];
    }
    if (p->size == 0) {
        int len = snprintf(p->number, sizeof p->number, "%lld", (long long)n);
        return (struct bytes){(const uint8_t *)p->number, (size_t)len};
    }
    struct bytes v = {p->text.data + p->at, p->size};
    p->at += p->size;
    if (p->at + p->size > p->text.len) {
        p->at = 0;
    }
    return v;
}

void perf_payload_free(struct perf_payload *p)
{
    buf_free(&p->text);
    mem_free(p->parts);
    p->parts = NULL;
}
