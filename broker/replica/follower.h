/* What a follower does next with one partition, and what an answer of its leader means. Pure: the
 * owner (fetcher.h) has the log and the connection. docs/replication.md has the rules.
 *
 *     FETCHING --answer--> append, FETCHING
 *        |--diverging epoch--> cut (follower_cut_offset), FETCHING
 *        |--OFFSET_OUT_OF_RANGE--> ASKING for the leader's start and end -> cut or anew, FETCHING
 *        |--an error of the leader's, or no room--> WAITING until a time, FETCHING
 *        |--our log failed--> FAILED: out until the metadata changes
 *
 * Errors that only say that one of the two has older metadata are tried again soon, and later each
 * time: a new leader and its followers learn of the election within milliseconds of each other.
 *
 * Shard: home shard of the partition. Times: ms of the monotonic clock. */
#ifndef BROKER_REPLICA_FOLLOWER_H
#define BROKER_REPLICA_FOLLOWER_H

#include <stdbool.h>
#include <stdint.h>

enum follower_phase { FOLLOWER_FETCHING, FOLLOWER_ASKING, FOLLOWER_WAITING, FOLLOWER_FAILED };

struct follower {
    enum follower_phase phase;
    int32_t leader;
    int32_t leader_epoch;
    unsigned tries;        /* errors of the leader's in a row */
    int64_t not_before_ms; /* WAITING */
};

/* The log as the follower has it. */
struct follower_log {
    int64_t start;
    int64_t end; /* the offset that is fetched next */
    int64_t high_watermark;
    int32_t last_epoch; /* of its last record; -1 none */
};

enum follower_action {
    FOLLOWER_APPEND, /* the records (maybe none), then high watermark and start */
    FOLLOWER_CUT,    /* truncate by epoch: follower_cut_offset */
    FOLLOWER_ASK,    /* the leader's start and end (ListOffsets -2 and -1 with the epoch) */
    FOLLOWER_LATER,  /* nothing now: waits */
};

/* A new leader or epoch. */
void follower_begin(struct follower *f, int32_t leader, int32_t leader_epoch);
/* Is a fetch to be sent now? */
bool follower_wants(const struct follower *f, int64_t now_ms);

/* One partition of a Fetch answer. asked_epoch and asked_offset: as the fetch was sent; an answer
 * to an older epoch's fetch, or one that our log has moved away from, means nothing (FOLLOWER_LATER
 * without a wait). */
enum follower_action follower_answer(struct follower *f, const struct follower_log *log,
                                     int32_t asked_epoch, int64_t asked_offset, int16_t error,
                                     int32_t diverging_epoch, int64_t now_ms, int64_t backoff_ms);

/* The same for an answer to FOLLOWER_ASK that is an error. */
void follower_ask_failed(struct follower *f, int16_t error, int64_t now_ms, int64_t backoff_ms);
/* An answer that does not hold together, or a log that refuses for now: a whole backoff. */
void follower_wait(struct follower *f, int64_t now_ms, int64_t backoff_ms);
/* Our log is offline. */
void follower_fail(struct follower *f);

/* How long to wait after the tries-th error in a row of the kind that passes soon. */
int64_t follower_backoff(unsigned tries, int64_t backoff_ms);

/* Where to cut: leader_end is the end of diverging_epoch in the leader's log, own_end the end of
 * the largest epoch of ours at or below it (own_epoch, -1: none). Never below the log's start. */
int64_t follower_cut_offset(const struct follower_log *log, int64_t leader_end, int32_t own_epoch,
                            int64_t own_end);

/* After FOLLOWER_ASK: what becomes of the log. */
enum follower_reset { FOLLOWER_RESET_CUT, FOLLOWER_RESET_ANEW, FOLLOWER_RESET_NOTHING };
/* leader_end below our end: cut to it (an unclean election); our end below leader_start: begin anew
 * at leader_start. *offset says where. Else the range was right meanwhile: fetch again, later each
 * time. */
enum follower_reset follower_reset(struct follower *f, const struct follower_log *log,
                                   int64_t leader_start, int64_t leader_end, int64_t now_ms,
                                   int64_t backoff_ms, int64_t *offset);

/* The high watermark after an answer. It never goes back: what was committed stays so, though a new
 * leader may not know yet. */
int64_t follower_high_watermark(const struct follower_log *log, int64_t leader_hw);
/* The log start after an answer, once the high watermark is `hw`. */
int64_t follower_log_start(const struct follower_log *log, int64_t leader_start, int64_t hw);

#endif
