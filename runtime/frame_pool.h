/* Buffers for request bodies that do not fit the small allocator: size classes of 2^k + 4 KiB
 * (a client's batch is a power of two, its request a little more), each a stack, so that the buffer
 * that was used last, whose pages exist and are still in the cache, is used next. First touch of
 * fresh pages costs more than receiving into them.
 *
 * Bounded: what would push the free bytes past `max` goes back to the system. frame_pool_trim,
 * called now and then, gives back what nobody needed since it was last called. */
#ifndef RUNTIME_FRAME_POOL_H
#define RUNTIME_FRAME_POOL_H

#include <stddef.h>
#include <stdint.h>

enum {
    FRAME_CLASS_MIN_BITS = 14, /* 16 KiB */
    FRAME_CLASSES = 8,         /* ... 2 MiB */
    FRAME_SLACK = 4096,
    FRAME_SMALL = 8192, /* up to here the allocator is as good */
};

struct frame_class {
    void *top;      /* free buffers; each begins with the pointer to the next */
    uint32_t count; /* of them */
    uint32_t low;   /* the least count since the last trim */
};

struct frame_pool {
    struct frame_class classes[FRAME_CLASSES];
    size_t cached; /* bytes of all free buffers */
    size_t max;
};

/* At least n bytes; *cap says how many. NULL when there is no memory. */
uint8_t *frame_pool_get(struct frame_pool *p, size_t n, size_t *cap);
void frame_pool_put(struct frame_pool *p, uint8_t *buf, size_t cap);
size_t frame_pool_trim(struct frame_pool *p); /* bytes given back */
void frame_pool_free(struct frame_pool *p);

#endif
