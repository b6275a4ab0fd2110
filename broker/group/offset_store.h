/* Where a group's offsets lie: per topic a dense array of 48 bytes a partition, found by walking it
 * while it is short and through a table of places once it is long. A topic's name is one text of
 * the coordinator; what few offsets have (metadata, an expiry of their own, the id of another topic
 * of that name) stands apart. All of it is charged to the coordinator.
 *
 * Offsets of open transactions lie beside the committed ones: each is found from its partition (a
 * commit of offsets may be under way in several transactions) and from its transaction.
 *
 * A topic is there as long as it has an offset of either kind; the last one that is removed takes
 * the topic away. */
#ifndef BROKER_GROUP_OFFSET_STORE_H
#define BROKER_GROUP_OFFSET_STORE_H

#include "broker/group/group_private.h"

struct offset_extra {
    int64_t expire_ms; /* -1: by retention */
    struct uuid topic_id;
    uint32_t len;
    uint8_t metadata[];
};

enum offset_id { OFFSET_ID_NONE, OFFSET_ID_OF_TOPIC, OFFSET_ID_EXTRA };

struct offset_entry {
    int64_t offset;
    int64_t commit_ms;
    int64_t at; /* of its record in the log: which of two commits is the later one */
    struct offset_extra *extra; /* NULL: no metadata, no expiry */
    int32_t partition;
    int32_t leader_epoch; /* -1 none */
    uint32_t gone_seq;    /* the newest deletion of a topic when it was committed: expiry.c */
    uint8_t id;           /* enum offset_id */
};
_Static_assert(sizeof(struct offset_entry) <= 48, "a million of them are 48 MB");

struct group_topic {
    struct group *group;
    struct group_str *name;
    struct uuid id; /* of most of its offsets: the first that was seen; zero when none was */
    struct offset_entry *v;
    uint32_t n, cap;
    uint32_t *places; /* hash of the partition -> place in v, + 1; NULL while v is short */
    uint32_t places_cap;
    uint32_t place;  /* in group->topic_v */
    struct map open; /* partition -> struct open_offset */
};

/* A transaction that has committed offsets here and whose marker has not come. */
struct group_txn {
    int64_t producer_id; /* key of coordinator->txns */
    struct list offsets; /* open_offset.in_txn, in the order of their first record */
};

struct open_offset {
    struct list in_txn;
    struct open_offset *next; /* the same partition in another transaction */
    struct group_txn *txn;
    struct group_topic *topic;
    struct offset_entry e;
};

struct group_topic *offset_topic(const struct group *g, struct bytes name); /* NULL */
struct group_topic *offset_topic_make(struct group *g, struct bytes name);
struct offset_entry *offset_find(const struct group_topic *t, int32_t partition); /* NULL */
/* v's strings are copied. */
void offset_put(struct group_topic *t, int32_t partition, const struct offset_commit_value *v,
                int64_t at, uint32_t gone_seq);

/* Committed and of every transaction. The topic may be gone afterwards. */
void offset_forget(struct group *g, struct bytes topic, int32_t partition);
/* Everything of the group. */
void offset_forget_all(struct group *g);

void open_offset_put(struct group_topic *t, int64_t producer_id, int32_t partition,
                     const struct offset_commit_value *v, int64_t at);
bool open_offset_has(const struct group_topic *t, int32_t partition);
/* The marker: the offsets become committed ones unless a later commit stands there, or are dropped.
 * Groups that are empty then are released. */
void group_txn_end(struct group_coordinator *c, int64_t producer_id, bool commit);

struct uuid offset_topic_id(const struct group_topic *t, const struct offset_entry *e);
static inline struct bytes offset_metadata(const struct offset_entry *e)
{
    return e->extra ? bytes_of(e->extra->metadata, e->extra->len) : bytes_of("", 0);
}
static inline int64_t offset_expire_ms(const struct offset_entry *e)
{
    return e->extra ? e->extra->expire_ms : -1;
}

/* Upper bound of what n more offsets of one new topic take, metadata aside. */
size_t offset_store_need(size_t name_len, size_t n);

#endif
