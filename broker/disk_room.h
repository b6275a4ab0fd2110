/* Log directories whose disks are full: found by the data shards in what they write, known to main,
 * which tells the controller with the heartbeats; others lead then (controller/decide_room.c).
 *
 *     a write fails for want of space -> disk_room_report -> full: one line, a heartbeat at once
 *       -> no write failed for QUIET_MS and there is a good piece of free space: one line, a
 *          heartbeat at once
 *
 * Both conditions keep leaders from coming and going: replicas in the directory, which follow now,
 * go on trying (so do leaders that nobody can replace), and what a moment's deletion frees is not
 * enough. What counts is a write, not a number: a quota, or a want of inodes, shows in no number.
 *
 * Nothing else changes: logs are read, and written as far as there is room. A directory that fails
 * for good (offline) is not full any more.
 *
 * Shard: main, but for disk_room_report. */
#ifndef BROKER_DISK_ROOM_H
#define BROKER_DISK_ROOM_H

#include "broker/call.h"
#include "broker/node.h"

enum { DISK_ROOM_TELL_MS = 1000 }; /* a shard reports the same directory once in that time */

struct disk_room;

/* What a data shard tells: a call of its own, one at a time. */
struct disk_room_news {
    struct call call;
    struct node *node;
    uint64_t dirs; /* bit by index */
    bool out;
};

/* changed: other directories are full than before. */
struct disk_room *disk_room_new(struct node *n, void (*changed)(struct node *n));
void disk_room_free(struct disk_room *r);
/* Any data shard: writes have just failed for want of space in these directories (bits). The news
 * must not be out. */
void disk_room_report(struct node_shard *ns, struct disk_room_news *news, uint64_t dirs);
bool disk_room_is_full(const struct disk_room *r, unsigned dir);
/* For how long it is full; -1: it is not. r NULL: none is. */
int64_t disk_room_full_ms(const struct disk_room *r, unsigned dir);

#endif
