/* A shard: one thread, one struct io, one loop. Whatever lives on a shard (connections, partitions,
 * timers) is touched by that shard only. Shards talk by messages.
 *
 * One turn: run the messages of all inboxes, run due timers, run deferred tasks, wait in io_turn
 * until the next timer or wake-up. The simulator calls shard_turn itself; real nodes start a thread
 * per shard that calls it until shard_stop.
 *
 * Messages. Between each ordered pair of shards there is one bounded single-producer ring of
 * pointers. shard_send never fails: what does not fit waits in order on the sender's side and goes
 * out in its next turns (shard_congested tells). What may wait is bounded by who produces it: a
 * connection has so many requests under way, and their memory is charged to the budget, so that it
 * is not read any more before queues grow without end. The receiver is woken only if it sleeps, at
 * most once a turn. Who frees a message and in which direction it goes is written down with its
 * kind (broker/messages.h). Memory goes home to be freed: the answer to a message is usually the
 * same message, sent back. */
#ifndef RUNTIME_SHARD_H
#define RUNTIME_SHARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/assert.h"
#include "base/list.h"
#include "base/logger.h"
#include "runtime/io.h"

struct shard;
struct shard_group; /* the shards of one node and the rings between them */

struct msg {
    struct list node; /* the runtime's while on its way */
    uint16_t kind;    /* broker/messages.h */
    uint16_t from;    /* index of the sending shard, set by shard_send */
};

struct timer;
typedef void timer_cb(struct timer *t);
struct timer {
    int64_t deadline_ms; /* io_now_ms time */
    timer_cb *cb;
    void *user;
    uint32_t heap_index; /* 1-based place in the shard's heap; 0: not set */
    uint32_t run;        /* the run of due timers in which it was set */
};

/* Runs once at the end of the present turn (an append of all batches of the turn, for example). */
struct task;
typedef void task_cb(struct task *t);
struct task {
    struct list node; /* zero or self when not queued; task_init */
    task_cb *cb;
    void *user;
};

/* Bytes of request memory this shard may hold; charged as they arrive. limit is
 * SHARD_BUDGET_DEFAULT until the node sets another, before start. */
#define SHARD_BUDGET_DEFAULT ((uint64_t)64 << 20)
struct budget {
    uint64_t limit;
    uint64_t used;
    uint64_t peak;
};

struct shard {
    struct shard_group *group;
    struct io *io;
    const struct logger *log;
    unsigned index;                                  /* in the group */
    void *user;                                      /* the node's per-shard state */
    void (*on_msg)(struct shard *sh, struct msg *m); /* set before start */
    void (*on_interrupt)(struct shard *sh);          /* set before start; may be NULL */
    struct budget budget;
    /* the runtime's */
    struct timer **heap;
    uint32_t heap_count;
    uint32_t heap_cap;
    uint32_t timer_run;    /* counts the turns' runs of due timers */
    int64_t timers_now_ms; /* a run goes on: what it takes for now; else 0 */
    struct list tasks;
    bool stopping;            /* the group was asked to stop: as of the last turn */
    void *priv;               /* shard.c's */
    struct conn_shard *conns; /* conn.c's */
};

/* Called on the shard's own thread, right after its io exists and before the first turn, and again
 * after the last one. */
struct shard_hooks {
    int (*start)(struct shard *sh, void *user);
    void (*stop)(struct shard *sh, void *user);
    void *user;
};

/* make_io is called on the shard's thread (io_uring wants that); the simulator passes its own and
 * never calls shard_group_start but shard_group_start_inline. */
typedef int make_io_fn(void *ctx, unsigned shard_index, struct io **out, struct errmsg *em);

struct shard_group *shard_group_new(unsigned shards, const struct logger *log, make_io_fn *make_io,
                                    void *make_ctx, const struct shard_hooks *hooks);
unsigned shard_group_count(const struct shard_group *g);
struct shard *shard_group_get(struct shard_group *g, unsigned index);
/* Starts the threads and returns when every start hook has returned; the first error if one failed
 * (all are then stopped). */
int shard_group_start(struct shard_group *g, struct errmsg *em);
/* The same without threads: the caller (simulator, some tests) calls shard_turn for each shard in
 * turn. */
int shard_group_start_inline(struct shard_group *g, struct errmsg *em);
void shard_turn(
    struct shard *sh,
    int64_t max_wait_us); /* one turn; waits at most that long when there is nothing to do */
int64_t shard_next_deadline_us(
    struct shard *sh); /* of the next timer, INT64_MAX if none, 0 if there is work now */
/* Any thread: every shard ends after its present turn. */
void shard_group_stop(struct shard_group *g);
void shard_group_join(struct shard_group *g);
void shard_group_free(struct shard_group *g);

/* Any thread, also one that is no shard's: sh->on_interrupt runs on the shard soon, at least once
 * after the call (several calls may share one). For the wish to stop, which comes from outside. */
void shard_interrupt(struct shard *sh);

void shard_send(struct shard *from, unsigned to, struct msg *m);
/* As shard_send, for what nobody waits for closely: a receiver that sleeps is not woken for it. It
 * gets the message when it wakes for another reason, else after within_us or little more (at most
 * twice that, when messages follow each other). shard_post: nobody waits for it at all. */
#define SHARD_POST_MS 20
void shard_post_within(struct shard *from, unsigned to, struct msg *m, int64_t within_us);
static inline void shard_post(struct shard *from, unsigned to, struct msg *m)
{
    shard_post_within(from, to, m, SHARD_POST_MS * INT64_C(1000));
}
bool shard_congested(const struct shard *from, unsigned to);

/* Moves it if it was set. One that is set by a timer's callback fires in the next turn at the
 * earliest, whatever its deadline. */
void timer_set(struct shard *sh, struct timer *t, int64_t deadline_ms);
void timer_cancel(struct shard *sh, struct timer *t); /* no harm if not set */
static inline bool timer_is_set(const struct timer *t)
{
    return t->heap_index != 0;
}

static inline void task_init(struct task *t, task_cb *cb, void *user)
{
    list_init(&t->node);
    t->cb = cb;
    t->user = user;
}
void shard_defer(struct shard *sh, struct task *t); /* once a turn, however often it is asked */

/* Processor time that the shard's thread has taken; on it. With inline shards the one thread's. */
int64_t shard_cpu_us(const struct shard *sh);
/* True on the shard's own thread (or in an inline group). First line of every entry function of
 * what lives on a shard. */
bool shard_is_current(const struct shard *sh);
#define ASSERT_ON_SHARD(sh) ASSERT(shard_is_current(sh))

static inline int64_t shard_now_ms(const struct shard *sh)
{
    return io_now_ms(sh->io);
}

#endif
