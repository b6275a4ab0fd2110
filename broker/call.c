#include "broker/call.h"

#include "broker/messages.h"

void call_start(struct shard *from, unsigned to, struct call *c, call_fn *run, call_fn *done,
                void *user)
{
    ASSERT_ON_SHARD(from);
    c->m.kind = MSG_CALL;
    c->run = run;
    c->done = done;
    c->user = user;
    c->answer = NULL;
    c->asker = from->index;
    c->returning = false;
    shard_send(from, to, &c->m);
}

void call_finish(struct shard *at, struct call *c)
{
    ASSERT_ON_SHARD(at);
    ASSERT(!c->returning);
    c->returning = true;
    shard_send(at, c->asker, &c->m);
}

void call_on_msg(struct shard *sh, struct msg *m)
{
    ASSERT(m->kind == MSG_CALL);
    struct call *c = CONTAINER_OF(m, struct call, m);
    if (c->returning) {
        ASSERT(sh->index == c->asker);
        c->done(sh, c);
    } else {
        c->run(sh, c);
    }
}
