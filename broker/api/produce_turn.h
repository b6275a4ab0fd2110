/* How much compressed data one turn of a data shard opens for Produce.
 *
 * A batch that must be opened (of a compacted topic, or for another compression.type) inflates to
 * up to 128 MiB, which takes the processor for some tenths of a second; a turn serves every
 * connection that is ready, and tens of such clients would so keep all others of the shard waiting
 * for seconds, the broker's heartbeats among them. A turn therefore opens up to PRODUCE_OPEN_TURN
 * and the partition that passes it; the request's other partitions, and the requests behind it,
 * wait for the next turns.
 *
 *     judged at once --- the turn has opened its share ---> every Produce of the shard waits
 *                                                             -> judged in order, turn by turn
 *
 * Order: they stand in one line, what is compressed and what is not, because a connection's
 * requests must reach the logs in the order in which they came (an idempotent producer has five
 * under way); nothing of a request is appended before all of it is judged, and the one that has
 * begun stays the first. The line is never stuck: while somebody stands in it the timer is set, and
 * it fires once a turn.
 *
 * What waits is charged to the budget, as all unanswered requests are, so the line is bounded. One
 * whose connection ends while it waits is dropped: nobody has been promised anything. In an orderly
 * stop the line goes on until everybody is answered.
 * Shard: its own. */
#ifndef BROKER_API_PRODUCE_TURN_H
#define BROKER_API_PRODUCE_TURN_H

#include "broker/request.h"

/* Tens of milliseconds of inflating: as little as others should notice, and yet more than a turn of
 * ordinary producers opens (their batches are a hundredth of it), who so never wait. */
enum { PRODUCE_OPEN_TURN = 16 << 20 };

struct produce_turn {
    struct node_shard *ns;
    size_t opened;       /* bytes in this turn; only ever above 0 with the timer set */
    struct list waiting; /* struct produce_wait, the oldest first */
    struct timer next;   /* the next turn has begun */
};

/* A request in the line; in its own memory. */
struct produce_wait {
    struct list node;
    struct request *r;                /* its state is this */
    void (*judge)(struct request *r); /* as a handler: it may wait once more */
    void (*drop)(struct request *r);  /* its connection has gone: must end it */
};

struct produce_turn *produce_turn_new(struct node_shard *ns);
/* Those that wait are left as they are: request.c ends them. */
void produce_turn_free(struct produce_turn *t);

static inline bool produce_turn_is_spent(const struct produce_turn *t)
{
    return t->opened >= PRODUCE_OPEN_TURN;
}

/* The next Produce must wait. */
static inline bool produce_turn_is_over(const struct produce_turn *t)
{
    return produce_turn_is_spent(t) || !list_empty(&t->waiting);
}

/* w has all but its node; in its request's handler. */
void produce_turn_wait(struct produce_turn *t, struct produce_wait *w);
/* Part of it is judged already: the rest comes before everybody else's. */
void produce_turn_wait_first(struct produce_turn *t, struct produce_wait *w);
/* So much has been opened. */
void produce_turn_opened(struct produce_turn *t, size_t bytes);

#endif
