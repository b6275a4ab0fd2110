/* Offsets of partitions: what the tools keep of one, and ListOffsets to the leaders. */
#ifndef TOOLS_OFFSETS_H
#define TOOLS_OFFSETS_H

#include "tools/client.h"

struct part_offset {
    struct bytes topic;
    int32_t partition;
    int32_t leader; /* of client_metadata, -1: none */
    int32_t epoch;  /* leader epoch that goes with the offset, -1: none */
    int64_t offset; /* -1: none */
    int16_t error;  /* wire code */
};

int part_offset_cmp(const void *a, const void *b); /* by topic, then partition */
/* Among n that are sorted; NULL: not there. */
struct part_offset *part_offset_find(struct part_offset *v, size_t n, struct bytes topic,
                                     int32_t partition);
/* The topic in c->metadata (client_metadata must have been asked); NULL: not there. */
const struct metadata_response_metadata_response_topic *topic_in_metadata(const struct client *c,
                                                                          struct bytes topic);
/* Sets leader of each from c->metadata: error is LEADER_NOT_AVAILABLE or UNKNOWN_TOPIC_OR_PARTITION
 * where there is none, else 0. */
void part_offsets_leaders(const struct client *c, struct part_offset *v, size_t n);
/* Asks each leader for the offsets at time (-1 latest, -2 earliest, ...) of those of v, which is
 * sorted, that have one; sets offset, epoch and error. 0, or ERR_x with a sentence in c->error. */
int part_offsets_ask(struct client *c, int64_t time, struct part_offset *v, size_t n);

#endif
