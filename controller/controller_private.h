/* The inside of a controller, for controller*.c only.
 *
 *   controller.c           start, stop, the quorum's callbacks, what is due by time
 *   controller_tasks.c     what the active controller decides by time, and by parts
 *   controller_image.c     the images: committed, and with all that was appended
 *   controller_elections.c what became of leaders: counted, and told in the log
 *   controller_request.c   frames in, answers out; the table of APIs
 *   controller_fetch.c     Fetch and FetchSnapshot of the log, observers
 *   controller_voters.c    DescribeQuorum, the registration of controllers
 *   controller_observe.c   the log by Fetch, for one that is no voter
 *   controller_notes.c     what the log says of requests that are refused
 *   controller_describe.c  ApiVersions, DescribeCluster, DescribeConfigs
 *   controller_snapshot.c  snapshots, a piece at a time
 *   controller_conn.c      the CONTROLLER listener's connections
 *   peers.c                what the voters say to each other
 *
 * Life: start -> (leader, not serving yet) -> active <-> not leading -> stopping -> freed. */
#ifndef CONTROLLER_CONTROLLER_PRIVATE_H
#define CONTROLLER_CONTROLLER_PRIVATE_H

#include "base/arena.h"
#include "base/list.h"
#include "base/prng.h"
#include "controller/channel.h"
#include "controller/broker_probe.h"
#include "controller/controller.h"
#include "controller/decide.h"
#include "controller/loader.h"
#include "controller/metadata_follower.h"
#include "controller/observers.h"
#include "controller/peers.h"
#include "controller/quorum.h"
#include "controller/sessions.h"

/* A version of the image that is appended and not committed yet. */
struct appended {
    struct list node; /* in controller->appended, oldest first */
    int64_t end;      /* offset behind its records */
    struct image *image;
};

enum { CONTROLLER_REFUSALS = 5 }; /* reasons why a broker's registration is refused */

/* Requests that a broker of a stale epoch is refused. */
enum controller_stale {
    STALE_HEARTBEAT,
    STALE_ALTER,
    STALE_ASSIGN,
    STALE_PRODUCER_IDS,
    CONTROLLER_STALE
};

struct controller_notes {                          /* limits of the lines of controller_notes.c */
    struct log_limit refused[CONTROLLER_REFUSALS]; /* registrations of brokers, by reason */
    struct log_limit twins;                        /* registrations of controllers */
    struct log_limit stale[CONTROLLER_STALE];
    struct log_limit alter;
    struct log_limit foreign;
    struct log_limit doubles;
};

struct snapshot_job; /* controller_snapshot.c */

struct elections_told { /* in the log, of the present second (controller_elections.c) */
    int64_t since_ms;
    uint32_t named;      /* partitions that have lines of their own */
    uint32_t leaderless; /* those that have none, as the next three */
    uint32_t led_again;
    uint32_t unclean;
    uint32_t left_full; /* leaders that others have replaced, as their disks are full */
};

struct controller {
    struct shard *shard;
    struct io *io;
    const struct logger *log;
    struct controller_config cfg; /* its strings and arrays are in mem */
    struct arena mem;
    struct uuid incarnation;   /* of this run */
    struct metadata_log *mlog; /* of a voter, as quorum, peers and loader */
    struct quorum *quorum;
    struct peers *peers;
    struct metadata_follower *follower; /* of one that is no voter */
    int32_t observed_leader;            /* as it says; -1 unknown */
    int32_t observed_epoch;
    struct channel *to_active; /* a voter's: for its registration; NULL: not needed yet */
    struct channel_call register_call;
    struct buf register_body;
    struct log_limit register_limit;
    int64_t register_ms;   /* not before: it was refused */
    struct loader *loader; /* reads the committed log while this node is not active */
    struct image *committed;
    struct image *newest; /* while active: with all that was appended */
    int64_t committed_offset;
    struct list appended; /* struct appended */
    struct list early;    /* requests that came before this leader may serve */
    struct list waiting;  /* requests whose answers wait for a commit, by offset */
    struct list polls;    /* Fetch requests that wait for records */
    struct sessions sessions;
    struct prng rng;
    struct observers observers;
    struct timer tick;
    struct broker_probe *probe;
    int32_t dead_broker; /* of the decision that is being made */
    int64_t dead_epoch;
    struct timer work;         /* sessions.more: the next step */
    int64_t preferred_ms;      /* when preferred leaders are looked at next */
    int64_t leaderless_ms;     /* and partitions without a leader */
    int64_t appended_ms;       /* monotonic time of the last append */
    int64_t noted_ms;          /* of the last metadata_log_note_durable */
    int64_t snapshot_ms;       /* of the last snapshot, or of the start */
    uint64_t snapshot_size;    /* of the log then */
    int64_t snapshot_retry_ms; /* not before: the disk was full */
    struct snapshot_job *snapshot;
    struct log_limit limit;
    struct controller_notes notes;
    struct log_limit strangers; /* messages of voters that this one knows nothing of */
    uint64_t activations, elections, unclean_elections; /* for controller_status */
    struct elections_told told;
    bool active;
    bool followed; /* another voter has led while this node ran */
    bool failed;   /* on_fatal was called */
    bool stopping;
    bool handed_over;      /* stopping: another voter was asked to lead */
    int64_t stop_until_ms; /* stopping: not longer for other voters' sake */
    void (*stopped_cb)(void *user);
    void *stopped_user;
};

/* ---- controller.c ---- */

void controller_fail(struct controller *c, const char *sentence);
/* The active controller, as far as the quorum knows this very moment: it knows that another one
 * leads before this one is told that it does not (on_lost). What does not hold here must not be
 * answered from the image, not even when nothing is to be written. */
bool controller_serves(const struct controller *c);
/* The active controller as far as this one knows, -1 unknown, and its epoch. */
int32_t controller_leader(const struct controller *c);
int32_t controller_epoch(const struct controller *c);
/* One decision that the controller makes by itself. */
void controller_append_own(struct controller *c,
                           void (*decide)(struct controller *c, struct decision *d));

/* ---- controller_tasks.c ---- */

void controller_tasks_init(struct controller *c);
void controller_tasks_lead(struct controller *c); /* it leads from now on */
void controller_tasks_tick(struct controller *c); /* while active */
/* After a decision: what it left to do is done from the next turn on. */
void controller_tasks_more(struct controller *c);
void controller_tasks_stop(struct controller *c);
void controller_tasks_free(struct controller *c);

/* ---- controller_image.c ---- */

/* Reads the newest snapshot. */
int controller_load(struct controller *c, struct errmsg *em);
/* Feeds the loader with what is committed up to offset. False: it failed. */
bool controller_feed(struct controller *c, int64_t offset);
/* What the loader has become since, if anything, is what is committed. */
void controller_take_published(struct controller *c, struct loader *from);
/* Begins to build on what is committed. */
void controller_image_lead(struct controller *c);
/* Forgets what is not committed. */
void controller_image_lost(struct controller *c);
/* While active: all below offset is committed. */
void controller_image_commit(struct controller *c, int64_t offset);
/* Appends what the decision left, and applies it to the newest image. 0; ERR_NOTLEADER, ERR_TOOBIG:
 * nothing (or, of a splittable one, a first part) was appended. */
int controller_append(struct controller *c, struct decision *d, struct errmsg *em);
/* A decision on the newest image, outside of a request; controller_append, decision_free and
 * arena_free follow. */
void controller_decision(struct controller *c, struct decision *d, struct arena *a);

/* ---- controller_elections.c ---- */

/* What was appended: delta leads to the newest image. */
void controller_elections(struct controller *c, const struct image_delta *delta);
void controller_elections_lead(struct controller *c); /* it leads from now on */
void controller_elections_tick(struct controller *c); /* while active */

/* ---- controller_request.c ---- */

struct controller_request;

struct controller_api {
    int16_t key;
    bool active_only; /* refused unless this node is active */
    size_t request_size;
    size_t response_size;
    /* One of the two. run answers by itself, now or later. */
    void (*decide)(struct decision *d, int16_t version, const void *request, void *response);
    void (*run)(struct controller_request *r);
    /* Puts an error into the response's places for one. */
    void (*refuse)(struct arena *a, int16_t version, const void *request, void *response,
                   int16_t code);
    int32_t (*timeout_of)(const void *request); /* how long the client waits; may be NULL */
};
extern const struct controller_api controller_apis[];
extern const size_t controller_apis_n;

struct controller_request {
    struct list node;
    struct controller *c;
    controller_reply_cb *cb;
    void *user;
    struct arena arena; /* the frame's copy, the decoded request, the response */
    const struct controller_api *api;
    struct proto_request_header hdr;
    void *body;
    void *response;
    bool enveloped;
    int32_t outer_correlation; /* of the envelope */
    struct buf frame;          /* the response's frame, once it is made */
    int64_t end;               /* the answer waits until all below is committed */
    struct timer timer;        /* of a poll */
};

/* Answers with r->response and frees r. */
void controller_answer(struct controller_request *r);
/* Answers with an error in place of the response, and frees r. */
void controller_refuse(struct controller_request *r, int16_t code);
/* The connection is to be closed instead of an answer. */
void controller_give_up(struct controller_request *r, int err);
void controller_request_free(struct controller_request *r);
void controller_run_early(struct controller *c);
/* Answers those whose offset is committed. */
void controller_release(struct controller *c);
/* All of a list are refused. */
void controller_refuse_all(struct list *requests, int16_t code);

/* ---- controller_fetch.c ---- */

void controller_fetch(struct controller_request *r);
void controller_fetch_refuse(struct arena *a, int16_t version, const void *request, void *response,
                             int16_t code);
void controller_fetch_snapshot(struct controller_request *r);
/* Polls whose records are there, or all. */
void controller_wake_polls(struct controller *c, bool all);
/* Whoever waits for the answer to a poll is gone (user of controller_handle). */
void controller_poll_cancel(struct controller *c, const void *user);

/* ---- controller_notes.c ---- */

/* After a decision. */
void controller_note_refusal(const struct controller_request *r);
/* A fetch with the id of another cluster; what: "fetch". */
void controller_note_foreign(struct controller *c, const char *what, int32_t node,
                             struct bytes cluster_id);
/* Who fetches, with the directory that it names: is it who it says? */
void controller_note_follower(struct controller *c, int32_t node, struct uuid directory);

/* ---- controller_describe.c ---- */

void controller_api_versions(struct controller_request *r);
/* A version of ApiVersions that is not known: answered in version 0. */
void controller_api_versions_unsupported(struct controller_request *r);
void controller_describe_cluster(struct controller_request *r);
void controller_describe_configs(struct controller_request *r);

/* ---- controller_voters.c ---- */

void controller_describe_quorum(struct controller_request *r);
/* Another controller is the active one: asks it to register this one, if that is still to be done.
 */
void controller_register(struct controller *c);
void controller_register_end(struct controller *c);

/* ---- controller_observe.c ---- */

void controller_observe(struct controller *c); /* in place of the log and the quorum */
void controller_observe_stop(struct controller *c);

/* ---- controller_snapshot.c ---- */

/* After a commit: begins a snapshot if one is due. */
void controller_snapshot_check(struct controller *c);
void controller_snapshot_abandon(struct controller *c);

#endif
