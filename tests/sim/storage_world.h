/* A process that keeps a few partition logs, without a broker: what the storage scenario starts,
 * stops, kills and looks at. It does for the logs what a broker does: reads and writes the
 * checkpoints, calls the store's tick, moves the high watermark. */
#ifndef SIM_STORAGE_WORLD_H
#define SIM_STORAGE_WORLD_H

#include "sim/checkers/log_model.h"
#include "sim/run.h"
#include "storage/log.h"
#include "storage/log_dir.h"

enum { SW_PARTS_MAX = 3, SW_PRODUCERS = 3, SW_FLUSHES = 4 };

struct sw;

struct sw_producer {
    int64_t id;
    int16_t epoch;
    int32_t next; /* sequence */
};

struct sw_flush {
    struct plog_flush f;
    struct sw *sw;
    struct sw_part *part;
    int64_t end;   /* of the log when it was asked for */
    uint64_t cuts; /* of the part then: a flush from before a cut tells nothing */
    bool in_flight;
};

struct sw_part {
    char name[24];
    int32_t partition;
    struct plog *log; /* NULL while the process is down */
    struct log_config config;
    struct log_model model;
    struct uuid topic_id;
    bool created; /* plog_create said so, or the log was there at the last start */
    int32_t epoch;
    int64_t start_max; /* the log starts there or before */
    int64_t required;  /* what the next start must find */
    bool must_exist;   /* the next start must find the folder */
    bool open_end;     /* a call that may take the log anywhere was under way */
    int64_t cut_to;    /* it may have begun anew there; -1 not */
    uint64_t cuts;
    int64_t sure_from; /* what was appended from here on was so by this process, without a cut */
    struct sw_producer producers[SW_PRODUCERS];
    struct sw_flush flushes[SW_FLUSHES];
};

enum sw_end { SW_KILL, SW_POWER };

struct sw {
    struct run *r;
    struct sim_host *host;
    struct sim_proc *proc; /* NULL: down */
    struct io *io;
    struct log_store store;
    struct log_dir *dir;
    struct sw_part parts[SW_PARTS_MAX];
    unsigned parts_n;
    int64_t tick_at_ms;
    bool offline;         /* the log directory failed */
    bool points_stale;    /* a log ends before its recovery point in the checkpoint */
    bool disk_lost_bytes; /* an fsync failed: the cache may forget what was not flushed */
    bool clean;           /* the last stop was orderly and whole */
    bool after_power_loss;
    uint64_t trouble; /* faults that had struck when this start began */
    /* for the functions that run inside the process */
    int result;
    struct errmsg em;
    struct sw_part *part;
};

void sw_init(struct sw *w, struct run *r);
void sw_free(struct sw *w);
/* Starts the process, opens all logs and checks them. die_in: it may die on the way (0: not).
 * False: it died, or could not open because of faults: end it with sw_end. */
bool sw_start(struct sw *w, uint64_t die_in);
/* Runs fn in the process; false: it died. */
bool sw_within(struct sw *w, void (*fn)(struct sw *w));
/* Time passes, callbacks run. False: it died. */
bool sw_turns(struct sw *w, int64_t us);
/* The process has died, or dies now. */
void sw_end(struct sw *w, enum sw_end how);
/* An orderly stop. False: it died on the way. */
bool sw_stop(struct sw *w);
/* Writes the three checkpoints, as a broker does now and then. Runs inside the process. */
void sw_checkpoint(struct sw *w);
/* The log's bytes from its start to its end; the caller frees. ERR_IO and ERR_OFFLINE pass. */
int sw_read_all(struct sw *w, struct sw_part *p, struct buf *out);
/* Sequences of the part's producers, from what the log holds. */
void sw_producers_from_model(struct sw_part *p);

#endif
