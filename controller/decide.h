/* Decisions of the active controller: a request and the present state in, metadata records and an
 * answer out. Pure: no I/O, no clock, no state of their own; controller.c gives them what they need
 * in struct decision and appends the records that they leave in it.
 *
 * The image of a decision has every record applied that was appended before, committed or not. The
 * records of one decision are one batch: all of them or none take effect (but see splittable).
 *
 * Failure modes are Kafka's error codes in the answers. An error leaves no records behind for the
 * topic, resource or partition that it is about.
 *
 * Shard: the controller's. */
#ifndef CONTROLLER_DECIDE_H
#define CONTROLLER_DECIDE_H

#include "base/prng.h"
#include "controller/controller.h"
#include "controller/image.h"
#include "controller/observers.h"
#include "controller/sessions.h"
#include "proto/message.h"

enum {
    DECISION_RECORDS_MAX = 10000, /* of one request of a user, as in Kafka */
    DECISION_STEP = 1000,         /* partitions that one decision of the controller's own changes */
    PRODUCER_ID_BLOCK = 1000,
};

struct decision_span {
    size_t at;
    size_t len;
};

struct decision {
    /* given */
    const struct image *img;
    const struct controller_config *cfg;
    struct sessions *sessions;   /* soft state of the leader: contacts with brokers */
    struct observers *observers; /* and with controllers that are no voters; NULL: none known */
    struct prng *rng;            /* for placement */
    struct uuid (*new_id)(void *ctx);
    void *new_id_ctx;
    struct arena *arena;
    int64_t now_ms;      /* monotonic */
    int64_t next_offset; /* of the first record */
    size_t step;         /* DECISION_STEP */
    /* left behind */
    struct buf bytes; /* framed records, one behind the other */
    struct decision_span *spans;
    size_t n;
    size_t cap;
    bool splittable; /* each record stands for itself: they may go in several batches */
    /* a broker whose registration this decision changes; -1: none. The image does not show it. */
    int32_t changed_broker;
    bool changed_active; /* whether it may lead afterwards */
    /* settings of the topic that was last asked for */
    const struct image_topic *settings_of;
    int32_t min_isr;
    bool unclean_election;
};

void decision_init(struct decision *d);
void decision_free(struct decision *d); /* not the arena */
void decision_add(struct decision *d, const struct proto_message *m, int16_t version,
                  const void *record);
/* Takes back all records behind the first n. */
void decision_cut(struct decision *d, size_t n);
struct bytes decision_record(const struct decision *d, size_t i);
/* A text in the decision's arena, for answers. */
struct bytes decision_text(struct decision *d, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* ---- what several decisions ask ---- */

/* What an entry of a request names; kind keeps apart what may have the same name. */
struct decision_key {
    struct bytes name;
    int8_t kind;
};
struct decision_places { /* where the same key stands first and last */
    uint32_t first;
    uint32_t last;
};
/* For each of n keys. A request may have millions: not quadratic, whatever the keys are. */
struct decision_places *decision_same(struct arena *a, const struct decision_key *keys, size_t n);

/* The row of the finalized metadata.version. */
const struct proto_metadata_version *decide_version(const struct decision *d);
bool decide_elr_enabled(const struct decision *d);
/* Registered, unfenced, not about to leave and not being fenced. */
bool decide_is_active(const struct decision *d, int32_t broker);
/* KE_STALE_BROKER_EPOCH unless this is the registration's epoch. */
int16_t decide_broker_epoch(const struct decision *d, int32_t broker, int64_t epoch);
/* Where a new replica on this broker lies: its only directory, or UNASSIGNED (it will say where);
 * MIGRATING for a broker from before directories were reported. */
struct uuid decide_default_directory(const struct decision *d, int32_t broker);
int32_t decide_min_isr(struct decision *d, const struct image_topic *t);
bool decide_unclean_election(struct decision *d, const struct image_topic *t);

/* ---- decide_broker.c ---- */

void decide_broker_registration(struct decision *d, const void *request, void *response);
void decide_broker_heartbeat(struct decision *d, const void *request, void *response);
void decide_unregister_broker(struct decision *d, const void *request, void *response);
void decide_controller_registration(struct decision *d, const void *request, void *response);
/* Brokers whose sessions are over: the first step of fencing one; true if there is one. */
bool decide_fence_expired(struct decision *d);
/* A broker that does not live, whatever its session says (broker_probe.h): as above. */
bool decide_fence_dead(struct decision *d, int32_t broker, int64_t epoch);
/* One more step of what decisions have left to do (sessions->more): brokers that are being fenced,
 * leave, have lost directories or have full ones, partitions without a leader. */
void decide_more(struct decision *d);
/* This controller's own registration, when it is not what the image has. */
void decide_own_registration(struct decision *d, struct uuid incarnation);

/* ---- decide_elect.c ---- */

/* What became of a broker, for the partitions that it concerns. -1: none. */
struct broker_event {
    int32_t gone;    /* leaves ISRs and leaderships */
    int32_t unclean; /* came back without what it may have acknowledged: out of ISR and ELR */
    int32_t come;    /* may lead: partitions without a leader are looked at */
};
/* At most max partitions; false: there are more. */
bool decide_partitions_of(struct decision *d, const struct broker_event *ev, size_t max);
/* The replicas that a broker has in these directories, which do not work any more; as above. */
bool decide_directories_lost(struct decision *d, int32_t broker, const struct uuid *dirs, int32_t n,
                             size_t max);
/* Does it lead any partition, in the image? */
bool decide_leads_any(const struct decision *d, int32_t broker);
void decide_elect_leaders(struct decision *d, int16_t version, const void *request, void *response);
/* Partitions whose first replica may lead and does not get it back. At most max of them; true:
 * there may be more. */
bool decide_preferred_leaders(struct decision *d, size_t max);
/* Partitions without a leader get one where that is possible now (a setting may have changed); as
 * above. */
bool decide_leaderless(struct decision *d, size_t max);

/* ---- decide_room.c ---- */

/* Nothing that was heard of this broker says that the disk of this directory is full. */
bool decide_has_room(const struct decision *d, int32_t broker, struct uuid dir);
/* The same of where its replica of the partition lies. */
bool decide_replica_has_room(const struct decision *d, const struct image_partition *p,
                             int32_t broker);
/* Where a replica of the broker has no room, others lead and are the ISR, as far as there are any.
 * At most max partitions; false: there are more. */
bool decide_leave_full(struct decision *d, int32_t broker, size_t max);
/* These are to be the ISR: does a replica without room join, which the others can do without? */
bool decide_joins_full(struct decision *d, const struct image_topic *t,
                       const struct image_partition *p, const int32_t *isr, uint32_t n);

/* ---- decide_reassign.c ---- */

void decide_alter_partition_reassignments(struct decision *d, int16_t version, const void *request,
                                          void *response);
void decide_list_partition_reassignments(struct decision *d, const void *request, void *response);

/* ---- decide_topics.c, decide_partitions.c, decide_replicas.c, decide_configs.c ---- */

void decide_create_topics(struct decision *d, const void *request, void *response);
/* For each topic of the request, where its name stands first and last. */
struct create_topics_request;
struct decision_places *decide_create_topics_same(struct arena *a,
                                                  const struct create_topics_request *q);
void decide_delete_topics(struct decision *d, int16_t version, const void *request, void *response);
void decide_create_partitions(struct decision *d, const void *request, void *response);
struct create_partitions_request;
struct decision_places *decide_create_partitions_same(struct arena *a,
                                                      const struct create_partitions_request *q);
void decide_incremental_alter_configs(struct decision *d, const void *request, void *response);
void decide_alter_configs(struct decision *d, const void *request, void *response);
void decide_alter_partition(struct decision *d, int16_t version, const void *request,
                            void *response);
void decide_assign_dirs(struct decision *d, const void *request, void *response);
void decide_allocate_producer_ids(struct decision *d, const void *request, void *response);

/* ---- decide_features.c ---- */

void decide_update_features(struct decision *d, int16_t version, const void *request,
                            void *response);

/* ---- decide_bootstrap.c ---- */

/* The first records of a new cluster (formats.md 8.3), from those of bootstrap.checkpoint. */
int decide_bootstrap(struct decision *d, const struct bytes *records, size_t n, struct errmsg *em);

#endif
