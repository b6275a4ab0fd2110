/* Writes of offsets that are out: what a commit or a deletion keeps until its records are
 * committed. Both stand in group->pending in the order of the log and take effect in it. */
#ifndef BROKER_GROUP_OFFSET_OPS_H
#define BROKER_GROUP_OFFSET_OPS_H

#include "broker/group/offset_store.h"

/* A commit lies in the arena of its ask, as do the texts it points to: both end together. */
struct commit_item {
    struct bytes topic;
    int32_t partition;
    struct offset_commit_value v;
};
struct commit_op {
    struct group_op op;
    struct group_ask *ask; /* its response is complete but for an error of the write */
    uint32_t gone_seq;     /* of the coordinator when it was asked for */
    uint32_t n;
    struct commit_item items[];
};
struct commit_op *commit_op_new(struct group *g, struct group_ask *ask, uint32_t n_max);
/* Every partition of the response gets the code. */
void commit_fail(struct group_ask *ask, int16_t code);

/* Deletions: begin, name offsets and perhaps the group, end. What is too much for one append is
 * split; an ask is answered when the last part is committed. */
enum gone_kind { GONE_QUIET, GONE_OFFSETS_ASKED, GONE_GROUP_ASKED };
struct gone {
    struct group *g;
    struct group_effects *fx;
    struct gone_job *job;
    struct gone_item *items; /* of the part that is being filled; fx->arena */
    struct group_record *records;
    uint32_t n, cap;
    size_t bytes;
    uint32_t total; /* offsets named so far */
};
void gone_begin(struct gone *b, struct group *g, struct group_effects *fx, enum gone_kind kind,
                struct group_ask *ask);
void gone_offset(struct gone *b, struct bytes topic, int32_t partition);
/* Last: also the group's own records. With it, or with any offset, there is something to wait for;
 * else gone_end answers at once. */
void gone_end(struct gone *b, bool group);

/* The last thing that is under way for the group is its deletion: to whoever asks now it is gone.
 */
bool group_doomed(const struct group *g);

/* What is under way for a partition: the last of several commits and deletions. */
struct offset_flight {
    struct bytes topic;
    int32_t partition;
    uint32_t seq;
    bool gone;
    uint32_t gone_seq; /* of a commit */
    struct uuid topic_id;
};
/* Sorted by topic and partition. */
uint32_t offset_flights(const struct group *g, struct arena *a, struct offset_flight **out);
const struct offset_flight *offset_flight_find(const struct offset_flight *v, uint32_t n,
                                               struct bytes topic, int32_t partition); /* NULL */

#endif
