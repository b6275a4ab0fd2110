/* A bump allocator for what lives as long as one request or one decoded message: many allocations,
 * one free. A limit bounds what a peer can make us take: arena_try returns NULL past it.
 * Zero-initialise to start (limit 0 = none). */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <stddef.h>
#include <stdint.h>

struct arena_block;

struct arena {
    struct arena_block *head; /* newest block, the one that is filled */
    size_t used;              /* bytes handed out */
    size_t limit;             /* arena_try fails past this many; 0 is no limit */
};

void *arena_alloc(struct arena *a, size_t n); /* zeroed, aligned to 16; never NULL */
void *arena_try(struct arena *a, size_t n); /* the same, or NULL past the limit or without memory */
char *arena_strndup(struct arena *a, const void *p, size_t n); /* copy with a NUL behind it */
char *arena_printf(struct arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void arena_reset(struct arena *a); /* frees all but one block */
void arena_free(struct arena *a);

#define ARENA_NEW(a, type)      ((type *)arena_alloc((a), sizeof(type)))
#define ARENA_ARRAY(a, type, n) ((type *)arena_alloc((a), sizeof(type) * (size_t)(n)))

#endif
