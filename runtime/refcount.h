/* A count of owners for objects that several shards share and nobody changes after they are
 * published (the metadata image and what hangs on it). It is the only atomic that other folders may
 * have in their structs; the memory orders are the usual ones of shared ownership: taking a
 * reference needs no order, the last release must see all that the other owners did. */
#ifndef RUNTIME_REFCOUNT_H
#define RUNTIME_REFCOUNT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/assert.h"

struct refcount {
    _Atomic uint32_t n;
};

static inline void refcount_init(struct refcount *r) /* one owner: the caller */
{
    atomic_init(&r->n, 1);
}

static inline void refcount_get(struct refcount *r)
{
    uint32_t before = atomic_fetch_add_explicit(&r->n, 1, memory_order_relaxed);
    ASSERT(before > 0 && before < UINT32_MAX / 2);
}

/* True for the last owner, who frees the object. */
static inline bool refcount_put(struct refcount *r)
{
    /* not release and a fence: the thread sanitizer does not understand fences */
    uint32_t before = atomic_fetch_sub_explicit(&r->n, 1, memory_order_acq_rel);
    ASSERT(before > 0);
    return before == 1;
}

/* Copies all but the count, which other owners change at any time; refs is the first field. */
#define REFCOUNT_COPY_REST(to, from)                                                             \
    memcpy((uint8_t *)(to) + sizeof((to)->refs), (const uint8_t *)(from) + sizeof((from)->refs), \
           sizeof *(to) - sizeof((to)->refs))

/* Whether the caller is the only owner (and so may still change the object). */
static inline bool refcount_is_one(struct refcount *r)
{
    return atomic_load_explicit(&r->n, memory_order_acquire) == 1;
}

#endif
