#include "runtime/mailbox.h"

#include <stddef.h>

bool mailbox_put(struct mailbox *m, void *p)
{
    uint32_t tail = atomic_load_explicit(&m->tail, memory_order_relaxed);
    if (tail - m->head_seen == MAILBOX_SLOTS) {
        m->head_seen = atomic_load_explicit(&m->head, memory_order_acquire);
        if (tail - m->head_seen == MAILBOX_SLOTS) {
            return false;
        }
    }
    m->slots[tail % MAILBOX_SLOTS] = p;
    atomic_store_explicit(&m->tail, tail + 1, memory_order_release);
    return true;
}

void *mailbox_take(struct mailbox *m)
{
    uint32_t head = atomic_load_explicit(&m->head, memory_order_relaxed);
    void *p;
    if (head == m->tail_seen) {
        m->tail_seen = atomic_load_explicit(&m->tail, memory_order_acquire);
        if (head == m->tail_seen) {
            return NULL;
        }
    }
    p = m->slots[head % MAILBOX_SLOTS];
    atomic_store_explicit(&m->head, head + 1, memory_order_release);
    return p;
}

bool mailbox_empty(struct mailbox *m)
{
    uint32_t head = atomic_load_explicit(&m->head, memory_order_relaxed);
    return head == atomic_load_explicit(&m->tail, memory_order_acquire);
}
