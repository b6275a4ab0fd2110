/* Rare work on another shard: a call runs a function there and comes back. For hot paths there are
 * messages of their own; this is for questions such as ListOffsets, a checkpoint's numbers, the
 * next producer id, or a request that only one shard can forward.
 *
 * A call is a field of the asker's object, which must stay in place until `done` has run: it runs
 * exactly once, on the asking shard, never inside call_start (also when asker and target are the
 * same shard, so that one code path serves both). `run` may finish later: it then keeps the call
 * and calls call_finish when it is through. */
#ifndef BROKER_CALL_H
#define BROKER_CALL_H

#include "runtime/shard.h"

struct call;
typedef void call_fn(struct shard *sh, struct call *c);

struct call {
    struct msg m;
    call_fn *run;   /* on the target shard; ends with call_finish, now or later */
    call_fn *done;  /* back on the asking shard */
    void *user;     /* the asker's */
    void *answer;   /* run's, as the two agree */
    unsigned asker; /* index of the asking shard */
    bool returning;
};

void call_start(struct shard *from, unsigned to, struct call *c, call_fn *run, call_fn *done,
                void *user);
void call_finish(struct shard *at, struct call *c);
/* node.c: a MSG_CALL has arrived. */
void call_on_msg(struct shard *sh, struct msg *m);

#endif
