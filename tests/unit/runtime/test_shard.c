/* Shards: timers against a sorted model, tasks, messages in one thread and between threads, start
 * and stop. The threaded cases are meant to be run under the thread sanitizer too. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/prng.h"
#include "runtime/mailbox.h"
#include "runtime/shard.h"

static int make_io(void *ctx, unsigned index, struct io **out, struct errmsg *em)
{
    UNUSED(index);
    return io_create(*(enum io_backend *)ctx, out, em);
}

static enum io_backend libuv = IO_BACKEND_UV;

static struct shard_group *one_shard(void)
{
    struct shard_group *g = shard_group_new(1, NULL, make_io, &libuv, NULL);
    assert_int_equal(shard_group_start_inline(g, NULL), 0);
    return g;
}

static void group_end(struct shard_group *g)
{
    shard_group_stop(g);
    shard_group_join(g);
    shard_group_free(g);
}

/* ---- timers ---- */

enum { TIMERS = 500 };

struct clockwork {
    struct shard *sh;
    struct timer t[TIMERS];
    int64_t fired[TIMERS]; /* deadlines in the order of firing */
    unsigned n;
};

static void tick(struct timer *t)
{
    struct clockwork *c = t->user;
    assert_false(timer_is_set(t));
    assert_true(shard_now_ms(c->sh) >= t->deadline_ms);
    c->fired[c->n++] = t->deadline_ms;
}

static void timers_fire_in_order(void **state)
{
    struct shard_group *g = one_shard();
    struct clockwork *c = MEM_NEW(struct clockwork);
    struct prng r;
    unsigned kept = 0;
    int64_t now;
    UNUSED(state);
    c->sh = shard_group_get(g, 0);
    prng_seed(&r, 7);
    now = shard_now_ms(c->sh);
    for (unsigned i = 0; i < TIMERS; i++) {
        c->t[i] = (struct timer){.cb = tick, .user = c};
        timer_set(c->sh, &c->t[i], now + (int64_t)prng_below(&r, 60));
    }
    for (unsigned i = 0; i < TIMERS; i++) {
        switch (prng_below(&r, 3)) {
        case 0:
            timer_cancel(c->sh, &c->t[i]);
            timer_cancel(c->sh, &c->t[i]); /* no harm */
            break;
        case 1:
            timer_set(c->sh, &c->t[i], now + (int64_t)prng_below(&r, 60));
            break;
        default:
            break;
        }
        kept += timer_is_set(&c->t[i]);
    }
    while (c->sh->heap_count > 0) {
        assert_true(shard_next_deadline_us(c->sh) < INT64_MAX);
        shard_turn(c->sh, 10000);
    }
    assert_int_equal(c->n, kept);
    for (unsigned i = 1; i < c->n; i++) {
        assert_true(c->fired[i] >= c->fired[i - 1]);
    }
    assert_true(shard_next_deadline_us(c->sh) == INT64_MAX);
    mem_free(c);
    group_end(g);
}

struct again {
    struct shard *sh;
    struct timer t, other;
    unsigned n, other_n;
};

static void set_again(struct timer *t)
{
    struct again *a = t->user;
    a->n++;
    timer_set(a->sh, t, 0); /* due at once: but not in the same turn */
    timer_cancel(a->sh, &a->other);
}

static void not_me(struct timer *t)
{
    struct again *a = t->user;
    a->other_n++;
}

static void a_timer_may_set_itself_and_cancel_others(void **state)
{
    struct shard_group *g = one_shard();
    struct again a = {.sh = shard_group_get(g, 0)};
    UNUSED(state);
    a.t = (struct timer){.cb = set_again, .user = &a};
    a.other = (struct timer){.cb = not_me, .user = &a};
    timer_set(a.sh, &a.t, 1);
    timer_set(a.sh, &a.other, 2);
    shard_turn(a.sh, 0);
    assert_int_equal(a.n, 1);
    shard_turn(a.sh, 0);
    assert_int_equal(a.n, 2);
    assert_int_equal(a.other_n, 0);
    timer_cancel(a.sh, &a.t);
    group_end(g);
}

/* Timers that set themselves to the past, beside one that does not: each fires once a turn, and the
 * other one is not kept waiting. */
static void timers_that_press_do_not_hold_up_others(void **state)
{
    enum { PRESSING = 5, TURNS = 20 };
    struct shard_group *g = one_shard();
    struct again a[PRESSING], quiet = {.sh = shard_group_get(g, 0)};
    UNUSED(state);
    memset(a, 0, sizeof a);
    for (unsigned i = 0; i < PRESSING; i++) {
        a[i].sh = quiet.sh;
        a[i].t = (struct timer){.cb = set_again, .user = &a[i]};
        timer_set(quiet.sh, &a[i].t, 0);
    }
    quiet.t = (struct timer){.cb = not_me, .user = &quiet};
    for (unsigned turn = 1; turn <= TURNS; turn++) {
        timer_set(quiet.sh, &quiet.t, shard_now_ms(quiet.sh));
        shard_turn(quiet.sh, 0);
        for (unsigned i = 0; i < PRESSING; i++) {
            assert_int_equal(a[i].n, turn);
        }
        assert_int_equal(quiet.other_n, turn);
    }
    for (unsigned i = 0; i < PRESSING; i++) {
        timer_cancel(quiet.sh, &a[i].t);
    }
    group_end(g);
}

/* ---- tasks ---- */

struct chain {
    struct shard *sh;
    struct task t;
    unsigned runs, more;
};

static void run_chain(struct task *t)
{
    struct chain *c = t->user;
    c->runs++;
    if (c->more > 0) {
        c->more--;
        shard_defer(c->sh, t);
    }
}

static void tasks_run_once_a_turn(void **state)
{
    struct shard_group *g = one_shard();
    struct chain c = {.sh = shard_group_get(g, 0)};
    UNUSED(state);
    task_init(&c.t, run_chain, &c);
    shard_defer(c.sh, &c.t);
    shard_defer(c.sh, &c.t);
    assert_int_equal(c.runs, 0);
    assert_int_equal(shard_next_deadline_us(c.sh), 0);
    shard_turn(c.sh, 0);
    assert_int_equal(c.runs, 1);
    c.more = 100; /* a task that always wants more does not keep the turn for ever */
    shard_defer(c.sh, &c.t);
    shard_turn(c.sh, -1);
    assert_true(c.runs < 50);
    while (shard_next_deadline_us(c.sh) == 0) {
        shard_turn(c.sh, 0);
    }
    assert_int_equal(c.runs, 102);
    group_end(g);
}

/* ---- messages in one thread ---- */

struct numbered {
    struct msg m;
    uint32_t number;
};

struct counted {
    uint32_t next[3]; /* by sender */
    uint32_t total;
};

static void in_order(struct shard *sh, struct msg *m)
{
    struct counted *c = sh->user;
    struct numbered *n = (struct numbered *)m;
    assert_int_equal(n->number, c->next[m->from]);
    c->next[m->from]++;
    c->total++;
    mem_free(n);
}

static void messages_keep_their_order_past_a_full_ring(void **state)
{
    enum { SENT = 3 * MAILBOX_SLOTS + 17 };
    struct shard_group *g = shard_group_new(2, NULL, make_io, &libuv, NULL);
    struct counted counted[2] = {{{0}, 0}, {{0}, 0}};
    struct shard *a = shard_group_get(g, 0), *b = shard_group_get(g, 1);
    UNUSED(state);
    a->user = &counted[0];
    b->user = &counted[1];
    a->on_msg = b->on_msg = in_order;
    assert_int_equal(shard_group_start_inline(g, NULL), 0);
    for (uint32_t i = 0; i < SENT; i++) {
        struct numbered *to_b = MEM_NEW(struct numbered), *to_self = MEM_NEW(struct numbered);
        to_b->number = to_self->number = i;
        shard_send(a, 1, &to_b->m);
        assert_int_equal(shard_congested(a, 1), i >= MAILBOX_SLOTS);
        shard_send(a, 0, &to_self->m);
        assert_false(shard_congested(a, 0));
    }
    assert_int_equal(counted[0].total + counted[1].total, 0); /* never inside shard_send */
    assert_int_equal(shard_next_deadline_us(b), 0);
    while (counted[1].total < SENT) {
        shard_turn(b, 0);
        shard_turn(a, 0);
    }
    assert_false(shard_congested(a, 1));
    assert_int_equal(counted[0].total, SENT);
    group_end(g);
}

/* ---- threads ---- */

enum { SHARDS = 3, MESSAGES = 20000, WINDOW = 3000 };

/* Every shard sends numbered messages to every other one, with more on the way than a ring holds;
 * they come back and are counted by their maker. */
struct traveller {
    struct msg m;
    unsigned maker;
    uint32_t number;
};

struct station {
    struct shard *sh;
    uint32_t sent[SHARDS], home[SHARDS], seen[SHARDS];
    _Atomic bool done;
};

static void send_some(struct station *s)
{
    for (unsigned to = 0; to < SHARDS; to++) {
        while (s->sent[to] < MESSAGES && s->sent[to] - s->home[to] < WINDOW) {
            struct traveller *t = MEM_NEW(struct traveller);
            t->maker = s->sh->index;
            t->number = s->sent[to]++;
            shard_send(s->sh, to, &t->m);
        }
    }
}

static void arrive(struct shard *sh, struct msg *m)
{
    struct station *s = sh->user;
    struct traveller *t = (struct traveller *)m;
    bool all = true;
    unsigned from = m->from;
    assert_true(shard_is_current(sh));
    if (t->maker != sh->index) {
        assert_int_equal(t->number, s->seen[from]++);
        shard_send(sh, from, m);
        return;
    }
    assert_int_equal(t->number, s->home[from]++);
    mem_free(t);
    send_some(s);
    for (unsigned to = 0; to < SHARDS; to++) {
        all = all && s->home[to] == MESSAGES;
    }
    if (all) {
        atomic_store(&s->done, true);
    }
}

static int begin_station(struct shard *sh, void *user)
{
    struct station *s = &((struct station *)user)[sh->index];
    s->sh = sh;
    send_some(s);
    return 0;
}

static void wait_for_stations(struct station *s)
{
    for (unsigned i = 0; i < SHARDS; i++) {
        while (!atomic_load(&s[i].done)) {
            sched_yield();
        }
    }
}

static void between_threads(enum io_backend backend)
{
    static struct station s[SHARDS];
    struct shard_hooks hooks = {.start = begin_station, .user = s};
    struct errmsg em;
    struct shard_group *g = shard_group_new(SHARDS, NULL, make_io, &backend, &hooks);
    memset(s, 0, sizeof s);
    for (unsigned i = 0; i < SHARDS; i++) {
        shard_group_get(g, i)->user = &s[i];
        shard_group_get(g, i)->on_msg = arrive;
    }
    assert_int_equal(shard_group_start(g, &em), 0);
    wait_for_stations(s);
    group_end(g);
    for (unsigned i = 0; i < SHARDS; i++) {
        for (unsigned j = 0; j < SHARDS; j++) {
            assert_int_equal(s[i].home[j], MESSAGES);
            assert_int_equal(s[i].seen[j], i == j ? 0 : MESSAGES);
        }
    }
}

static void messages_between_threads_on_libuv(void **state)
{
    UNUSED(state);
    between_threads(IO_BACKEND_UV);
}

static void messages_between_threads_on_io_uring(void **state)
{
    enum io_backend chosen;
    struct errmsg why;
    UNUSED(state);
    if (io_probe(IO_BACKEND_URING, &chosen, &why) != 0) {
        skip();
    }
    between_threads(IO_BACKEND_URING);
}

/* ---- what nobody waits for ---- */

/* Shard 0 posts three messages to a sleeping one, and once sends one behind them. */
struct post {
    struct msg m[4];
    unsigned sent; /* how many of them wake the receiver: none, or the last */
    int64_t began_us, came_us[4];
    unsigned order[4];
    _Atomic unsigned came;
    struct timer begin;
    struct shard *from;
};

static void post_begin(struct timer *t)
{
    struct post *p = t->user;
    p->began_us = io_now_us(p->from->io);
    for (unsigned i = 0; i < 3; i++) {
        shard_post(p->from, 1, &p->m[i]);
    }
    if (p->sent) {
        shard_send(p->from, 1, &p->m[3]);
    }
}

static void post_arrives(struct shard *sh, struct msg *m)
{
    struct post *p = sh->user;
    unsigned n = atomic_load(&p->came);
    p->order[n] = (unsigned)(m - p->m);
    p->came_us[n] = io_now_us(sh->io);
    atomic_store(&p->came, n + 1);
}

static int post_start(struct shard *sh, void *user)
{
    struct post *p = user;
    if (sh->index == 0) {
        p->from = sh;
        p->begin = (struct timer){.cb = post_begin, .user = p};
        timer_set(sh, &p->begin, shard_now_ms(sh) + 50); /* the other one sleeps by then */
    }
    return 0;
}

static void post_run(struct post *p)
{
    struct shard_hooks hooks = {.start = post_start, .user = p};
    struct shard_group *g = shard_group_new(2, NULL, make_io, &libuv, &hooks);
    struct errmsg em;
    for (unsigned i = 0; i < 2; i++) {
        shard_group_get(g, i)->user = p;
        shard_group_get(g, i)->on_msg = post_arrives;
    }
    assert_int_equal(shard_group_start(g, &em), 0);
    while (atomic_load(&p->came) < 3 + p->sent) {
        sched_yield();
    }
    group_end(g);
    for (unsigned i = 0; i < 3 + p->sent; i++) {
        assert_int_equal(p->order[i], i);
    }
}

static void what_is_posted_comes_late_but_comes(void **state)
{
    struct post with = {.sent = 1};
    bool late = false;
    UNUSED(state);
    /* on a busy machine the receiver may not have come to sleep yet, and finds them at once */
    for (int i = 0; i < 50 && !late; i++) {
        struct post alone = {.sent = 0};
        post_run(&alone);
        late = alone.came_us[0] - alone.began_us >= SHARD_POST_MS * 1000 - 1000;
    }
    assert_true(late);
    post_run(&with); /* the one that is sent takes the others along */
}

/* A ball between two sleeping shards: each throw is a wake-up, so a lost one hangs the test. */
enum { THROWS = 3000 };

struct court {
    struct msg ball;
    uint32_t throws;
    pthread_mutex_t lock;
    pthread_cond_t over;
    bool ended;
};

static void throw_back(struct shard *sh, struct msg *m)
{
    struct court *c = (struct court *)(void *)m;
    if (++c->throws == THROWS) {
        pthread_mutex_lock(&c->lock);
        c->ended = true;
        pthread_cond_signal(&c->over);
        pthread_mutex_unlock(&c->lock);
        return;
    }
    shard_send(sh, 1 - sh->index, m);
}

static int serve(struct shard *sh, void *user)
{
    if (sh->index == 0) {
        shard_send(sh, 1, &((struct court *)user)->ball);
    }
    return 0;
}

static void sleeping_shards_are_woken(void **state)
{
    struct court c = {.lock = PTHREAD_MUTEX_INITIALIZER, .over = PTHREAD_COND_INITIALIZER};
    struct shard_hooks hooks = {.start = serve, .user = &c};
    enum io_backend backend = IO_BACKEND_AUTO;
    struct shard_group *g = shard_group_new(2, NULL, make_io, &backend, &hooks);
    UNUSED(state);
    shard_group_get(g, 0)->on_msg = shard_group_get(g, 1)->on_msg = throw_back;
    assert_int_equal(shard_group_start(g, NULL), 0);
    pthread_mutex_lock(&c.lock);
    while (!c.ended) {
        pthread_cond_wait(&c.over, &c.lock);
    }
    pthread_mutex_unlock(&c.lock);
    group_end(g);
    assert_int_equal(c.throws, THROWS);
}

static _Atomic unsigned interrupts, stops;

static void note_interrupt(struct shard *sh)
{
    assert_true(shard_is_current(sh));
    atomic_fetch_add(&interrupts, 1);
}

static void note_stop(struct shard *sh, void *user)
{
    UNUSED(user);
    assert_true(shard_is_current(sh));
    atomic_fetch_add(&stops, 1);
}

static void an_interrupt_reaches_a_sleeping_shard(void **state)
{
    struct shard_hooks hooks = {.stop = note_stop};
    enum io_backend backend = IO_BACKEND_AUTO;
    struct shard_group *g = shard_group_new(2, NULL, make_io, &backend, &hooks);
    UNUSED(state);
    atomic_store(&interrupts, 0);
    atomic_store(&stops, 0);
    shard_group_get(g, 1)->on_interrupt = note_interrupt;
    assert_int_equal(shard_group_start(g, NULL), 0);
    for (unsigned i = 1; i <= 200; i++) {
        shard_interrupt(shard_group_get(g, 1));
        while (atomic_load(&interrupts) < i) {
            sched_yield();
        }
    }
    shard_interrupt(shard_group_get(g, 0)); /* nobody listens there: no harm */
    group_end(g);
    assert_int_equal(atomic_load(&interrupts), 200);
    assert_int_equal(atomic_load(&stops), 2);
}

static int second_fails(struct shard *sh, void *user)
{
    UNUSED(user);
    return sh->index == 1 ? ERR_NOSPACE : 0;
}

static void a_failed_start_stops_all(void **state)
{
    struct shard_hooks hooks = {.start = second_fails, .stop = note_stop};
    enum io_backend backend = IO_BACKEND_AUTO;
    UNUSED(state);
    for (int inline_too = 0; inline_too < 2; inline_too++) {
        struct errmsg em = {""};
        struct shard_group *g = shard_group_new(3, NULL, make_io, &backend, &hooks);
        atomic_store(&stops, 0);
        int err = inline_too ? shard_group_start_inline(g, &em) : shard_group_start(g, &em);
        assert_int_equal(err, ERR_NOSPACE);
        assert_non_null(strstr(em.text, "shard 1"));
        /* inline the third one is not even started */
        assert_int_equal(atomic_load(&stops), inline_too ? 1 : 2);
        shard_group_free(g);
    }
}

static int no_io(void *ctx, unsigned index, struct io **out, struct errmsg *em)
{
    UNUSED(ctx);
    UNUSED(out);
    return errmsg_set(em, ERR_UNSUPPORTED, "no io for shard %u", index);
}

static void without_io_nothing_starts(void **state)
{
    struct errmsg em = {""};
    struct shard_group *g = shard_group_new(2, NULL, no_io, NULL, NULL);
    UNUSED(state);
    assert_int_equal(shard_group_start(g, &em), ERR_UNSUPPORTED);
    assert_string_equal(em.text, "no io for shard 0");
    shard_group_free(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(timers_fire_in_order),
        cmocka_unit_test(a_timer_may_set_itself_and_cancel_others),
        cmocka_unit_test(timers_that_press_do_not_hold_up_others),
        cmocka_unit_test(tasks_run_once_a_turn),
        cmocka_unit_test(messages_keep_their_order_past_a_full_ring),
        cmocka_unit_test(messages_between_threads_on_libuv),
        cmocka_unit_test(what_is_posted_comes_late_but_comes),
        cmocka_unit_test(messages_between_threads_on_io_uring),
        cmocka_unit_test(sleeping_shards_are_woken),
        cmocka_unit_test(an_interrupt_reaches_a_sleeping_shard),
        cmocka_unit_test(a_failed_start_stops_all),
        cmocka_unit_test(without_io_nothing_starts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
