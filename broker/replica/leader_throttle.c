#include "broker/replica/leader_throttle.h"

#include "base/mem.h"
#include "broker/config.h"
#include "broker/partition_manager.h"
#include "broker/replica/rate_account.h"
#include "broker/replica/throttled.h"

static const char REPLICAS[] = "leader.replication.throttled.replicas";
static const char RATE[] = "leader.replication.throttled.rate";

struct leader_throttle {
    struct node_shard *ns;
    struct rate_account account;
    struct rate_window given; /* main's: of all shards */
};

static struct rate_window *window(struct node_shard *main)
{
    return &main->partitions->throttle->given;
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
    if (!in_isr && t->account.over_rate) {
        return false;
    }
    rate_account_add(&t->account, bytes);
    return true;
}

struct leader_throttle *leader_throttle_new(struct node_shard *ns)
{
    struct leader_throttle *t = MEM_NEW(struct leader_throttle);
    const struct config_values *v = &ns->node->config->v;
    t->ns = ns;
    t->account = (struct rate_account){.ns = ns, .setting = RATE, .window = window};
    rate_account_init(&t->account);
    rate_window_init(&t->given, (uint32_t)v->replication_quota_window_num,
                     (int64_t)v->replication_quota_window_size_seconds * 1000);
    return t;
}

void leader_throttle_stop(struct leader_throttle *t)
{
    rate_account_stop(&t->account);
}

bool leader_throttle_busy(const struct leader_throttle *t)
{
    return rate_account_busy(&t->account);
}

void leader_throttle_free(struct leader_throttle *t)
{
    rate_account_stop(&t->account);
    rate_window_free(&t->given);
    mem_free(t);
}
