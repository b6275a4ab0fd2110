/* Moves of this broker's replicas from one of its log directories to another (AlterReplicaLogDirs;
 * KIP-113, KIP-858).
 *
 *     asked -> T-N.HEX-future is made in the other directory, its numbers go into the checkpoints
 *       -> copied from the partition's log, batch by batch, throttled (dir_move_copy.c)
 *       -> caught up: the controller is told the new directory (dir_assign.h), and the metadata has
 *          it before anything else happens
 *       -> flushed; for the last moment the partition is held: it takes no appends
 *       -> promoted: the future log has its final name, durably (storage/log.h)
 *       -> it is the partition's log; the old one is deleted
 *
 * The partition's log stays the one that everybody reads and writes until the promotion is over. It
 * may be cut, rolled, shortened from the front meanwhile: the future log is cut by leader epochs
 * and follows the start.
 *
 * What was flushed of the old log is flushed of the new one before the old one goes: a loss of
 * power loses nothing by a move. A crash leaves at each step one log under the partition's name, or
 * two when the promotion was over: then the metadata names the right one (partition_open.c). A
 * future log that is found at the start goes on being filled.
 *
 * Failure modes: no space on the new disk: tried again every second. Its directory fails: the move
 * ends, the controller hears the old directory again, and the next start goes on with the move. The
 * old directory fails: the partition is offline, as without a move. A record that cannot be read:
 * said, and tried again.
 *
 * A directory that fails during the promotion may have the final name at the next start, when the
 * metadata may still name it: the partition stays held until the metadata names the old one.
 *
 * A directory that is asked for while the promotion of another one is under way is the next move.
 * For replicas that are not here yet see dir_wanted.h.
 *
 * Shard: home shard of the partition. */
#ifndef BROKER_DIR_MOVE_H
#define BROKER_DIR_MOVE_H

#include "broker/node.h"

struct partition;
struct plog;
struct dir_move;
struct dir_moves; /* those of a shard */

struct dir_moves *dir_moves_new(struct node_shard *ns);
void dir_moves_stop(struct dir_moves *ms); /* nothing new begins: what is under way ends */
bool dir_moves_busy(const struct dir_moves *ms);
/* Closes the future logs that are open. */
void dir_moves_free(struct dir_moves *ms);

/* The replica is to lie in that directory, which is online. 0 or a wire code. */
int16_t dir_move_ask(struct partition *p, unsigned dir);
/* The start: goes on with a future log that was found. */
void dir_move_resume(struct partition *p, struct plog *future);
/* The future log's own retention, beside that of the partition's log. */
void dir_move_retain(struct partition *p);
/* Something has changed that a move may wait for: the log, its start, the metadata. */
void dir_move_look(struct dir_move *m);
/* The partition's log was cut from behind: the future log may have what it has not any more. */
void dir_move_was_cut(struct dir_move *m);
/* The partition goes away, or stops: with its future log. */
void dir_move_drop(struct partition *p);
/* A log directory failed: the partition's or the future log's. */
void dir_move_dir_failed(struct partition *p, unsigned dir);

/* How far p's move is; it has one. */
struct dir_move_view {
    unsigned to;         /* index of the directory */
    int64_t ms;          /* it has been moving for, in this run */
    uint64_t bytes_done; /* of the future log ... */
    uint64_t bytes;      /* ... and of the log it is made from */
    const char *state;   /* a clause: what it does or waits for */
};
struct dir_move_view dir_move_view(const struct partition *p);

/* The future log; NULL: no move. Its directory is plog_dir_index. */
struct plog *dir_move_log(const struct partition *p);

#endif
