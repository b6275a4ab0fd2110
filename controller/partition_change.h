/* The next state of a partition when its ISR, the living brokers or its replicas have changed: who
 * leads, what stays in ISR and ELR (KIP-966), whether a reassignment is over, and the
 * PartitionChangeRecord that says so. Pure.
 *
 * Leader: the present one if it may stay; else the first replica in assignment order that is in the
 * ISR, or in the ELR when the ISR is empty; else, with ELR on, the last known leader when ISR and
 * ELR are empty and it is a replica still; else, only in an unclean election, any living replica.
 * The last two forget acknowledged records: the ISR becomes the new leader alone and the partition
 * is marked as recovering. Of several, one whose disk is full comes last (decide_room.c).
 *
 * A reassignment (adding, removing) is over, with any change, once the ISR holds all that it adds:
 * what it removes leaves replicas and ISR then. It stays as it is while that would shrink the ISR
 * below min.insync.replicas, or, when replicas become fewer, while one that stays is not in the ISR
 * (the second as in Kafka; the first goes further). */
#ifndef CONTROLLER_PARTITION_CHANGE_H
#define CONTROLLER_PARTITION_CHANGE_H

#include "base/ids.h"
#include "controller/decide.h"
#include "proto_messages.h"

struct id_set { /* a few broker ids in order */
    int32_t *v;
    uint32_t n;
};
/* All of v but id, in the arena. */
struct id_set id_without(struct arena *a, const int32_t *v, uint32_t n, int32_t id);

/* All of v that are not in w, in the arena. */
struct id_set id_minus(struct arena *a, struct id_set v, const int32_t *w, uint32_t n);

enum election {
    ELECT_ONLINE,    /* only when the leader cannot stay */
    ELECT_PREFERRED, /* the first replica, if it is in the ISR and lives */
    ELECT_UNCLEAN,   /* like online, but rather any living replica than none */
    ELECT_ROOM,      /* like online, but a leader whose disk is full cannot stay if another may */
};

struct partition_change {
    struct decision *d;
    const struct image_topic *topic;
    const struct image_partition *p;
    struct id_set isr;      /* wanted, as the next three */
    struct id_set replicas; /* those that are being removed, too */
    struct id_set adding;
    struct id_set removing;
    int32_t unclean; /* a broker that came back without its unflushed records; -1 none */
    enum election election;
    int8_t recovery;                /* wanted leader recovery state; -1: as it is */
    const struct uuid *directories; /* wanted, one for each of p's replicas; NULL: as they are */
};

/* Starts from the partition as it is; unclean elections where the topic's settings allow them. */
void partition_change_init(struct partition_change *c, struct decision *d,
                           const struct image_topic *t, const struct image_partition *p);
/* May the replica lead, as far as its broker and its directory go: alive, and the disk works. */
bool partition_change_acceptable(const struct partition_change *c, int32_t id);
/* What min.insync.replicas asks of this partition's ISR, which has no more than its replicas.
 * (Kafka takes the first partition's number of replicas for all partitions of a topic; where they
 * differ, it forgets who is eligible.) */
uint32_t partition_change_least_isr(const struct partition_change *c);
/* What min.insync.replicas asks of an ISR when there are so many replicas. */
uint32_t partition_change_least(const struct partition_change *c, uint32_t replicas_n);
/* Fills the record (its arrays are in the arena); false when nothing changes. */
bool partition_change_build(struct partition_change *c, struct partition_change_record *r);
/* Builds it and adds it to the decision. */
bool partition_change_add(struct partition_change *c);

#endif
