/* What the files of the fetchers share. Nobody else includes it. */
#ifndef BROKER_REPLICA_FETCHER_PRIVATE_H
#define BROKER_REPLICA_FETCHER_PRIVATE_H

#include "base/map.h"
#include "broker/partition.h"
#include "broker/replica/fetcher.h"
#include "broker/replica/follower.h"
#include "broker/replica/rate_window.h"
#include "controller/channel.h"

struct cut_ask;
struct throttle_call;
struct fetch_response_partition_data;

struct fetchers {
    struct node_shard *ns;
    struct list all;        /* struct fetcher */
    struct task task;       /* end of turn: send what there is to send */
    struct list due;        /* struct fetcher: for the task */
    struct list uncertain;  /* partition.uncertain: a checkpoint has to be asked for */
    struct list asked;      /* the same: it is asked for */
    uint64_t removed;       /* directories that lost a log: a checkpoint has to be asked for */
    uint64_t removed_asked; /* the same: it is asked for */
    uint64_t names;         /* of the logs that they lost: bits of hashes */
    uint64_t names_asked;
    struct cut_ask *ask; /* on its way; NULL: none */
    struct timer ask_again;
    struct list throttled;          /* replica_follow.throttle: those that the settings name */
    bool over_rate;                 /* throttled partitions are held back */
    struct timer throttle;          /* while they are: main is asked again */
    uint64_t throttled_bytes;       /* fetched, not told to main yet */
    struct throttle_call *counting; /* main is told; NULL: no */
    struct rate_window fetched;     /* main's: of all shards */
    struct log_limit limit;
    struct log_limit passing; /* of the leader's errors that may pass by themselves */
    bool stopped;
};

/* Offsets that the leader is asked for, one question for all partitions that need it. */
struct fetcher_question {
    struct channel_call call;
    struct buf body;
    int64_t timestamp; /* -1 its end, then -2 its start */
    struct list asked; /* replica_follow.ask */
};

struct fetcher {
    struct fetchers *fs;
    struct list node; /* in fs->all */
    struct list due;  /* in fs->due */
    int32_t leader;
    struct channel *channel; /* NULL: the leader's address is not known */
    struct channel_endpoint address;
    bool moved;           /* the address may be another one */
    struct list parts;    /* replica_follow.node */
    struct list changed;  /* replica_follow.change: the next Fetch has to say something of them */
    struct list waiting;  /* replica_follow.wait: to be looked at again at a time */
    struct list asking;   /* replica_follow.ask: offsets to be asked for */
    struct map forgotten; /* struct fetcher_gone: what the session has and should not */
    uint32_t in_session;
    int32_t session_id;
    int32_t session_epoch; /* of the next Fetch */
    int32_t stale_id;      /* of a session that the next full Fetch closes; 0: none */
    int64_t good_ms;       /* of the last good answer; or when it was made */
    int64_t sent_ms;       /* when the Fetch in flight, or the last one, was sent */
    int64_t hurried_ms;    /* when one was given up last so that a partition need not wait for it */
    bool hurry;            /* a partition with a new leader waits */
    unsigned tries;        /* connections or answers in a row that were no good */
    int64_t not_before_ms;
    struct channel_call call;
    struct buf body;
    struct fetcher_question question;
    struct timer timer; /* not_before_ms, or the first of waiting */
};

struct fetcher_gone {
    uint8_t key[PARTITION_KEY];
};

/* What the leader's session knows of a partition, and so what it will answer for. */
struct fetcher_named {
    int32_t epoch; /* -1: nothing that is still of use */
    int32_t last_epoch;
    int64_t offset;
    int64_t start;
};

struct replica_follow {
    struct follower core;
    struct partition *part;
    struct fetcher *fetcher;
    struct list node;
    struct list change;
    struct list wait;
    struct list ask;
    struct list throttle; /* in fetchers.throttled, or not */
    struct fetcher_named named;
    bool in_session;
    bool throttle_known; /* throttle is as the settings have it */
    bool asked;          /* it is in the question that is in flight */
    int64_t from; /* fetch from here on, though the empty log begins earlier; -1: from its end */
    int64_t leader_end; /* of the question */
    int64_t leader_hw;  /* as of the last answer; -1: none yet */
};

/* fetcher.c */
static inline int64_t fetchers_now(const struct fetchers *fs)
{
    return shard_now_ms(fs->ns->shard);
}
int64_t fetchers_backoff(const struct fetchers *fs); /* replica.fetch.backoff.ms */
void fetcher_due(struct fetcher *f);                 /* the end of this turn looks at it */
void follow_changed(struct replica_follow *fl);      /* the next Fetch has to look at it */
/* Its core waits: it is looked at again then. */
void follow_waits(struct replica_follow *fl);
/* May it be in a Fetch now? */
bool follow_ready(struct replica_follow *fl);
/* The log as the core sees it. ERR_x: the log failed, and with it the follow. */
int follow_log(struct replica_follow *fl, struct follower_log *out);
/* A call of the log failed: out, or tried again. */
void follow_log_error(struct replica_follow *fl, int err, const char *what);
/* The connection, or what came by it, is of no use: a new session, after a while. */
void fetcher_broken(struct fetcher *f, const char *why);

/* fetcher_send.c */
void fetcher_send(struct fetcher *f); /* if there is something to ask and nothing in flight */
void fetcher_end_session(struct fetcher *f);
void fetcher_forget(struct replica_follow *fl); /* it is in the session and is not to be */

/* fetcher_take.c */
void follow_take(struct replica_follow *fl, const struct fetch_response_partition_data *d);

/* fetcher_throttle.c */
bool follow_is_throttled(struct replica_follow *fl);
void follow_count(struct replica_follow *fl, uint64_t bytes); /* these were fetched */
void fetchers_forget_throttles(struct fetchers *fs);          /* settings have changed */
void fetchers_init_throttle(struct fetchers *fs);
void fetchers_drop_throttle(struct fetchers *fs);

/* fetcher_reset.c */
void fetcher_ask(struct fetcher *f); /* for those in asking, if no question is in flight */
void fetcher_drop_question(struct fetcher *f);
/* The log was made shorter; before that its recovery point was `recovery_point`. */
void follow_was_cut(struct replica_follow *fl, int64_t recovery_point);
void fetchers_init_checkpoint(struct fetchers *fs);
void fetchers_drop_checkpoint(struct fetchers *fs);

#endif
