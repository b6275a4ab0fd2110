/* A controller node, on a shard of its own: one voter of the metadata quorum, or (without voters in
 * its configuration) one that follows the quorum's log and has no part in it, for which see
 * controller_observe.c. A voter owns `__cluster_metadata-0`, and while it leads it answers what
 * only the active controller can: registration and heartbeats of brokers, topics, partitions,
 * configs, producer ids, Fetch and FetchSnapshot of the log, DescribeQuorum, Envelope. While
 * another voter leads it follows the log by raft (peers.h), keeps the committed image, and answers
 * NOT_CONTROLLER.
 *
 * One request, whichever way it came (mailbox or CONTROLLER listener):
 *
 *     controller_handle(frame) -> decode -> decide (pure: request + image -> records + answer)
 *       -> quorum_append(records) -> committed -> records applied to the image -> reply
 *
 * Decisions see the image with all appended records applied, also those not committed yet (as
 * Kafka's controller does); answers go out only when what they rest on is committed. When
 * leadership is lost before that, the answer is NOT_CONTROLLER and the image goes back to what is
 * committed.
 *
 * Failure modes: a failed write or fsync of the metadata log ends the node (on_fatal): a voter that
 * cannot trust its disk must not vote. A contradiction found by the quorum's own checks, too.
 *
 * On close: controller_stop refuses new requests (NOT_CONTROLLER), answers parked ones, hands the
 * leadership to another voter, closes the shard's connections, flushes and closes the log, then
 * calls back. It waits for other voters only for a bounded time.
 *
 * Shard: the controller's (shard index N when there are N data shards). */
#ifndef CONTROLLER_CONTROLLER_H
#define CONTROLLER_CONTROLLER_H

#include "base/buf.h"
#include "base/err.h"
#include "base/uuid.h"
#include "controller/channel.h"
#include "controller/config_validator.h"
#include "controller/image.h"
#include "runtime/conn.h"
#include "runtime/shard.h"
#include "storage/disk_time.h"

struct controller;

struct controller_endpoint {
    const char *name; /* listener name, "CONTROLLER" */
    const char *host;
    uint16_t port;
    int16_t security_protocol;
};

struct controller_voter { /* one of controller.quorum.voters */
    int32_t id;
    const char *host;
    uint16_t port;
};

/* Copied by controller_start, strings too. Times in ms. Kafka's names in the comments. */
struct controller_config {
    int32_t node_id;          /* node.id */
    const char *cluster_id;   /* of meta.properties */
    const char *log_dir;      /* metadata.log.dir: the folder that holds __cluster_metadata-0 */
    struct uuid directory_id; /* of that folder's meta.properties */
    const struct controller_voter *voters; /* controller.quorum.voters; this node is one of them */
    size_t voters_n;
    bool voters_in_log; /* the voters were not configured: the log must name this node the only one
                         */
    /* Without voters: controller.quorum.bootstrap.servers, where the quorum is to be found. */
    const struct channel_endpoint *servers;
    size_t servers_n;
    int32_t fetch_bytes;                         /* controller.quorum.fetch.max.bytes */
    int32_t fetch_snapshot_bytes;                /* controller.quorum.fetch.snapshot.max.bytes */
    int64_t request_timeout_ms;                  /* controller.quorum.request.timeout.ms */
    int64_t retry_backoff_ms;                    /* controller.quorum.retry.backoff.ms */
    const struct controller_endpoint *endpoints; /* advertised CONTROLLER listeners */
    size_t endpoints_n;
    /* Which of a broker's listeners is dialled when it may be dead (inter.broker.listener.name);
     * NULL, or one that it does not have: its first. */
    const char *inter_broker_listener;
    int64_t session_timeout_ms;         /* broker.session.timeout.ms */
    int64_t election_timeout_ms;        /* controller.raft.election.timeout.ms */
    int64_t heartbeat_ms;               /* controller.raft.heartbeat.interval.ms */
    int64_t idle_interval_ms;           /* metadata.max.idle.interval.ms; 0: no NoOp records */
    int64_t snapshot_bytes;             /* metadata.log.max.record.bytes.between.snapshots */
    int64_t snapshot_interval_ms;       /* metadata.log.max.snapshot.interval.ms; 0: never */
    int64_t segment_bytes;              /* metadata.log.segment.bytes */
    int64_t segment_ms;                 /* metadata.log.segment.ms */
    int64_t retention_bytes;            /* metadata.max.retention.bytes; -1: no limit */
    int64_t retention_ms;               /* metadata.max.retention.ms; -1: no limit */
    int32_t num_partitions;             /* num.partitions */
    int16_t default_replication_factor; /* default.replication.factor */
    int32_t min_insync_replicas;        /* min.insync.replicas of the file: for the ELR record */
    bool unclean_leader_election;       /* unclean.leader.election.enable */
    int64_t unclean_interval_ms;        /* unclean.leader.election.interval.ms */
    bool auto_leader_rebalance;         /* auto.leader.rebalance.enable */
    int64_t imbalance_interval_ms;      /* leader.imbalance.check.interval.seconds */
    const struct config_validator *validator; /* kept, not copied */
    /* The node must end: called once, on the controller's shard. */
    void (*on_fatal)(void *user, const char *sentence);
    /* Another controller is the active one from now on, or this node is (-1: nobody known). May be
     * NULL. */
    void (*on_leader)(void *user, int32_t leader_id);
    void *user;
};

/* Kafka's defaults for all that has one. */
void controller_config_init(struct controller_config *cfg);

/* Opens (or makes) the log, recovers, starts the quorum. Blocks on the disk; call it in the start
 * hook of the shard or before its first turn. */
int controller_start(struct shard *sh, const struct controller_config *cfg, struct controller **out,
                     struct errmsg *em);
/* cb (may be NULL) runs from a later turn; then c is freed. */
void controller_stop(struct controller *c, void (*cb)(void *user), void *user);
/* Frees everything at once and writes nothing more, as if the process had died (a node that is
 * freed without a stop: the simulator's crash). Callbacks of calls that were open do not come. On
 * the controller's shard, after its last turn; its connections are closed already. */
void controller_crash(struct controller *c);

/* A request frame (header and body, no length). reply is called exactly once, now or later, on the
 * controller's shard, with the response frame (header and body, no length; the callee takes the
 * bytes out of the buf or leaves them to be freed), or with err: ERR_UNSUPPORTED, ERR_CORRUPT or
 * ERR_TRUNCATED for what gets the connection closed, ERR_CANCELED when the controller stops. */
typedef void controller_reply_cb(void *user, int err, struct buf *response);
void controller_handle(struct controller *c, struct bytes frame, controller_reply_cb *cb,
                       void *user);

/* The CONTROLLER listener: the node opens the socket (io_listen), accepts on the controller's shard
 * and makes connections with these (conn_open(sh, handle, &controller_conn_ops, limits, &c)). c is
 * NULL from the moment that the controller is gone: its connections may end a little later. */
extern const struct conn_ops controller_conn_ops;

/* For metrics and logs. */
struct controller_status {
    int32_t leader_id; /* -1 unknown */
    int32_t epoch;
    int64_t committed_offset; /* high watermark: next offset after the last committed record */
    int64_t log_start_offset;
    int64_t log_end_offset;
    size_t voters;        /* of the quorum; 0: this node is none of them */
    bool active;          /* this node leads and has committed in its own term */
    uint64_t activations; /* times that it became so */
    uint64_t elections;   /* leaders of partitions that it chose; 0 on a node that never led */
    uint64_t unclean_elections; /* of them, outside of the in-sync set and the ELR */
    int64_t now_us;             /* of the clock of `flushes` */
    struct disk_time flushes;   /* of the metadata log; nothing without a part in the quorum */
};
void controller_status(const struct controller *c, struct controller_status *out);
/* It leads and serves, or has a leader and what that had committed. False: why has a sentence. */
bool controller_is_ready(const struct controller *c, struct errmsg *why);
/* What the active controller knows of the others, for people who ask why; nothing on any other. */
struct controller_voter_view {
    int32_t id;
    int64_t behind;       /* records that it has not acknowledged */
    int64_t silent_ms;    /* since it answered; -1 unknown */
    int64_t caught_up_ms; /* since it had all; -1 unknown */
};
struct controller_broker_view { /* registered, in the newest committed image */
    int32_t id;
    bool fenced;
    bool leaving;
    int64_t silent_ms; /* since it was heard of; -1: it was not, by this controller */
    int64_t behind;    /* records of metadata that it has not applied; -1 unknown */
};
void controller_each_voter(const struct controller *c,
                           void (*fn)(const struct controller_voter_view *v, void *user),
                           void *user);
void controller_each_broker(const struct controller *c,
                            void (*fn)(const struct controller_broker_view *v, void *user),
                            void *user);
/* The newest committed image; no new reference. */
struct image *controller_image(const struct controller *c);

#endif
