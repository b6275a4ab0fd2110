/* Moving replicas, from a client's side: what `reassign-partitions` and every other tool that moves
 * partitions asks a cluster for. It works against Kafka and Millrace alike.
 *
 *     struct replica_sets now, moves = {...};
 *     reassign_current(c, &now);                         where all partitions are
 *     throttle_plan(&c->arena, &ongoing, &moves, &now, &plan);
 *     throttle_set(c, &plan, 10 << 20);                  bytes per second, of each broker
 *     reassign_alter(c, &moves, &options, &refused);     the move goes on by itself from here
 *     reassign_watch_begin(c, &w, &moves, NULL, 0);
 *     reassign_wait(c, &w);                              with progress, where somebody looks
 *     throttle_clear_brokers(c, ...), throttle_clear_topics(c, ...)
 *
 * Errors: functions that ask return 0, or ERR_x with a sentence in c->error. What the cluster says
 * of one partition is in its `error` (wire code) and `message`, and is no error of the call. All
 * that is found lives in c->arena. Sizes are bytes, rates bytes per second, times milliseconds; -1
 * is unknown. Lists are sorted where nothing else is said: sets by topic and partition. */
#ifndef TOOLS_REASSIGNMENT_H
#define TOOLS_REASSIGNMENT_H

#include "base/ids.h"
#include "tools/client.h"

/* ---- where replicas are, and where they shall be ---- */

/* The replicas of one partition: as it is, as it moves, or as it shall be. */
struct replica_set {
    struct bytes topic;
    int32_t partition;
    int32_t *replicas; /* brokers, the preferred leader first; NULL for reassign_alter: do not move
                          it any more */
    int32_t replicas_n;
    int32_t *adding; /* of one that moves: those of replicas that come, and those that go */
    int32_t adding_n;
    int32_t *removing;
    int32_t removing_n;
    struct bytes *dirs; /* of a target, one for each replica, null where any will do; NULL: all */
    int16_t error;      /* wire code of the answer to reassign_alter */
    struct bytes message;
};

struct replica_sets {
    struct replica_set *v;
    size_t n;
};

int replica_set_cmp(const void *a, const void *b);
/* The same brokers in the same order. */
bool replica_set_same(const struct replica_set *a, const struct replica_set *b);
void replica_sets_sort(struct replica_sets *s);
struct replica_set *replica_set_find(const struct replica_sets *s, struct bytes topic,
                                     int32_t partition);

/* All partitions of client_metadata (asked for once). */
int reassign_current(struct client *c, struct replica_sets *out);
/* The partitions that move now; of NULL: all, else only those. */
int reassign_ongoing(struct client *c, const struct replica_sets *of, struct replica_sets *out);
/* Begins (or, where replicas is NULL, calls off) moves: in requests of a bounded number of
 * partitions. *refused gets how many have an error; the others go on. If asking failed in the
 * middle, some may be moving: reassign_ongoing tells. keep_factor: refuse targets with another
 * number of replicas than now (of brokers that know how to; older ones do not get it). */
int reassign_alter(struct client *c, struct replica_sets *targets, bool keep_factor,
                   size_t *refused);

/* ElectLeaders (type: ELECT_x) for these partitions, which are sorted; of NULL: for all. What is
 * said of one partition is in the answer. */
enum { ELECT_PREFERRED = 0, ELECT_UNCLEAN = 1 };
struct elect_leaders_response;
int reassign_elect(struct client *c, int8_t type, const struct replica_sets *of,
                   struct elect_leaders_response **resp);

/* ---- throttles ---- */

/* What has to be set so that moving is throttled: which replicas of each topic send and receive for
 * a move ("0:1,0:2", partition:broker), and the brokers among them. */
struct throttled_topic {
    struct bytes topic;
    const char *leader, *follower;
};
struct throttle_plan {
    struct throttled_topic *topics; /* by name */
    size_t topics_n;
    int32_t *brokers; /* ascending */
    size_t brokers_n;
};

/* As Kafka's tool does: of the targets, and of all that moves already (a topic's list is written
 * anew, and would lose those). */
void throttle_plan(struct arena *a, const struct replica_sets *ongoing,
                   const struct replica_sets *targets, const struct replica_sets *current,
                   struct throttle_plan *out);
/* The lists of the topics, and the rate of the brokers, for sending and for receiving each. A topic
 * that was deleted meanwhile is passed over. */
int throttle_set(struct client *c, const struct throttle_plan *p, int64_t bytes_per_s);
/* The rate at which brokers copy between their own directories. */
int throttle_set_dirs(struct client *c, const int32_t *brokers, size_t n, int64_t bytes_per_s);
/* Takes them off, all three rates and both lists. */
int throttle_clear_brokers(struct client *c, const int32_t *brokers, size_t n);
int throttle_clear_topics(struct client *c, const struct bytes *topics, size_t n);
/* Would the controllers, if c is connected to them, take those off? What is not there is an error
 * with their sentence; nothing is changed. */
int throttle_check(struct client *c, const int32_t *brokers, size_t brokers_n,
                   const struct bytes *topics, size_t topics_n);

/* A list of throttled replicas as it is set: "0:1,0:2", partition:broker. False: it is
 * none that a move sets (such as "*", which stands for all). */
struct throttle_mark {
    int32_t partition, broker;
};
struct throttle_marks {
    struct throttle_mark *v;
    size_t n;
};
bool throttle_marks_read(struct arena *a, struct bytes list, struct throttle_marks *out);

/* Throttles that are set now, whoever set them. */
struct throttles {
    int32_t *brokers; /* that have a rate, ascending */
    size_t brokers_n;
    struct bytes *topics; /* that have a list, by name */
    size_t topics_n;
};
int throttle_find(struct client *c, struct throttles *out);

/* ---- log directories ---- */

/* One replica on one broker, the directory it is in and the one that it moves to. */
struct replica_dir {
    struct bytes topic;
    int32_t partition;
    int32_t broker;
    struct bytes target;  /* the path it shall move to (replica_dirs_alter) */
    struct bytes current; /* null: it is in no directory that the broker reads */
    struct bytes future;  /* null: it does not move */
    int64_t size, future_size;
    int64_t lag, future_lag; /* records behind what is acknowledged, or behind current */
    int16_t error;           /* wire code of the answer to replica_dirs_alter */
};

int replica_dir_cmp(const void *a, const void *b); /* by broker, topic, partition */
void replica_dirs_sort(struct replica_dir *v, size_t n);
struct replica_dir *replica_dir_find(const struct replica_dir *v, size_t n, int32_t broker,
                                     struct bytes topic, int32_t partition);
/* The directories that targets name, as replicas with a target, sorted; *n of them. */
struct replica_dir *replica_dirs_of(struct arena *a, const struct replica_sets *targets, size_t *n);
/* Asks each broker for its replicas of v (sorted); fills all but target and error. A broker that is
 * not in the cluster is an error. */
int replica_dirs_find(struct client *c, struct replica_dir *v, size_t n);
/* The same; replicas of brokers that do not answer within 3 s are left unknown. */
void replica_dirs_look(struct client *c, struct replica_dir *v, size_t n);
/* Has each broker the directory that is named for it? ERR_NOTFOUND with a sentence that says which
 * ones it has. */
int replica_dirs_check(struct client *c, struct replica_dir *v, size_t n);
/* Asks each broker to move its replicas of v (sorted) to their targets; sets error. */
int replica_dirs_alter(struct client *c, struct replica_dir *v, size_t n);

/* ---- progress ---- */

/* One replica that is being copied. */
struct copy {
    struct bytes topic;
    int32_t partition;
    int32_t broker;     /* that receives it */
    int64_t size_whole; /* of the largest other replica, as last seen */
    int64_t size;       /* that has arrived */
    bool done;
};

/* Moves that somebody waits for. */
struct reassign_watch {
    const struct replica_sets *targets;
    struct replica_dir *dirs; /* moves between directories, sorted; may be none */
    size_t dirs_n;
    struct copy *copies;
    size_t copies_n;
    size_t partitions_left; /* that still move; dirs_left: the same of directories */
    size_t dirs_left;
    int64_t begin_ms, begin_bytes;   /* of the rate: when the first look was, what had arrived */
    int64_t throttle, dirs_throttle; /* bytes a second and broker, if they are known; 0: not. To be
                                        set behind reassign_watch_begin */
    /* Asked at the end of each look, if it is set: is there no sense in waiting on? */
    bool (*gives_up)(struct client *c, const struct reassign_watch *w, void *user);
    void *user;
    bool given_up; /* what it said */
};

/* The first look. */
int reassign_watch_begin(struct client *c, struct reassign_watch *w,
                         const struct replica_sets *targets, struct replica_dir *dirs, size_t n);
/* Another one. What it found is forgotten at its end, but for what stands in w. */
int reassign_watch_look(struct client *c, struct reassign_watch *w);
/* "3 of 8 partitions left, 1.2 GiB of 4.0 GiB, 100.0 MiB/s, 29 s left". Nothing is said of the time
 * until the rate has settled; with a throttle it is "at least" what that allows. */
void reassign_watch_text(const struct reassign_watch *w, int64_t now_ms, char *out, size_t n);
/* Looks until all is moved, or w->given_up, once a second, and shows the text on standard error if
 * that is a terminal. ERR_CANCELED: reassign_interrupted. */
int reassign_wait(struct client *c, struct reassign_watch *w);
/* Behind it: until the broker that answers knows of the targets too. The controllers, who say what
 * moves, are ahead of it; a busy one may need seconds. 10 s at most, for a move that was called off
 * never gets there. */
void reassign_settle(struct client *c, const struct replica_sets *targets);

/* From here on the first SIGINT or SIGTERM does not end the process but is noted, and ends
 * reassign_wait; a second one ends the process. */
void reassign_catch_interrupts(void);
bool reassign_interrupted(void);

#endif
