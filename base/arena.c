#include "base/arena.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"

enum { BLOCK_MIN = 2048, ALIGN = 16 };

struct arena_block {
    struct arena_block *next; /* older block */
    size_t len;               /* bytes in use */
    size_t cap;
    uint8_t data[] __attribute__((aligned(ALIGN)));
};

void *arena_try(struct arena *a, size_t n)
{
    if (n > SIZE_MAX / 4 || (a->limit && (n > a->limit || a->used > a->limit - n))) {
        return NULL;
    }
    size_t need = (n + ALIGN - 1) & ~(size_t)(ALIGN - 1);
    if (a->head == NULL || a->head->cap - a->head->len < need) {
        size_t grown = a->head ? a->head->cap * 2 : BLOCK_MIN;
        size_t cap = need > grown ? need : (grown > (1u << 20) ? 1u << 20 : grown);
        cap = cap < need ? need : cap;
        struct arena_block *b = mem_try_alloc(sizeof *b + cap);
        if (b == NULL) {
            return NULL;
        }
        *b = (struct arena_block){.next = a->head, .len = 0, .cap = cap};
        a->head = b;
    }
    void *p = a->head->data + a->head->len;
    a->head->len += need;
    a->used += n;
    return memset(p, 0, need);
}

void *arena_alloc(struct arena *a, size_t n)
{
    size_t limit = a->limit;
    a->limit = 0;
    void *p = arena_try(a, n);
    a->limit = limit;
    ASSERT(p != NULL);
    return p;
}

char *arena_strndup(struct arena *a, const void *p, size_t n)
{
    char *s = arena_alloc(a, n + 1);
    if (n) {
        memcpy(s, p, n);
    }
    return s;
}

char *arena_printf(struct arena *a, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    ASSERT(n >= 0);
    char *s = arena_alloc(a, (size_t)n + 1);
    va_start(ap, fmt);
    vsnprintf(s, (size_t)n + 1, fmt, ap);
    va_end(ap);
    return s;
}

void arena_reset(struct arena *a)
{
    while (a->head && a->head->next) {
        struct arena_block *b = a->head;
        a->head = b->next;
        mem_free(b);
    }
    if (a->head) {
        a->head->len = 0;
    }
    a->used = 0;
}

void arena_free(struct arena *a)
{
    while (a->head) {
        struct arena_block *b = a->head;
        a->head = b->next;
        mem_free(b);
    }
    a->used = 0;
}
