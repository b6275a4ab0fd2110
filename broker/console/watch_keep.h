/* What is kept of groups: their ids, members, committed offsets and assignments, as the answers of
 * DescribeGroups and OffsetFetch had them.
 *
 * It is bounded: KEEP_GROUPS_MAX groups, of each KEEP_PART_BYTES of members with what is assigned
 * to them and as many of offsets, of all together KEEP_BYTES, the last of them for groups
 * themselves. What does not fit is left out from some place of the answer on, and counted: whoever
 * shows the group says so.
 *
 * Pure: no I/O. */
#ifndef BROKER_CONSOLE_WATCH_KEEP_H
#define BROKER_CONSOLE_WATCH_KEEP_H

#include "broker/console/watch.h"
#include "proto_messages.h"

enum {
    KEEP_GROUPS_MAX = 2000,
    KEEP_PART_BYTES = 4 << 20,
    KEEP_BYTES = 64 << 20,
    KEEP_PARTS_BYTES = 56 << 20, /* no members and offsets beyond */
};

/* A group that is not there yet is made. NULL: there is no room for one more. */
struct watch_group *keep_group(struct watch *w, struct bytes id);
void keep_members(struct watch *w, struct watch_group *g,
                  const struct describe_groups_response_described_group *r);
void keep_offsets(struct watch *w, struct watch_group *g,
                  const struct offset_fetch_response_offset_fetch_response_group *r);
/* Takes it out of the watch and frees it. */
void keep_drop(struct watch *w, struct watch_group *g);
void keep_drop_all(struct watch *w);

#endif
