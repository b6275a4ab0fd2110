/* The next state of a partition when its ISR, the living brokers or its replicas have changed: who
 * leads, what stays in ISR and ELR (KIP-966), and the PartitionChangeRecord that says so. Pure.
 *
 * Leader: the present one if it may stay; else the first replica in assignment order that is in the
 * ISR, or in the ELR when no ISR member may lead; else, with ELR on, the last known leader when
 * ISR and ELR are empty; else, only where unclean election is enabled, any living replica. The last
 * two forget acknowledged records: the ISR becomes the new leader alone and the partition is marked
 * as recovering. */
#ifndef CONTROLLER_PARTITION_CHANGE_H
#define CONTROLLER_PARTITION_CHANGE_H

#include "controller/decide.h"
#include "proto_messages.h"

struct id_set { /* a few broker ids in order */
    int32_t *v;
    uint32_t n;
};
bool id_in(const int32_t *v, uint32_t n, int32_t id);
/* All of v but id, in the arena. */
struct id_set id_without(struct arena *a, const int32_t *v, uint32_t n, int32_t id);

struct partition_change {
    struct decision *d;
    const struct image_topic *topic;
    const struct image_partition *p;
    struct id_set isr; /* wanted */
    int32_t unclean;   /* a broker that came back without its unflushed records; -1 none */
    bool prefer;       /* elect the first replica if it may lead */
    int8_t recovery;   /* wanted leader recovery state; -1: as it is */
    const struct uuid *directories; /* wanted, one a replica; NULL: as they are */
};

/* Starts from the partition as it is. */
void partition_change_init(struct partition_change *c, struct decision *d,
                           const struct image_topic *t, const struct image_partition *p);
/* Fills the record (its arrays are in the arena); false when nothing changes. */
bool partition_change_build(struct partition_change *c, struct partition_change_record *r);
/* Builds it and adds it to the decision. */
bool partition_change_add(struct partition_change *c);

#endif
