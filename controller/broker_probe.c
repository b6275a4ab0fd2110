#include "controller/broker_probe.h"

#include "base/list.h"
#include "base/mem.h"
#include "runtime/dial.h"
#include "runtime/io.h"

enum {
    FRAME_MAX = 1 << 10, /* nothing is asked: nothing comes */
    WITNESSES = 2,
};

enum probe_state {
    WAITING, /* for its time, or for a place */
    DIALLING,
    REFUSED, /* until another broker is known to live */
    ACCEPTED,
    UNKNOWN, /* no answer: the session decides */
};

struct probe { /* of one broker; kept while the controller leads, so that hints are limited */
    struct list node;
    struct broker_probe *all;
    int32_t broker;
    int64_t epoch;
    enum probe_state state;
    bool suspect;       /* there is a hint; else it is dialled as a witness */
    int64_t hint_ms;    /* the newest hint */
    int64_t dialled_ms; /* the newest dial; -1 none */
    unsigned refusals;  /* in a row */
    unsigned answers;   /* in a row */
    struct dial dial;
    struct timer timer; /* WAITING */
};

struct broker_probe {
    struct shard *shard;
    const struct broker_probe_ops *ops;
    void *user;
    struct list probes;
    struct timer verdict; /* somebody is dead: told from a turn of its own */
    unsigned dialling;
    int32_t alive; /* the broker that was last known to live; -1 none */
    int64_t alive_ms;
};

static int64_t now(const struct broker_probe *p)
{
    return shard_now_ms(p->shard);
}

static struct probe *find(struct broker_probe *p, int32_t broker)
{
    for (struct list *n = p->probes.next; n != &p->probes; n = n->next) {
        struct probe *b = LIST_ENTRY(n, struct probe, node);
        if (b->broker == broker) {
            return b;
        }
    }
    return NULL;
}

static void leave(struct probe *b, enum probe_state state)
{
    if (b->state == DIALLING) {
        b->all->dialling--;
        dial_close(&b->dial);
    }
    timer_cancel(b->all->shard, &b->timer);
    b->state = state;
}

/* ---- the verdict ---- */

static bool is_refused(const struct probe *b)
{
    return b->state == REFUSED && b->suspect;
}

/* Another one lives since the hint: it is not us whom nobody answers. */
static bool has_witness(const struct probe *b)
{
    const struct broker_probe *p = b->all;
    return p->alive >= 0 && p->alive != b->broker && p->alive_ms >= b->hint_ms;
}

static struct probe *find_dead(struct broker_probe *p)
{
    for (struct list *n = p->probes.next; n != &p->probes; n = n->next) {
        struct probe *b = LIST_ENTRY(n, struct probe, node);
        if (is_refused(b) && has_witness(b)) {
            return b;
        }
    }
    return NULL;
}

static void judge(struct broker_probe *p)
{
    if (!timer_is_set(&p->verdict) && find_dead(p)) {
        timer_set(p->shard, &p->verdict, now(p));
    }
}

static void on_verdict(struct timer *t)
{
    struct broker_probe *p = t->user;
    struct probe *b = find_dead(p);
    if (b) {
        b->state = UNKNOWN;
        b->suspect = false;
        p->ops->dead(p->user, b->broker, b->epoch); /* may change anything */
        judge(p);
    }
}

static void note_alive(struct broker_probe *p, int32_t broker)
{
    p->alive = broker;
    p->alive_ms = now(p);
    judge(p);
}

/* ---- dialling ---- */

static void begin(struct probe *b);

static void begin_next(struct broker_probe *p)
{
    for (struct list *n = p->probes.next; n != &p->probes && p->dialling < PROBE_DIALS_MAX;) {
        struct probe *b = LIST_ENTRY(n, struct probe, node);
        n = n->next;
        if (b->state == WAITING && !timer_is_set(&b->timer)) {
            begin(b);
        }
    }
}

static void wait_for(struct probe *b, int64_t in_ms)
{
    leave(b, WAITING);
    timer_set(b->all->shard, &b->timer, now(b->all) + in_ms);
}

static void on_up(struct dial *d)
{
    struct probe *b = d->user;
    struct broker_probe *p = b->all;
    b->refusals = 0;
    if (b->suspect && ++b->answers < PROBE_ALIKE) {
        wait_for(b, PROBE_AGAIN_MS);
    } else {
        leave(b, ACCEPTED);
        b->suspect = false;
        note_alive(p, b->broker);
    }
    begin_next(p);
}

static void on_frame(struct dial *d, struct bytes frame)
{
    UNUSED(d);
    UNUSED(frame);
}

static struct probe *probe_of(struct broker_probe *p, int32_t broker);

/* Nobody is known to live since the hint: others are asked, a few at a time. */
static void call_witnesses(struct broker_probe *p, const struct probe *of)
{
    int32_t id = -1;
    unsigned asked = 0;
    while (asked < WITNESSES && (id = p->ops->next(p->user, id)) >= 0) {
        struct probe *b = id == of->broker ? NULL : probe_of(p, id);
        if (b && (b->state == DIALLING || b->state == WAITING)) {
            asked++;
        } else if (b && b->dialled_ms < of->hint_ms) {
            wait_for(b, 0);
            asked++;
        }
    }
}

static void on_down(struct dial *d, int err)
{
    struct probe *b = d->user;
    struct broker_probe *p = b->all;
    b->answers = 0;
    b->refusals = err == ERR_REFUSED ? b->refusals + 1 : 0;
    if (b->suspect && b->refusals > 0 && b->refusals < PROBE_ALIKE) {
        wait_for(b, PROBE_AGAIN_MS);
    } else {
        leave(b, err == ERR_REFUSED ? REFUSED : UNKNOWN);
        judge(p);
    }
    for (struct list *n = p->probes.next; n != &p->probes; n = n->next) {
        struct probe *other = LIST_ENTRY(n, struct probe, node);
        if (is_refused(other) && !has_witness(other)) {
            call_witnesses(p, other);
        }
    }
    begin_next(p);
}

static const struct dial_ops dial_ops = {.up = on_up, .frame = on_frame, .down = on_down};

static void begin(struct probe *b)
{
    struct broker_probe *p = b->all;
    struct probe_target to;
    if (p->dialling >= PROBE_DIALS_MAX) {
        return; /* WAITING without a timer: begin_next */
    }
    if (!p->ops->target(p->user, b->broker, &to)) {
        leave(b, UNKNOWN);
        b->suspect = false;
        return;
    }
    b->state = DIALLING;
    b->epoch = to.epoch;
    b->dialled_ms = now(p);
    p->dialling++;
    dial_open(&b->dial, to.host, to.port, PROBE_CONNECT_MS);
}

static void on_timer(struct timer *t)
{
    begin(t->user);
}

static struct probe *probe_of(struct broker_probe *p, int32_t broker)
{
    struct probe *b = find(p, broker);
    if (b == NULL) {
        b = MEM_NEW(struct probe);
        b->all = p;
        b->broker = broker;
        b->state = UNKNOWN;
        b->dialled_ms = -1;
        b->timer = (struct timer){.cb = on_timer, .user = b};
        dial_init(&b->dial, p->shard, &dial_ops, b, FRAME_MAX);
        list_push_back(&p->probes, &b->node);
    }
    return b;
}

static int64_t spread(struct broker_probe *p)
{
    uint32_t random;
    if (p->dialling == 0) {
        return 0;
    }
    io_random(p->shard->io, &random, sizeof random);
    return random % PROBE_SPREAD_MS;
}

void broker_probe_hint(struct broker_probe *p, int32_t broker)
{
    struct probe_target to;
    ASSERT_ON_SHARD(p->shard);
    if (!p->ops->target(p->user, broker, &to)) {
        return;
    }
    struct probe *b = probe_of(p, broker);
    b->suspect = true;
    b->hint_ms = now(p);
    if (b->state == DIALLING || b->state == WAITING) {
        return;
    }
    b->refusals = b->answers = 0;
    int64_t rest = b->dialled_ms < 0 ? 0 : b->dialled_ms + PROBE_REST_MS - now(p);
    wait_for(b, rest > 0 ? rest : spread(p));
}

void broker_probe_heard(struct broker_probe *p, int32_t broker)
{
    struct probe *b = find(p, broker);
    if (b && b->suspect) {
        b->suspect = false;
        leave(b, UNKNOWN);
        begin_next(p);
    }
    note_alive(p, broker);
}

void broker_probe_clear(struct broker_probe *p)
{
    while (!list_empty(&p->probes)) {
        struct probe *b = LIST_ENTRY(p->probes.next, struct probe, node);
        leave(b, UNKNOWN);
        list_remove(&b->node);
        mem_free(b);
    }
    timer_cancel(p->shard, &p->verdict);
    p->alive = -1;
}

struct broker_probe *broker_probe_new(struct shard *sh, const struct broker_probe_ops *ops,
                                      void *user)
{
    struct broker_probe *p = MEM_NEW(struct broker_probe);
    p->shard = sh;
    p->ops = ops;
    p->user = user;
    p->alive = -1;
    list_init(&p->probes);
    p->verdict = (struct timer){.cb = on_verdict, .user = p};
    return p;
}

void broker_probe_free(struct broker_probe *p)
{
    if (p) {
        broker_probe_clear(p);
        mem_free(p);
    }
}
