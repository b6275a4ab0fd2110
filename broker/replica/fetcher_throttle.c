/* Throttled followers (KIP-73): replicas named in a topic's follower.replication.throttled.replicas
 * may fetch follower.replication.throttled.rate bytes a second, all shards of the broker together.
 *
 *     a throttled partition's records -> main counts them -> over the rate: how long to wait
 *       -> throttled partitions are out of their sessions until then
 *
 * Main counts for all shards, by a call for each answer that had some: an answer or two may go over
 * the rate before it is noticed, and are made up for by waiting. As in Kafka, a partition that has
 * all that its leader has committed is not held back: else it would leave the in-sync set. Nor is
 * one in the in-sync set whose leader has just begun and has not said yet what it has committed:
 * every acknowledgement would wait for it (Kafka's follower waits there). */
#include "base/mem.h"
#include "broker/call.h"
#include "broker/config.h"
#include "broker/replica/fetcher_private.h"
#include "broker/replica/rate_window.h"
#include "broker/replica/throttled.h"

static const char REPLICAS[] = "follower.replication.throttled.replicas";
static const char RATE[] = "follower.replication.throttled.rate";

enum { WAIT_MAX_MS = 1000 }; /* the rate may be changed meanwhile */

/* ---- settings ---- */

static void look_up(struct replica_follow *fl)
{
    struct fetchers *fs = fl->fetcher->fs;
    const struct node_shard *ns = fs->ns;
    if (fl->throttle_known) {
        return;
    }
    const struct partition *p = fl->part;
    list_remove(&fl->throttle);
    if (throttled_names_replica(ns->image, REPLICAS, p->topic->name, p->index, ns->node->id)) {
        list_push_back(&fs->throttled, &fl->throttle);
    }
    fl->throttle_known = true;
}

static bool is_named(const struct replica_follow *fl)
{
    return !list_empty(&fl->throttle);
}

void fetchers_forget_throttles(struct fetchers *fs)
{
    list_for_each (f, &fs->all) {
        list_for_each (at, &LIST_ENTRY(f, struct fetcher, node)->parts) {
            struct replica_follow *fl = LIST_ENTRY(at, struct replica_follow, node);
            fl->throttle_known = false;
            follow_changed(fl);
        }
    }
}

/* ---- main's account ---- */

struct throttle_call {
    struct call call;
    struct fetchers *fs;
    uint64_t bytes;
    int64_t wait_ms;
};

static void count_run(struct shard *sh, struct call *c)
{
    struct throttle_call *t = c->user;
    struct node_shard *main = node_shard_of(sh);
    struct rate_window *w = &main->fetchers->fetched;
    int64_t now = shard_now_ms(sh);
    rate_window_record(w, t->bytes, now);
    t->wait_ms = rate_window_excess_ms(w, throttled_rate(main, RATE), now);
    call_finish(sh, c);
}

static void wake_throttled(struct fetchers *fs)
{
    list_for_each (at, &fs->throttled) {
        follow_changed(LIST_ENTRY(at, struct replica_follow, throttle));
    }
}

static void ask_main(struct fetchers *fs);

static void count_done(struct shard *sh, struct call *c)
{
    struct throttle_call *t = c->user;
    struct fetchers *fs = t->fs;
    int64_t wait = t->wait_ms < WAIT_MAX_MS ? t->wait_ms : WAIT_MAX_MS;
    fs->counting = NULL;
    mem_free(t);
    if (fs->stopped) {
        return;
    }
    fs->over_rate = wait > 0;
    if (wait > 0) {
        timer_set(sh, &fs->throttle, shard_now_ms(sh) + wait);
        wake_throttled(fs); /* out of the sessions */
    } else if (fs->throttled_bytes) {
        ask_main(fs);
    } else {
        wake_throttled(fs);
    }
}

static void ask_main(struct fetchers *fs)
{
    struct throttle_call *t = MEM_NEW(struct throttle_call);
    t->fs = fs;
    t->bytes = fs->throttled_bytes;
    fs->throttled_bytes = 0;
    fs->counting = t;
    call_start(fs->ns->shard, 0, &t->call, count_run, count_done, t);
}

/* The time is over: main is asked again, since others may have fetched meanwhile. */
static void throttle_cb(struct timer *t)
{
    struct fetchers *fs = t->user;
    if (fs->counting == NULL) {
        ask_main(fs);
    }
}

/* ---- what the others see ---- */

bool follow_is_throttled(struct replica_follow *fl)
{
    struct fetchers *fs = fl->fetcher->fs;
    look_up(fl);
    const struct partition *p = fl->part;
    bool in_sync = p->in_isr || (fl->leader_hw >= 0 && plog_end_offset(p->log) >= fl->leader_hw);
    return is_named(fl) && !in_sync && fs->over_rate;
}

void follow_count(struct replica_follow *fl, uint64_t bytes)
{
    struct fetchers *fs = fl->fetcher->fs;
    look_up(fl);
    if (!is_named(fl) || bytes == 0) {
        return;
    }
    fs->throttled_bytes += bytes;
    if (fs->counting == NULL && !timer_is_set(&fs->throttle)) {
        ask_main(fs);
    }
}

void fetchers_init_throttle(struct fetchers *fs)
{
    const struct config_values *v = &fs->ns->node->config->v;
    list_init(&fs->throttled);
    fs->throttle = (struct timer){.cb = throttle_cb, .user = fs};
    rate_window_init(&fs->fetched, (uint32_t)v->replication_quota_window_num,
                     (int64_t)v->replication_quota_window_size_seconds * 1000);
}

void fetchers_drop_throttle(struct fetchers *fs)
{
    timer_cancel(fs->ns->shard, &fs->throttle);
    rate_window_free(&fs->fetched);
}
