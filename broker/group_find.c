/* Where a group's coordinator is, and the making of the topic that they live in (group_route.h). */
#include "broker/config.h"
#include "broker/forward.h"
#include "broker/group_host.h"
#include "broker/group_route.h"
#include "controller/image.h"
#include "proto_errors.h"

static uint32_t live_brokers(const struct image *img)
{
    uint32_t n = 0;
    for (int32_t i = 0; i < img->brokers_n; i++) {
        n += !img->brokers[i]->fenced;
    }
    return n;
}

static void make_topic(struct request *r)
{
    const struct node *n = request_node(r);
    int32_t wanted = n->config->v.offsets_topic_replication_factor;
    uint32_t live = live_brokers(r->image);
    if (live < (uint32_t)wanted) {
        log_seldom(n->log, &r->ns->groups_wait, LOG_WARN, "group",
                   "groups wait: %s is not made before there are as many brokers as "
                   "offsets.topic.replication.factor says live_brokers=%u wanted=%d",
                   GROUP_TOPIC, live, (int)wanted);
        return;
    }
    auto_create_topic(r->ns, bytes_str(GROUP_TOPIC));
}

int16_t group_route_find(struct request *r, struct bytes group_id, int32_t *leader)
{
    const struct image_topic *t = group_topic(r);
    *leader = -1;
    if (t == NULL) {
        make_topic(r);
        return KE_COORDINATOR_NOT_AVAILABLE;
    }
    const struct image_partition *p =
        image_partition(t, group_partition_of(group_id, (int32_t)t->partitions_n));
    if (p == NULL || p->leader < 0) {
        return KE_COORDINATOR_NOT_AVAILABLE;
    }
    *leader = p->leader;
    return KE_NONE;
}
