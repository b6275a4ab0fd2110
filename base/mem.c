#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *check(void *p, size_t n)
{
    if (p == NULL) {
        fprintf(stderr, "millrace: out of memory for %zu bytes\n", n);
        abort();
    }
    return p;
}

void *mem_alloc(size_t n)
{
    return check(malloc(n ? n : 1), n);
}

void *mem_zalloc(size_t n)
{
    return check(calloc(1, n ? n : 1), n);
}

void *mem_realloc(void *p, size_t n)
{
    return check(realloc(p, n ? n : 1), n);
}

void *mem_try_alloc(size_t n)
{
    return malloc(n ? n : 1);
}

char *mem_strdup(const char *s)
{
    size_t n = strlen(s) + 1;
    return memcpy(mem_alloc(n), s, n);
}

void mem_free(void *p)
{
    free(p);
}
