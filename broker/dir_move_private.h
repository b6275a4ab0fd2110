/* What dir_move.c (the steps) and dir_move_copy.c (the copying) share. Nobody else includes it. */
#ifndef BROKER_DIR_MOVE_PRIVATE_H
#define BROKER_DIR_MOVE_PRIVATE_H

#include "broker/checkpoints.h"
#include "broker/dir_move.h"
#include "broker/partition_manager.h"
#include "broker/replica/rate_account.h"
#include "storage/log.h"

/* A piece of the partition's log that comes from the disk, read by a worker. */
struct move_read {
    struct io_op op;
    struct plog_range range;
    uint8_t *data;
};

struct dir_move {
    struct dir_moves *ms;
    struct partition *part;          /* NULL: given up; only what is under way keeps it */
    struct plog *log;                /* the future log; NULL: gone */
    struct topic_settings *settings; /* a reference once it is given up: its log uses them still */
    struct list node;                /* in ms->all */
    struct list due;                 /* in ms->due: looked at at the end of the turn */
    struct list throttled;           /* in ms->throttled: waits for its share */
    struct timer again;              /* while it waits after something that failed for now */
    bool busy;                       /* an operation is under way: one of those below */
    bool promoting;
    bool compared;   /* since the partition's log was cut: the future log is a front part of it */
    bool settled;    /* no checkpoint says more of the future log than there is */
    bool preflushed; /* it was flushed once when it had caught up */
    bool saved;      /* and the checkpoints had its numbers */
    bool reported;   /* the controller was told of its directory */
    bool no_space;   /* said */
    bool failed;     /* its log directory did: it ends */
    int64_t began_ms;
    int next_dir; /* asked for while it was promoted; -1: none */
    struct checkpoint_ask ask;
    struct plog_flush flush;
    struct plog_promotion promotion;
    struct move_read read;
};

struct dir_moves {
    struct node_shard *ns;
    struct list all;
    struct list due;
    struct list throttled;
    struct task task;
    struct timer next_turn; /* there is more to copy than one turn takes */
    uint64_t left;          /* bytes that this turn may still copy */
    struct rate_account account;
    struct rate_window moved; /* main's: of all shards */
    struct log_limit limit;
    bool running;
    bool stopped;
};

static inline const struct logger *move_logger(const struct dir_move *m)
{
    return m->ms->ns->node->log;
}
/* A call of one of the two logs failed: tried again, or the directory's failure ends the move. */
void move_failed(struct dir_move *m, int err, const char *what);
void move_later(struct dir_move *m); /* a second */
/* Its operation is home. False: it was given up meanwhile, and m may be gone. */
bool move_home(struct dir_move *m);

/* dir_move_copy.c. Each: false, the move has to wait; what for is arranged. */
bool move_compare(struct dir_move *m); /* the future log is cut to what the two have in common */
bool move_marks(struct dir_move *m);   /* high watermark and start follow */
/* Until the future log has all of the partition's log. */
bool move_copy(struct dir_move *m);

#endif
