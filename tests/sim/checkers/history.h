/* What clients were told and have seen, and what a node must therefore still say.
 *
 * Every record that a client sends carries a number of its own and bytes derived from it, so that
 * any record that is read anywhere tells which one it is and whether it is whole.
 *
 * Promises checked:
 *   - an offset keeps its record: what was acknowledged or read there is there at every later look;
 *   - a record is at one offset at most (each number is sent once, or by an idempotent producer;
 *     history.c has the one exception);
 *   - after a kill everything acknowledged or read is there; after a power loss everything that was
 *     flushed before it was acknowledged, and of the rest a prefix: nothing in front of what
 * remains has changed (history_may_lose);
 *   - records of one stream (a connection's, or an idempotent producer's) stand in the order in
 *     which they were sent;
 *   - a log starts no later than clients asked for, and ends no earlier than they know;
 *   - nothing is read that was never sent.
 * In a cluster the start of a log may go back with a new leader, and no record is known by an
 * answer to acks=1: those answers do not come here. */
#ifndef SIM_HISTORY_H
#define SIM_HISTORY_H

#include "base/bytes.h"
#include "sim/run.h"

enum { HISTORY_PARTS_MAX = 32 };

struct hist_record {
    uint32_t part;
    uint32_t stream;
    int64_t offset; /* -1: not known to be anywhere */
    bool acked;
    bool lost; /* it was somewhere, and a power loss took it */
    bool anew; /* it was deleted before it was acknowledged, and stands once more */
};

struct hist_part {
    bool used;
    char name[40]; /* for messages */
    bool flushed;  /* acknowledged means flushed (flush.messages=1) */
    uint64_t *at;  /* record number + 1 by offset; 0: unknown */
    size_t cap;
    int64_t end;       /* offsets below are known to exist */
    int64_t durable;   /* below: must survive a power loss */
    int64_t start;     /* the log's start as last told */
    int64_t start_max; /* the most that was ever asked for */
    bool unclean;      /* anything may be lost, at any time */
    bool may_lose;     /* since the last scan the disk may have lost what was not flushed */
    bool on_platters;  /* what the next scan finds, below recovered */
    int64_t recovered; /* where the log ended when the node ran again */
    bool may_unstart;  /* since then the start may have gone back: it is not flushed at once */
    /* of a scan */
    int64_t scan_at;
    uint64_t scan_read;
};

struct history {
    struct run *r;
    bool many; /* of a cluster: nodes fall and return while clients work */
    struct hist_record *records;
    uint64_t n;
    uint64_t cap;
    struct hist_part parts[HISTORY_PARTS_MAX];
    uint64_t acked;
    uint64_t read;
    uint64_t lost; /* by power losses, in order */
};

void history_init(struct history *h, struct run *r);
void history_free(struct history *h);
/* A partition to be watched; its number. */
uint32_t history_part(struct history *h, const char *name, bool flushed);

/* The next record's number; its value is written to out (the size is drawn, at least 16). */
uint64_t history_send(struct history *h, uint32_t part, uint32_t stream, struct buf *out,
                      size_t size);
/* The number in a record that was read; fails the run if it is not one of ours, whole. */
uint64_t history_number(struct history *h, struct bytes value);

/* The answer to a Produce: the records first..first+n-1 stand from base on. */
void history_acked(struct history *h, uint32_t part, uint64_t first, uint32_t n, int64_t base);
/* A record was read; start_then: the log's start as it was known when the call was made. */
void history_seen(struct history *h, uint32_t part, int64_t offset, struct bytes value,
                  int64_t start_then);
/* DeleteRecords: asked for, and answered. */
void history_delete_asked(struct history *h, uint32_t part, int64_t before);
void history_delete_done(struct history *h, uint32_t part, int64_t low_watermark);

void history_killed(struct history *h);
/* Power was lost (what is there then is on the platters), or a disk error made the cache
 * unreliable. */
void history_may_lose(struct history *h, bool power_loss);
/* The same of one partition: more copies than may be were lost at once. In a cluster it shows at
 * any time from now on, until the next scan. */
void history_part_may_lose(struct history *h, uint32_t part);
/* The node runs after a loss, and no client has been heard yet: the partition's log ends here. */
void history_recovered(struct history *h, const char *name, int64_t end);
/* From now on, or no longer, any loss is allowed, of what was flushed too. */
void history_part_unclean(struct history *h, uint32_t part, bool on);
/* The high watermark, or the end offset, as a client was told: offsets below exist. */
void history_end_told(struct history *h, uint32_t part, int64_t end);

/* A look at the whole partition while nobody writes: begin, every record, end. */
void history_scan_begin(struct history *h, uint32_t part, int64_t start);
void history_scan_record(struct history *h, uint32_t part, int64_t offset, struct bytes value);
void history_scan_end(struct history *h, uint32_t part, int64_t end);

#endif
