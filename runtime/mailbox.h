/* The bounded ring of pointers between one ordered pair of shards, and the flag that says whether a
 * shard sleeps. Here are the atomics of shard-to-shard traffic, and nowhere else.
 *
 * Ring: one producer, one consumer. `tail` is written by the producer with release after the slot;
 * the consumer reads it with acquire, so it sees the slot and all that the producer did before
 * (that is what makes handing memory over safe). `head` goes the other way in the same manner: a
 * slot is written again only when the consumer is through with it. Each side keeps the last value
 * it saw of the other's index and asks again only when that says "full" or "empty".
 *
 * Sleeping. The receiver sets the flag, then looks at its rings once more, then waits. The sender
 * puts its message, then takes the flag (once per peer and turn) and wakes the receiver if it was
 * set. All three accesses of the flag are exchanges with acq_rel, hence totally ordered among
 * themselves, each seeing what came before the one it read from: either the sender's exchange comes
 * first, and the receiver, reading a value at or after it, sees the message when it looks; or the
 * receiver's comes first, and the sender reads 1 and wakes. No fence is needed. */
#ifndef RUNTIME_MAILBOX_H
#define RUNTIME_MAILBOX_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum { MAILBOX_SLOTS = 1024 }; /* a power of two */

struct mailbox {
    _Alignas(64) _Atomic uint32_t tail; /* the producer's: next slot to fill */
    uint32_t head_seen;                 /* the producer's: head as last read */
    _Alignas(64) _Atomic uint32_t head; /* the consumer's: next slot to take */
    uint32_t tail_seen;                 /* the consumer's: tail as last read */
    _Alignas(64) void *slots[MAILBOX_SLOTS];
};

struct sleep_flag {
    _Alignas(64) _Atomic uint32_t sleeping;
};

bool mailbox_put(struct mailbox *m, void *p); /* false: full */
void *mailbox_take(struct mailbox *m);        /* NULL: empty */
bool mailbox_empty(struct mailbox *m);        /* asked by the consumer */

/* The producer: where it puts the next one, and whether the consumer has taken all before `at`. */
static inline uint32_t mailbox_tail(const struct mailbox *m)
{
    return atomic_load_explicit(&m->tail, memory_order_relaxed);
}
static inline bool mailbox_taken(const struct mailbox *m, uint32_t at)
{
    uint32_t head = atomic_load_explicit(&m->head, memory_order_acquire);
    return (int32_t)(head - at) >= 0;
}

/* The receiver: before its last look at the rings, and after the wait. */
static inline void sleep_flag_set(struct sleep_flag *f, bool sleeping)
{
    (void)atomic_exchange_explicit(&f->sleeping, sleeping ? 1 : 0, memory_order_acq_rel);
}
/* The sender, after its put: true if it must wake the receiver (nobody else will). */
static inline bool sleep_flag_take(struct sleep_flag *f)
{
    return atomic_exchange_explicit(&f->sleeping, 0, memory_order_acq_rel) == 1;
}

#endif
