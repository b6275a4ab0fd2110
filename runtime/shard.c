/* Shards, their turns, messages between them, and groups (shard.h).
 *
 * Start and stop of a threaded group. shard_group_start makes the threads and waits until each has
 * its io and its start hook has returned; a shard that is ready early already turns. When stop is
 * asked for, every thread finishes its turn, runs its stop hook, and waits for the others at a gate
 * before it destroys its io: until then another shard may still wake it. Messages that are still on
 * their way then are dropped: whoever stops a node first brings what runs on the shards to rest. */
#include "runtime/shard.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "runtime/mailbox.h"
#include "runtime/shard_private.h"

enum {
    TASK_ROUNDS_MAX = 8, /* rounds of deferred tasks in one turn; more go to the next */
    RETRY_US = 1000,     /* how soon a full ring is tried again */
};

/* One direction to a peer, at the sender. */
struct outbox {
    struct mailbox *ring;
    struct list overflow; /* what did not fit, oldest first */
    uint32_t overflow_n;
    bool sent; /* something was put in this turn: wake the peer before waiting */
    /* something lies there for which the peer was not woken */
    bool posted;
    uint32_t mark;     /* it has all been taken when the peer is here, ... */
    int64_t due_us;    /* ... and is woken at this time; 0: both are still to be set */
    int64_t within_us; /* the least that was asked for */
};

struct shard_priv {
    struct outbox *out;  /* by peer; the own one has only its overflow list */
    uint32_t overflow_n; /* over all peers */
    bool posted;         /* there is something posted to some peer */
    bool post_new;       /* in this turn */
    int64_t post_due_us; /* the earliest due_us; 0: none */
    struct sleep_flag sleep;
    _Atomic bool interrupted; /* shard_interrupt was called */
    pthread_t thread;
    bool started; /* the start hook has succeeded */
    int err;
    struct errmsg em;
};

struct shard_group {
    unsigned count;
    struct shard *shards;
    struct mailbox *rings; /* [from * count + to] */
    make_io_fn *make_io;
    void *make_ctx;
    struct shard_hooks hooks;
    bool is_inline, running;
    _Atomic bool stopping;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    unsigned ready;   /* threads whose start is through, well or not */
    unsigned stopped; /* threads whose stop hook is through */
    unsigned threads; /* that exist */
};

static _Thread_local struct shard *current; /* the shard whose thread this is */

static struct shard_priv *priv_of(const struct shard *sh)
{
    return sh->priv;
}

bool shard_is_current(const struct shard *sh)
{
    return current == sh || sh->group->is_inline;
}

/* ---- messages ---- */

/* True if the message went into the peer's ring. */
static bool put(struct shard *from, unsigned to, struct msg *m)
{
    struct shard_priv *p = priv_of(from);
    struct outbox *o = &p->out[to];
    ASSERT_ON_SHARD(from);
    ASSERT(to < from->group->count);
    m->from = (uint16_t)from->index;
    if (to != from->index && o->overflow_n == 0 && mailbox_put(o->ring, m)) {
        return true;
    }
    list_push_back(&o->overflow, &m->node);
    o->overflow_n++;
    p->overflow_n += to != from->index;
    return false;
}

void shard_send(struct shard *from, unsigned to, struct msg *m)
{
    if (put(from, to, m)) {
        priv_of(from)->out[to].sent = true;
    }
}

void shard_post_within(struct shard *from, unsigned to, struct msg *m, int64_t within_us)
{
    struct shard_priv *p = priv_of(from);
    struct outbox *o = &p->out[to];
    if (!put(from, to, m)) {
        return;
    }
    o->within_us = o->posted && o->within_us < within_us ? o->within_us : within_us;
    o->posted = p->posted = p->post_new = true;
}

bool shard_congested(const struct shard *from, unsigned to)
{
    return to != from->index && priv_of(from)->out[to].overflow_n > 0;
}

/* Puts waiting messages into rings that have room again. */
static void flush_overflow(struct shard *sh)
{
    struct shard_priv *p = priv_of(sh);
    if (p->overflow_n == 0) {
        return;
    }
    for (unsigned to = 0; to < sh->group->count; to++) {
        struct outbox *o = &p->out[to];
        while (to != sh->index && o->overflow_n > 0) {
            struct msg *m = LIST_ENTRY(o->overflow.next, struct msg, node);
            struct list *n = &m->node;
            /* out of the list first: once it is in the ring, it is the receiver's */
            list_remove(n);
            if (!mailbox_put(o->ring, m)) {
                list_push_front(&o->overflow, n);
                break;
            }
            o->overflow_n--;
            p->overflow_n--;
            o->sent = true;
        }
    }
}

/* What was posted to one peer: nothing more to do if the peer has taken it, a wake-up if it has not
 * for too long. The clock runs from the first that lies there; when that has been taken, anew for
 * those behind it, so that a peer that comes by often enough is never woken. */
static void review_posted(struct outbox *o, int64_t now_us)
{
    if (o->due_us == 0 || mailbox_taken(o->ring, o->mark)) {
        o->mark = mailbox_tail(o->ring);
        o->posted = !mailbox_taken(o->ring, o->mark);
        o->due_us = o->posted ? now_us + o->within_us : 0;
    } else if (now_us >= o->due_us) {
        o->sent = true;
    }
}

static void review_posts(struct shard *sh)
{
    struct shard_priv *p = priv_of(sh);
    int64_t now_us;
    if (!p->posted) {
        return;
    }
    now_us = io_now_us(sh->io);
    p->posted = p->post_new = false;
    p->post_due_us = 0;
    for (unsigned to = 0; to < sh->group->count; to++) {
        struct outbox *o = &p->out[to];
        if (o->posted && !o->sent) {
            review_posted(o, now_us);
        }
        if (o->posted && !o->sent) { /* what is sent takes along what was posted */
            p->posted = true;
            p->post_due_us =
                p->post_due_us != 0 && p->post_due_us < o->due_us ? p->post_due_us : o->due_us;
        }
    }
}

static void wake_peers(struct shard *sh)
{
    struct shard_priv *p = priv_of(sh);
    review_posts(sh);
    for (unsigned to = 0; to < sh->group->count; to++) {
        struct outbox *o = &p->out[to];
        if (o->sent) {
            struct shard *peer = &sh->group->shards[to];
            o->sent = o->posted = false;
            o->due_us = 0;
            if (sleep_flag_take(&priv_of(peer)->sleep)) {
                io_wake(peer->io);
            }
        }
    }
}

static bool has_mail(struct shard *sh)
{
    struct shard_group *g = sh->group;
    if (priv_of(sh)->out[sh->index].overflow_n > 0 || atomic_load(&priv_of(sh)->interrupted)) {
        return true;
    }
    for (unsigned from = 0; from < g->count; from++) {
        if (!mailbox_empty(&g->rings[from * g->count + sh->index])) {
            return true;
        }
    }
    return false;
}

static void run_messages(struct shard *sh)
{
    struct shard_group *g = sh->group;
    struct outbox *self = &priv_of(sh)->out[sh->index];
    for (uint32_t n = self->overflow_n; n > 0; n--) {
        struct list *node = list_pop_front(&self->overflow);
        self->overflow_n--;
        sh->on_msg(sh, LIST_ENTRY(node, struct msg, node));
    }
    for (unsigned from = 0; from < g->count; from++) {
        struct mailbox *ring = &g->rings[from * g->count + sh->index];
        struct msg *m;
        /* a ring's worth at most: a busy sender must not keep the others waiting */
        for (unsigned n = 0; n < MAILBOX_SLOTS && (m = mailbox_take(ring)) != NULL; n++) {
            sh->on_msg(sh, m);
        }
    }
}

/* ---- the turn ---- */

void shard_defer(struct shard *sh, struct task *t)
{
    ASSERT_ON_SHARD(sh);
    ASSERT(t->cb != NULL);
    if (t->node.next == NULL || list_empty(&t->node)) {
        list_push_back(&sh->tasks, &t->node);
    }
}

static void run_tasks(struct shard *sh)
{
    for (int round = 0; round < TASK_ROUNDS_MAX && !list_empty(&sh->tasks); round++) {
        struct list batch, *n;
        list_insert_before(sh->tasks.next, &batch); /* batch takes the head's place */
        list_remove(&sh->tasks);
        while ((n = list_pop_front(&batch)) != NULL) {
            struct task *t = LIST_ENTRY(n, struct task, node);
            t->cb(t);
        }
    }
}

/* The wait (-1: for ever), but not beyond at_us. */
static int64_t sooner(struct shard *sh, int64_t wait, int64_t at_us)
{
    int64_t left = at_us - io_now_us(sh->io);
    left = left < 0 ? 0 : left;
    return wait < 0 || left < wait ? left : wait;
}

/* How long the turn may wait: 0 if there is work, -1 for ever. */
static int64_t wait_us(struct shard *sh, int64_t max_wait_us)
{
    int64_t wait = max_wait_us;
    if (!list_empty(&sh->tasks) || max_wait_us == 0) {
        return 0;
    }
    if (priv_of(sh)->overflow_n > 0 && (wait < 0 || wait > RETRY_US)) {
        wait = RETRY_US;
    }
    if (sh->heap_count > 0) {
        wait = sooner(sh, wait, sh->heap[0]->deadline_ms * 1000);
    }
    if (priv_of(sh)->post_due_us != 0) {
        wait = sooner(sh, wait, priv_of(sh)->post_due_us);
    }
    return wait;
}

void shard_turn(struct shard *sh, int64_t max_wait_us)
{
    struct shard_priv *p = priv_of(sh);
    int64_t wait;
    ASSERT_ON_SHARD(sh);
    if (atomic_load(&p->interrupted) && atomic_exchange(&p->interrupted, false) &&
        sh->on_interrupt != NULL) {
        sh->on_interrupt(sh);
    }
    run_messages(sh);
    timers_run(sh);
    run_tasks(sh);
    flush_overflow(sh);
    wake_peers(sh);
    wait = wait_us(sh, max_wait_us);
    if (wait != 0) {
        sleep_flag_set(&p->sleep, true);
        if (has_mail(sh) || atomic_load(&sh->group->stopping)) {
            wait = 0;
        }
    }
    io_turn(sh->io, wait);
    if (wait != 0) {
        sleep_flag_set(&p->sleep, false);
    }
    sh->stopping = atomic_load(&sh->group->stopping);
}

int64_t shard_next_deadline_us(struct shard *sh)
{
    int64_t next = sh->heap_count > 0 ? sh->heap[0]->deadline_ms * 1000 : INT64_MAX;
    if (!list_empty(&sh->tasks) || has_mail(sh) || priv_of(sh)->post_new) {
        return 0;
    }
    if (priv_of(sh)->overflow_n > 0) {
        int64_t retry = io_now_us(sh->io) + RETRY_US;
        next = retry < next ? retry : next;
    }
    if (priv_of(sh)->post_due_us != 0 && priv_of(sh)->post_due_us < next) {
        next = priv_of(sh)->post_due_us;
    }
    return next;
}

/* ---- groups ---- */

/* Memory that begins at a cache line; not zeroed. */
static void *alloc_lines(size_t n)
{
    void *p = aligned_alloc(64, (n + 63) / 64 * 64);
    ASSERT(p != NULL);
    return p;
}

static struct mailbox *rings_new(size_t n)
{
    struct mailbox *rings = alloc_lines(n * sizeof *rings);
    for (size_t i = 0; i < n; i++) {
        /* the slots are left untouched: a ring costs no memory before it is used */
        atomic_init(&rings[i].tail, 0);
        atomic_init(&rings[i].head, 0);
        rings[i].head_seen = rings[i].tail_seen = 0;
    }
    return rings;
}

struct shard_group *shard_group_new(unsigned shards, const struct logger *log, make_io_fn *make_io,
                                    void *make_ctx, const struct shard_hooks *hooks)
{
    struct shard_group *g = MEM_NEW(struct shard_group);
    ASSERT(shards > 0 && shards <= UINT16_MAX);
    g->count = shards;
    g->make_io = make_io;
    g->make_ctx = make_ctx;
    g->hooks = hooks ? *hooks : (struct shard_hooks){0};
    g->shards = mem_zalloc(shards * sizeof *g->shards);
    g->rings = rings_new((size_t)shards * shards);
    pthread_mutex_init(&g->lock, NULL);
    pthread_cond_init(&g->changed, NULL);
    for (unsigned i = 0; i < shards; i++) {
        struct shard *sh = &g->shards[i];
        struct shard_priv *p = alloc_lines(sizeof *p);
        memset(p, 0, sizeof *p);
        sh->group = g;
        sh->log = log;
        sh->index = i;
        sh->budget.limit = SHARD_BUDGET_DEFAULT;
        sh->priv = p;
        list_init(&sh->tasks);
        p->out = mem_zalloc(shards * sizeof *p->out);
        for (unsigned to = 0; to < shards; to++) {
            p->out[to].ring = &g->rings[i * shards + to];
            list_init(&p->out[to].overflow);
        }
    }
    return g;
}

unsigned shard_group_count(const struct shard_group *g)
{
    return g->count;
}

struct shard *shard_group_get(struct shard_group *g, unsigned index)
{
    ASSERT(index < g->count);
    return &g->shards[index];
}

/* Makes the io and runs the start hook, on the shard's thread. */
static int shard_begin(struct shard *sh, struct errmsg *em)
{
    struct shard_group *g = sh->group;
    int err;
    *em = (struct errmsg){""};
    err = g->make_io(g->make_ctx, sh->index, &sh->io, em);
    if (err != 0) {
        sh->io = NULL;
        return err;
    }
    if (g->hooks.start != NULL) {
        err = g->hooks.start(sh, g->hooks.user);
    }
    if (err != 0) {
        if (em->text[0] == '\0') {
            errmsg_set(em, err, "shard %u could not start: %s", sh->index, err_text(err));
        }
        return err;
    }
    priv_of(sh)->started = true;
    return 0;
}

/* What runs on the shard ends: the stop hook (if the start hook had succeeded), connections. */
static void shard_end(struct shard *sh)
{
    struct shard_group *g = sh->group;
    if (priv_of(sh)->started && g->hooks.stop != NULL) {
        g->hooks.stop(sh, g->hooks.user);
    }
    conn_shard_end(sh);
    priv_of(sh)->started = false;
}

static void shard_destroy_io(struct shard *sh)
{
    struct shard_group *g = sh->group;
    struct io *io;
    pthread_mutex_lock(&g->lock); /* see wake_from_outside */
    io = sh->io;
    sh->io = NULL;
    pthread_mutex_unlock(&g->lock);
    if (io != NULL) {
        io_destroy(io);
    }
}

/* A place that all threads of the group pass: one that waits there goes on when all have. */
static void gate_pass(struct shard_group *g, unsigned *count)
{
    pthread_mutex_lock(&g->lock);
    (*count)++;
    pthread_cond_broadcast(&g->changed);
    pthread_mutex_unlock(&g->lock);
}

static void gate_wait(struct shard_group *g, const unsigned *count)
{
    pthread_mutex_lock(&g->lock);
    while (*count < g->threads) {
        pthread_cond_wait(&g->changed, &g->lock);
    }
    pthread_mutex_unlock(&g->lock);
}

static void *shard_main(void *arg)
{
    struct shard *sh = arg;
    struct shard_group *g = sh->group;
    struct shard_priv *p = priv_of(sh);
    current = sh;
    p->err = shard_begin(sh, &p->em);
    gate_pass(g, &g->ready);
    while (p->err == 0 && !atomic_load(&g->stopping)) {
        shard_turn(sh, -1);
    }
    shard_end(sh);
    gate_pass(g, &g->stopped);
    gate_wait(g, &g->stopped);
    shard_destroy_io(sh);
    current = NULL;
    return NULL;
}

/* Signals are the main thread's business. */
static void start_threads(struct shard_group *g)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    for (unsigned i = 0; i < g->count; i++) {
        struct shard_priv *p = priv_of(&g->shards[i]);
        int r = pthread_create(&p->thread, NULL, shard_main, &g->shards[i]);
        if (r != 0) {
            pthread_mutex_lock(&g->lock);
            g->threads = i;
            pthread_cond_broadcast(&g->changed);
            pthread_mutex_unlock(&g->lock);
            p->err =
                errmsg_set(&p->em, err_from_errno(r), "thread of shard %u: %s", i, strerror(r));
            break;
        }
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static int first_error(struct shard_group *g, struct errmsg *em)
{
    for (unsigned i = 0; i < g->count; i++) {
        struct shard_priv *p = priv_of(&g->shards[i]);
        if (p->err != 0) {
            return errmsg_set(em, p->err, "%s", p->em.text);
        }
    }
    return 0;
}

int shard_group_start(struct shard_group *g, struct errmsg *em)
{
    int err;
    ASSERT(!g->running);
    g->threads = g->count;
    g->running = true;
    start_threads(g);
    gate_wait(g, &g->ready);
    err = first_error(g, em);
    if (err != 0) {
        shard_group_stop(g);
        shard_group_join(g);
    }
    return err;
}

int shard_group_start_inline(struct shard_group *g, struct errmsg *em)
{
    int err = 0;
    ASSERT(!g->running);
    g->is_inline = true;
    g->running = true;
    for (unsigned i = 0; i < g->count && err == 0; i++) {
        struct shard_priv *p = priv_of(&g->shards[i]);
        err = p->err = shard_begin(&g->shards[i], &p->em);
    }
    if (err != 0) {
        err = first_error(g, em);
        shard_group_stop(g);
        shard_group_join(g);
    }
    return err;
}

/* Wakes a shard from a thread that is no shard's. The lock keeps its io alive meanwhile. */
static void wake_from_outside(struct shard *sh)
{
    struct shard_group *g = sh->group;
    pthread_mutex_lock(&g->lock);
    if (sleep_flag_take(&priv_of(sh)->sleep) && sh->io != NULL) {
        io_wake(sh->io);
    }
    pthread_mutex_unlock(&g->lock);
}

void shard_group_stop(struct shard_group *g)
{
    atomic_store(&g->stopping, true);
    for (unsigned i = 0; i < g->count; i++) {
        wake_from_outside(&g->shards[i]);
    }
}

void shard_interrupt(struct shard *sh)
{
    atomic_store(&priv_of(sh)->interrupted, true);
    wake_from_outside(sh);
}

void shard_group_join(struct shard_group *g)
{
    if (!g->running) {
        return;
    }
    ASSERT(atomic_load(&g->stopping));
    for (unsigned i = 0; i < g->threads; i++) {
        pthread_join(priv_of(&g->shards[i])->thread, NULL);
    }
    for (unsigned i = 0; i < g->count && g->is_inline; i++) {
        shard_end(&g->shards[i]);
    }
    for (unsigned i = 0; i < g->count && g->is_inline; i++) {
        shard_destroy_io(&g->shards[i]);
    }
    g->running = false;
}

void shard_group_free(struct shard_group *g)
{
    ASSERT(!g->running);
    for (unsigned i = 0; i < g->count; i++) {
        struct shard *sh = &g->shards[i];
        mem_free(sh->heap);
        mem_free(priv_of(sh)->out);
        mem_free(sh->priv);
    }
    pthread_cond_destroy(&g->changed);
    pthread_mutex_destroy(&g->lock);
    mem_free(g->rings);
    mem_free(g->shards);
    mem_free(g);
}

int64_t shard_cpu_us(const struct shard *sh)
{
    struct timespec ts;
    ASSERT_ON_SHARD(sh);
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}
