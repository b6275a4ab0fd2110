#include "broker/replica/fetcher.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/mem.h"
#include "broker/config.h"
#include "broker/replica/fetcher_private.h"
#include "controller/image.h"

enum {
    NO_SPACE_MS = 1000,  /* between two tries on a full disk */
    HURRY_AFTER_MS = 10, /* a Fetch that is so old is parked */
    HURRY_EACH_MS = 1000,
};

int64_t fetchers_backoff(const struct fetchers *fs)
{
    return fs->ns->node->config->v.replica_fetch_backoff_ms;
}

/* ---- when something is to be done ---- */

void fetcher_due(struct fetcher *f)
{
    struct fetchers *fs = f->fs;
    if (list_empty(&f->due)) {
        list_push_back(&fs->due, &f->due);
        shard_defer(fs->ns->shard, &fs->task);
    }
}

void follow_changed(struct replica_follow *fl)
{
    if (list_empty(&fl->change)) {
        list_push_back(&fl->fetcher->changed, &fl->change);
    }
    fetcher_due(fl->fetcher);
}

static void wake_at(struct fetcher *f, int64_t at_ms)
{
    if (!timer_is_set(&f->timer) || at_ms < f->timer.deadline_ms) {
        timer_set(f->fs->ns->shard, &f->timer, at_ms);
    }
}

void follow_waits(struct replica_follow *fl)
{
    struct fetcher *f = fl->fetcher;
    list_remove(&fl->wait);
    list_push_back(&f->waiting, &fl->wait);
    wake_at(f, fl->core.not_before_ms);
    follow_changed(fl); /* the session is to forget it until then */
}

static void timer_cb_wake(struct timer *t)
{
    struct fetcher *f = t->user;
    int64_t now = fetchers_now(f->fs);
    int64_t next = INT64_MAX;
    list_for_each_safe (at, &f->waiting) {
        struct replica_follow *fl = LIST_ENTRY(at, struct replica_follow, wait);
        if (fl->core.not_before_ms <= now) {
            list_remove(&fl->wait);
            follow_changed(fl);
        } else {
            next = fl->core.not_before_ms < next ? fl->core.not_before_ms : next;
        }
    }
    if (f->not_before_ms > now) {
        next = f->not_before_ms < next ? f->not_before_ms : next;
    }
    if (next != INT64_MAX) {
        wake_at(f, next);
    }
    fetcher_due(f);
}

void fetcher_broken(struct fetcher *f, const char *why)
{
    struct fetchers *fs = f->fs;
    log_limited(fs->ns->node->log, &fs->limit, LOG_WARN, "fetcher",
                "fetching from a leader failed, it is tried again leader=%" PRId32
                " address=%s:%u partitions_fetched=%" PRIu32 " reason=\"%s\"",
                f->leader, f->address.host, f->address.port, f->in_session, why);
    fetcher_end_session(f);
    f->not_before_ms = fetchers_now(fs) + follower_backoff(f->tries++, fetchers_backoff(fs));
    wake_at(f, f->not_before_ms);
}

/* ---- one partition ---- */

bool follow_ready(struct replica_follow *fl)
{
    const struct partition *p = fl->part;
    return !p->offline && !p->held && list_empty(&p->uncertain) && p->flush_wanted < 0 &&
           follower_wants(&fl->core, fetchers_now(fl->fetcher->fs)) && !follow_is_throttled(fl);
}

int follow_log(struct replica_follow *fl, struct follower_log *out)
{
    struct partition *p = fl->part;
    *out = (struct follower_log){.last_epoch = -1};
    int err = p->offline ? ERR_OFFLINE : plog_latest_epoch(p->log, &out->last_epoch);
    if (err) {
        follow_log_error(fl, err, "read the leader epochs");
        return err;
    }
    out->start = plog_start_offset(p->log);
    out->end = plog_end_offset(p->log);
    out->high_watermark = plog_high_watermark(p->log);
    if (fl->from >= 0) {
        out->start = fl->from;
        out->end = fl->from;
    }
    return 0;
}

void follow_log_error(struct replica_follow *fl, int err, const char *what)
{
    struct partition *p = fl->part;
    struct fetchers *fs = fl->fetcher->fs;
    bool again = err == ERR_NOSPACE || err == ERR_MFILE || err == ERR_NOMEM;
    if (!p->offline) {
        partition_note_error(p, err, what);
    }
    if (again && !p->offline) {
        follower_wait(&fl->core, fetchers_now(fs), NO_SPACE_MS);
        follow_waits(fl);
        return;
    }
    follower_fail(&fl->core);
    follow_changed(fl);
}

static void out_of_lists(struct replica_follow *fl)
{
    list_remove(&fl->wait);
    list_remove(&fl->ask);
    fl->asked = false;
}

/* ---- the fetchers ---- */

static struct fetcher *fetcher_of(struct fetchers *fs, int32_t leader)
{
    list_for_each (at, &fs->all) {
        struct fetcher *f = LIST_ENTRY(at, struct fetcher, node);
        if (f->leader == leader) {
            return f;
        }
    }
    struct fetcher *f = MEM_NEW(struct fetcher);
    f->fs = fs;
    f->leader = leader;
    f->good_ms = fetchers_now(fs);
    f->timer = (struct timer){.cb = timer_cb_wake, .user = f};
    list_init(&f->due);
    list_init(&f->parts);
    list_init(&f->changed);
    list_init(&f->waiting);
    list_init(&f->asking);
    list_init(&f->question.asked);
    list_push_back(&fs->all, &f->node);
    return f;
}

/* What is under way is given up. */
static void disconnect(struct fetcher *f)
{
    channel_cancel(&f->call);
    fetcher_drop_question(f);
    fetcher_end_session(f);
    if (f->channel) {
        channel_close(f->channel);
        f->channel = NULL;
    }
}

static void fetcher_free(struct fetcher *f)
{
    ASSERT(list_empty(&f->parts));
    disconnect(f);
    timer_cancel(f->fs->ns->shard, &f->timer);
    list_remove(&f->due);
    list_remove(&f->node);
    map_free(&f->forgotten);
    buf_free(&f->body);
    buf_free(&f->question.body);
    mem_free(f);
}

/* Where the leader is, as the image has it. */
static void find_address(struct fetcher *f)
{
    const struct node_shard *ns = f->fs->ns;
    const struct config *c = ns->node->config;
    const char *listener = c->listeners.v[c->listeners.inter_broker].name;
    const struct image_broker *b = image_broker(ns->image, f->leader);
    const struct image_endpoint *e = b ? image_broker_endpoint(b, bytes_str(listener)) : NULL;
    struct channel_endpoint now = {.id = f->leader};
    f->moved = false;
    if (e && e->host.len < sizeof now.host) {
        memcpy(now.host, e->host.data, e->host.len);
        now.port = e->port;
    }
    if (f->channel && now.port == f->address.port && strcmp(now.host, f->address.host) == 0) {
        return;
    }
    disconnect(f);
    if (now.port != f->address.port || strcmp(now.host, f->address.host) != 0) {
        f->stale_id = 0; /* another process */
        f->tries = 0;
        f->not_before_ms = 0;
    }
    f->address = now;
    if (now.port) {
        f->channel = channel_socket_new(ns->shard, &now, 1, "broker-fetcher");
    }
}

/* A partition has a new leader while a Fetch is parked there, for up to
 * replica.fetch.wait.max.ms: acks=-1 of that partition would wait for it. The Fetch is given up, by
 * its connection, and a full one sent. Not for every topic that is made, and not again and again:
 * a full one names all partitions. */
static void hurry(struct fetcher *f)
{
    int64_t now = fetchers_now(f->fs);
    f->hurry = false;
    if (f->channel && channel_in_flight(&f->call) && now >= f->sent_ms + HURRY_AFTER_MS &&
        now >= f->hurried_ms + HURRY_EACH_MS) {
        f->hurried_ms = now;
        disconnect(f);
    }
}

static void end_of_turn(struct task *t)
{
    struct fetchers *fs = t->user;
    struct list *at;
    while ((at = list_pop_front(&fs->due)) != NULL) {
        struct fetcher *f = LIST_ENTRY(at, struct fetcher, due);
        if (list_empty(&f->parts)) {
            fetcher_free(f);
            continue;
        }
        if (f->hurry) {
            hurry(f);
        }
        if ((f->channel == NULL || f->moved) && fs->ns->image && !fs->stopped) {
            find_address(f);
        }
        fetcher_send(f);
        fetcher_ask(f);
    }
}

void fetchers_follow(struct fetchers *fs, struct partition *p)
{
    ASSERT_ON_SHARD(fs->ns->shard);
    ASSERT(p->log != NULL && p->leader >= 0 && !p->is_leader);
    struct replica_follow *fl = p->follow;
    if (fs->stopped) {
        return;
    }
    if (fl && fl->core.leader == p->leader && fl->core.leader_epoch == p->leader_epoch &&
        fl->core.phase != FOLLOWER_FAILED) {
        return;
    }
    if (fl && fl->core.leader != p->leader) {
        fetchers_unfollow(fs, p);
        fl = NULL;
    }
    if (fl == NULL) {
        fl = MEM_NEW(struct replica_follow);
        fl->part = p;
        fl->fetcher = fetcher_of(fs, p->leader);
        list_init(&fl->change);
        list_init(&fl->wait);
        list_init(&fl->ask);
        list_init(&fl->throttle);
        list_push_back(&fl->fetcher->parts, &fl->node);
        p->follow = fl;
    }
    fl->fetcher->hurry = fl->fetcher->hurry || p->leader_epoch > 0;
    out_of_lists(fl);
    follower_begin(&fl->core, p->leader, p->leader_epoch);
    fl->named.epoch = -1;
    fl->from = -1;
    fl->leader_hw = -1;
    follow_changed(fl);
}

void fetchers_unfollow(struct fetchers *fs, struct partition *p)
{
    ASSERT_ON_SHARD(fs->ns->shard);
    struct replica_follow *fl = p->follow;
    if (fl == NULL) {
        return;
    }
    if (fl->in_session) {
        fetcher_forget(fl);
    }
    out_of_lists(fl);
    list_remove(&fl->change);
    list_remove(&fl->throttle);
    list_remove(&fl->node);
    fetcher_due(fl->fetcher);
    p->follow = NULL;
    mem_free(fl);
}

void fetchers_look(struct fetchers *fs, struct partition *p)
{
    UNUSED(fs);
    if (p->follow) {
        follow_changed(p->follow);
    }
}

void fetchers_apply(struct fetchers *fs, const struct image_delta *d)
{
    ASSERT_ON_SHARD(fs->ns->shard);
    if (fs->stopped) {
        return;
    }
    for (uint32_t i = 0; i < d->configs_n; i++) {
        if (d->configs[i].type == CONFIG_TOPIC) {
            fetchers_forget_throttles(fs);
            break;
        }
    }
    if (d->brokers_n == 0) {
        return;
    }
    list_for_each (at, &fs->all) {
        struct fetcher *f = LIST_ENTRY(at, struct fetcher, node);
        f->moved = true;
        fetcher_due(f);
    }
}

/* ---- life ---- */

struct fetchers *fetchers_new(struct node_shard *ns)
{
    struct fetchers *fs = MEM_NEW(struct fetchers);
    fs->ns = ns;
    list_init(&fs->all);
    list_init(&fs->due);
    task_init(&fs->task, end_of_turn, fs);
    fetchers_init_checkpoint(fs);
    fetchers_init_throttle(fs);
    return fs;
}

void fetchers_stop(struct fetchers *fs)
{
    ASSERT_ON_SHARD(fs->ns->shard);
    fs->stopped = true;
    timer_cancel(fs->ns->shard, &fs->throttle);
    timer_cancel(fs->ns->shard, &fs->ask_again);
    list_for_each (at, &fs->all) {
        struct fetcher *f = LIST_ENTRY(at, struct fetcher, node);
        disconnect(f);
        timer_cancel(fs->ns->shard, &f->timer);
    }
}

bool fetchers_busy(const struct fetchers *fs)
{
    return fs->ask != NULL || fs->counting != NULL;
}

void fetchers_free(struct fetchers *fs)
{
    if (fs == NULL) {
        return;
    }
    fs->stopped = true;
    while (!list_empty(&fs->all)) {
        struct fetcher *f = LIST_ENTRY(fs->all.next, struct fetcher, node);
        while (!list_empty(&f->parts)) {
            fetchers_unfollow(fs, LIST_ENTRY(f->parts.next, struct replica_follow, node)->part);
        }
        fetcher_free(f);
    }
    list_remove(&fs->task.node);
    fetchers_drop_checkpoint(fs);
    fetchers_drop_throttle(fs);
    mem_free(fs);
}

/* Between Fetches that come back nothing is silent. */
static int64_t silent_ms(const struct fetcher *f)
{
    int64_t now = fetchers_now(f->fs);
    if (f->tries > 0 || f->channel == NULL) {
        return now - f->good_ms;
    }
    return channel_in_flight(&f->call) ? now - f->sent_ms : 0;
}

void fetchers_each(struct fetchers *fs, void (*fn)(const struct fetcher_view *v, void *user),
                   void *user)
{
    ASSERT_ON_SHARD(fs->ns->shard);
    list_for_each (at, &fs->all) {
        const struct fetcher *f = LIST_ENTRY(at, struct fetcher, node);
        struct fetcher_view v = {
            .leader = f->leader,
            .host = f->channel ? f->address.host : "",
            .port = f->address.port,
            .silent_ms = silent_ms(f),
            .in_flight = channel_in_flight(&f->call),
            .tries = f->tries,
        };
        list_for_each (p, &f->parts) {
            v.partitions++;
        }
        v.held = v.partitions > f->in_session ? v.partitions - f->in_session : 0;
        if (v.partitions > 0) {
            fn(&v, user);
        }
    }
}

int64_t fetchers_lag(const struct partition *p)
{
    int64_t lag =
        p->follow->leader_hw < 0 || p->offline ? 0 : p->follow->leader_hw - plog_end_offset(p->log);
    return lag > 0 ? lag : 0;
}
