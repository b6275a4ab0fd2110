#include "broker/replica/leader_throttle.h"

#include "base/mem.h"
#include "broker/call.h"
#include "broker/config.h"
#include "broker/partition_manager.h"
#include "broker/replica/rate_window.h"
#include "broker/replica/throttled.h"

static const char REPLICAS[] = "leader.replication.throttled.replicas";
static const char RATE[] = "leader.replication.throttled.rate";

enum { WAIT_MAX_MS = 1000 }; /* the rate may be changed meanwhile */

struct leader_throttle {
    struct node_shard *ns;
    bool over_rate;
    bool stopped;
    uint64_t bytes; /* given, not told to main yet */
    struct timer timer;
    struct call call;
    bool asking;
    uint64_t told;
    int64_t wait_ms;
    struct rate_window given; /* main's: of all shards */
};

static void ask_main(struct leader_throttle *t);

static void run(struct shard *sh, struct call *c)
{
    struct leader_throttle *t = c->user;
    struct node_shard *main = node_shard_of(sh);
    struct rate_window *w = &main->partitions->throttle->given;
    int64_t now = shard_now_ms(sh);
    rate_window_record(w, t->told, now);
    t->wait_ms = rate_window_excess_ms(w, throttled_rate(main, RATE), now);
    call_finish(sh, c);
}

static void done(struct shard *sh, struct call *c)
{
    struct leader_throttle *t = c->user;
    int64_t wait = t->wait_ms < WAIT_MAX_MS ? t->wait_ms : WAIT_MAX_MS;
    t->asking = false;
    t->over_rate = wait > 0 && !t->stopped;
    if (t->over_rate) {
        timer_set(sh, &t->timer, shard_now_ms(sh) + wait);
    } else if (t->bytes > 0 && !t->stopped) {
        ask_main(t);
    }
}

static void ask_main(struct leader_throttle *t)
{
    t->told = t->bytes;
    t->bytes = 0;
    t->asking = true;
    call_start(t->ns->shard, 0, &t->call, run, done, t);
}

/* The time is over: main is asked again, since others may have given some meanwhile. */
static void on_timer(struct timer *timer)
{
    ask_main(timer->user);
}

static bool is_throttled(struct leader_throttle *t, struct partition *p)
{
    if (p->throttle == PARTITION_THROTTLE_UNKNOWN) {
        p->throttle = throttled_names_replica(t->ns->image, REPLICAS, p->topic->name, p->index,
                                              t->ns->node->id)
                          ? PARTITION_THROTTLED
                          : PARTITION_NOT_THROTTLED;
    }
    return p->throttle == PARTITION_THROTTLED;
}

bool leader_throttle_admit(struct leader_throttle *t, struct partition *p, bool in_isr,
                           uint32_t bytes)
{
    if (!is_throttled(t, p)) {
        return true;
    }
    if (!in_isr && t->over_rate) {
        return false;
    }
    t->bytes += bytes;
    if (!t->asking && !timer_is_set(&t->timer) && !t->stopped) {
        ask_main(t);
    }
    return true;
}

struct leader_throttle *leader_throttle_new(struct node_shard *ns)
{
    struct leader_throttle *t = MEM_NEW(struct leader_throttle);
    const struct config_values *v = &ns->node->config->v;
    t->ns = ns;
    t->timer = (struct timer){.cb = on_timer, .user = t};
    rate_window_init(&t->given, (uint32_t)v->replication_quota_window_num,
                     (int64_t)v->replication_quota_window_size_seconds * 1000);
    return t;
}

void leader_throttle_stop(struct leader_throttle *t)
{
    t->stopped = true;
    timer_cancel(t->ns->shard, &t->timer);
}

bool leader_throttle_busy(const struct leader_throttle *t)
{
    return t->asking;
}

void leader_throttle_free(struct leader_throttle *t)
{
    timer_cancel(t->ns->shard, &t->timer);
    rate_window_free(&t->given);
    mem_free(t);
}
