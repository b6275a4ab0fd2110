#include "runtime/frame_pool.h"

#include <string.h>

#include "base/assert.h"
#include "base/mem.h"

static size_t class_bytes(unsigned k)
{
    return ((size_t)1 << (FRAME_CLASS_MIN_BITS + k)) + FRAME_SLACK;
}

/* The class whose buffers hold n bytes; FRAME_CLASSES if it is left to the allocator. */
static unsigned class_of(size_t n)
{
    unsigned k = 0;
    if (n <= FRAME_SMALL) {
        return FRAME_CLASSES;
    }
    while (k < FRAME_CLASSES && class_bytes(k) < n) {
        k++;
    }
    return k;
}

static void *pop(struct frame_pool *p, unsigned k)
{
    struct frame_class *c = &p->classes[k];
    void *buf = c->top;
    if (buf != NULL) {
        memcpy(&c->top, buf, sizeof c->top);
        c->count--;
        c->low = c->low < c->count ? c->low : c->count;
        p->cached -= class_bytes(k);
    }
    return buf;
}

uint8_t *frame_pool_get(struct frame_pool *p, size_t n, size_t *cap)
{
    unsigned k = class_of(n);
    void *buf = k < FRAME_CLASSES ? pop(p, k) : NULL;
    *cap = k < FRAME_CLASSES ? class_bytes(k) : n;
    return buf != NULL ? buf : mem_try_alloc(*cap);
}

void frame_pool_put(struct frame_pool *p, uint8_t *buf, size_t cap)
{
    unsigned k = class_of(cap);
    struct frame_class *c;
    if (k == FRAME_CLASSES || class_bytes(k) != cap || p->cached + cap > p->max) {
        mem_free(buf);
        return;
    }
    c = &p->classes[k];
    memcpy(buf, &c->top, sizeof c->top);
    c->top = buf;
    c->count++;
    p->cached += cap;
}

size_t frame_pool_trim(struct frame_pool *p)
{
    size_t freed = 0;
    for (unsigned k = 0; k < FRAME_CLASSES; k++) {
        struct frame_class *c = &p->classes[k];
        for (uint32_t n = c->low; n > 0; n--) {
            void *buf = pop(p, k);
            ASSERT(buf != NULL);
            mem_free(buf);
            freed += class_bytes(k);
        }
        c->low = c->count;
    }
    return freed;
}

void frame_pool_free(struct frame_pool *p)
{
    for (unsigned k = 0; k < FRAME_CLASSES; k++) {
        void *buf;
        while ((buf = pop(p, k)) != NULL) {
            mem_free(buf);
        }
    }
    ASSERT(p->cached == 0);
}
