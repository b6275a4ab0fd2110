/* A node: data shards, and the controller's shard when it has that role, wired together. node.c is
 * the one file that sees both the broker and the controller; everything of a node hangs on struct
 * node, so that several can live in one process.
 *
 * Life: node_new (memory only) -> node_start (shards start; then, on the main shard, step by step:
 * log directories are checked and locked, listeners bind, the controller comes up, the broker
 * registers, catches up with the metadata, opens its partitions, is unfenced, begins to accept) ->
 * NODE_RUNNING -> node_stop (no new connections, started requests are answered, controlled
 * shutdown, logs flushed, checkpoints and the mark of a clean stop written) -> NODE_STOPPED ->
 * node_free.
 *
 * Start and stop only begin and then go on by themselves: with threads the owner learns of each
 * state by on_state; inline (simulator, tests) the caller turns the shards (node_shards,
 * shard_turn) and looks at node_state. A node that cannot start or go on (a foreign directory, the
 * metadata log failed) becomes NODE_FAILED, after it has stopped what it could; node_failure is the
 * sentence. */
#ifndef BROKER_NODE_H
#define BROKER_NODE_H

#include <stdint.h>

#include "base/siphash.h"
#include "base/bytes.h"
#include "base/err.h"
#include "base/uuid.h"
#include "runtime/shard.h"

struct node;
struct config;            /* broker/config.h */
struct image;             /* controller/image.h */
struct image_delta;       /* controller/image.h */
struct controller;        /* controller/controller.h */
struct channel;           /* controller/channel.h */
struct metadata_loader;   /* broker/metadata_loader.h */
struct lifecycle;         /* broker/lifecycle.h */
struct dir_assign;        /* broker/dir_assign.h */
struct auto_create;       /* broker/forward.h */
struct log_dir;           /* storage/log_dir.h */
struct listener_set;      /* broker/listener.h */
struct partition_manager; /* broker/partition_manager.h */
struct group_host;        /* broker/group_host.h */
struct fetch_sessions;    /* broker/fetch_session.h */
struct describe_quorum_response;
struct producer_ids; /* broker/producer_ids.h */
struct request_pool; /* broker/request.h */
struct produce_turn; /* broker/api/produce_turn.h */
struct shard_stats;  /* broker/shard_stats.h */
struct isr_alter;    /* broker/replica/alter.h */
struct fetchers;     /* broker/replica/fetcher.h */
struct checkpoints;  /* broker/checkpoints.h */
struct monitor;      /* broker/monitor/monitor.h */
struct http_ops;     /* runtime/http.h */

enum node_state {
    NODE_NEW,
    NODE_STARTING,
    NODE_RUNNING,
    NODE_STOPPING,
    NODE_STOPPED,
    NODE_FAILED,
};

struct node_options {
    struct config *config;    /* the node's from node_new on; freed by node_free */
    const struct logger *log; /* outlives the node */
    make_io_fn *make_io;      /* NULL: the backend that io.backend names */
    void *make_io_ctx;
    bool inline_shards;  /* no threads: the caller turns the shards */
    bool socket_channel; /* reach the controller by its listener, also in the same process */
    const struct http_ops *http; /* for metrics.listener; NULL: there is no HTTP */
    /* On the main shard, after each change of state. May be NULL. */
    void (*on_state)(void *user, struct node *n, enum node_state state);
    void *user;
};

/* Why a follower's fetch is refused (fetch_read.c). */
enum follower_refusal {
    FOLLOWER_OF_OTHER_EPOCH,
    FOLLOWER_NO_REPLICA,
    FOLLOWER_OF_OLD_BROKER,
    FOLLOWER_REFUSALS
};

/* What a node keeps per data shard; the shard's `user`. Shard: its own. */
struct node_shard {
    struct node *node;
    struct shard *shard;
    unsigned index;
    const struct image *image; /* the newest version here: a reference; NULL before the first */
    struct partition_manager *partitions; /* those whose home is here */
    struct group_host *groups;            /* group coordinators in those of __consumer_offsets */
    struct fetch_sessions *sessions;      /* whose id carries this shard */
    struct channel *channel;              /* this shard's way to the controller */
    struct request_pool *requests;
    struct produce_turn *produce_turn;
    struct shard_stats *stats;
    struct isr_alter *alter;         /* in-sync sets of the leaders here, for the controller */
    struct fetchers *fetchers;       /* of the followers here */
    struct auto_create *auto_create; /* topics asked for by Metadata; made when needed */
    struct list lent_requests;       /* of a shard that ended at once; request.c's */
    struct list image_wait;          /* messages whose maker knows a newer image than this shard */
    struct log_limit limit;          /* for lines that peers can cause */
    struct log_limit groups_wait;    /* for the one of group_find.c */
    struct log_limit followers_refused[FOLLOWER_REFUSALS];
    struct siphash_key map_secret; /* for maps whose keys a peer chooses */
};

struct node {
    struct config *config;
    const struct logger *log;
    struct shard_group *group;
    struct node_shard *shards;     /* the data shards: indices 0..data_shards-1 of the group */
    unsigned data_shards;          /* shard 0 is "main" */
    unsigned controller_shard;     /* index in the group; meaningful if controller */
    struct controller *controller; /* NULL: not a controller */
    bool voter;                    /* and it has a part in the quorum; set before it starts */
    struct log_dir **log_dirs;     /* by index in log.dirs; NULL: it could not be opened */
    unsigned log_dirs_n;
    uint64_t failed_dirs;              /* bit by index: offline until restart (main's view) */
    _Atomic bool disk_failed;          /* any shard has seen it in this run: run_before.h's */
    struct listener_set *listeners;    /* main */
    struct metadata_loader *loader;    /* main */
    struct lifecycle *lifecycle;       /* main */
    struct disk_room *room;            /* main: log directories whose disks are full */
    struct dir_assign *dir_assign;     /* main */
    struct producer_ids *producer_ids; /* main */
    struct checkpoints *checkpoints;   /* main; NULL before and after */
    struct monitor *monitor;           /* NULL: no metrics.listener. broker/monitor's */
    unsigned monitor_shard;            /* index in the group; meaningful with it */
    struct uuid incarnation;           /* of this run; set before the first image */
    char cluster_id[128];              /* as in meta.properties */
    int32_t id;                        /* node.id */
    bool inline_shards;
    bool deep_validation;   /* produce.validation=deep */
    struct node_priv *priv; /* node.c's: start and stop */
};

struct node *node_new(const struct node_options *o, struct errmsg *em); /* NULL: em says why */
int node_start(struct node *n, struct errmsg *em); /* an error: the shards could not start */
void node_stop(struct node *n);                    /* any thread; no harm if it is stopping */
/* Ends the threads and frees all, in any state; not on a shard's thread. A node that has not
 * stopped is left as a crash would leave it: nothing more is written. */
void node_free(struct node *n);
enum node_state node_state(const struct node *n); /* on the main shard's thread, or inline */
const char *node_failure(const struct node *n);   /* "" if there is none */
struct shard_group *node_shards(struct node *n);
/* The port that a listener is bound to (a configuration may say 0); 0 if there is none of that
 * name. From NODE_RUNNING on. */
uint16_t node_port(const struct node *n, const char *listener_name);

/* As main knows it: opened at the start, and not failed since. */
static inline bool node_dir_is_online(const struct node *n, unsigned dir)
{
    return n->log_dirs[dir] != NULL && !(n->failed_dirs >> dir & 1);
}

static inline struct node_shard *node_shard_of(struct shard *sh)
{
    return sh->user;
}

/* A new metadata version on this shard: partitions are opened, changed and closed by its delta, the
 * shard's image is swapped (the caller keeps its references), what waited for it goes on. The
 * handler of MSG_IMAGE calls it; the first delta comes from an empty image. */
void node_apply_image(struct node_shard *ns, const struct image_delta *d);

/* Offset of the shard's image; -1 before the first. */
int64_t image_version(const struct node_shard *ns);
/* A message chose this shard by an image that is not here yet: keeps it until it is (true). */
bool node_wait_image(struct node_shard *ns, struct msg *m, int64_t image_offset);

/* Open log files that one data shard may keep. */
uint32_t node_file_limit(const struct node *n);

/* A log directory failed on this shard: main hears it, and tells all shards. */
void node_dir_failed(struct node_shard *ns, unsigned dir);

/* Home shard of a partition: the same on every start with the same number of shards. */
unsigned node_home_shard(const struct node *n, struct uuid topic_id, int32_t partition);

/* Something that the node cannot live without is gone: stops it as fast as is safe. */
void node_fail(struct node *n, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* What the lifecycle and the loader tell the node (called on main). */
void node_on_caught_up(struct node *n);              /* first image is applied on all shards */
void node_on_leader(struct node *n, int32_t leader); /* another controller is the active one */
/* Where the active controller says that the quorum's voters are. */
void node_on_voters(struct node *n, const struct describe_quorum_response *r);
void node_on_unfenced(struct node *n);        /* first heartbeat answer without the fence */
void node_on_fenced_for_stop(struct node *n); /* the controller lets us go (controlled shutdown) */

#endif
