/* Pictures of clusters for the tests of what decides upon them. Everything is in one arena. */
#ifndef TESTS_UNIT_TOOLS_VIEW_RIG_H
#define TESTS_UNIT_TOOLS_VIEW_RIG_H

#include <stdio.h>

#include "tools/view.h"

enum { RIG_BROKERS = 64, RIG_TOPICS = 32, RIG_IDS = 16 };

/* Brokers 1 to n, each with one directory of a disk of 1 GiB that is half full. */
static inline void rig_brokers(struct arena *a, struct view *v, int32_t n)
{
    *v = (struct view){.cluster_id = bytes_str("rig")};
    v->brokers = ARENA_ARRAY(a, struct view_broker, RIG_BROKERS);
    v->topics = ARENA_ARRAY(a, struct view_topic, RIG_TOPICS);
    for (int32_t i = 1; i <= n; i++) {
        struct view_dir *d = ARENA_NEW(a, struct view_dir);
        *d = (struct view_dir){bytes_str("/data"), 0, 1 << 30, 1 << 29, false};
        v->brokers[v->brokers_n++] = (struct view_broker){
            .id = i, .host = bytes_str("host"), .port = 9092, .dirs = d, .dirs_n = 1};
    }
}

/* A list that ends with 0. */
static inline struct view_ids rig_ids(struct arena *a, const int32_t *ids)
{
    struct view_ids out = {ARENA_ARRAY(a, int32_t, RIG_IDS), 0};
    while (ids[out.n]) {
        out.v[out.n] = ids[out.n];
        out.n++;
    }
    return out;
}

#define IDS(...) rig_ids(a, (const int32_t[]){__VA_ARGS__, 0})

/* Topics must come in the order of their names. */
static inline struct view_topic *rig_topic(struct arena *a, struct view *v, const char *name,
                                           int32_t min_isr)
{
    struct view_topic *t = &v->topics[v->topics_n++];
    *t = (struct view_topic){.name = bytes_str(arena_printf(a, "%s", name)), .min_isr = min_isr};
    t->partitions = ARENA_ARRAY(a, struct view_partition, 256);
    return t;
}

/* One more partition, all in sync, led by the first. */
static inline struct view_partition *rig_partition(struct arena *a, struct view_topic *t,
                                                   struct view_ids replicas, int64_t bytes)
{
    struct view_partition *p = &t->partitions[t->partitions_n];
    *p = (struct view_partition){
        .index = t->partitions_n++, .leader = replicas.v[0], .replicas = replicas, .isr = replicas};
    p->bytes = ARENA_ARRAY(a, int64_t, RIG_IDS);
    for (int32_t i = 0; i < replicas.n; i++) {
        p->bytes[i] = bytes;
    }
    return p;
}

#endif
