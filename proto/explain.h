/* An extension of Millrace to DescribeGroups: why a group is as it is. A request whose tag section
 * has EXPLAIN_TAG (whatever its value) gets in each described group a tagged field of that number,
 * whose value is what last happened to the group, oldest first:
 *
 *     unsigned varint   how many
 *     of each           int64 milliseconds since 1970, compact string (a plain sentence)
 *
 * Only flexible versions (5 and up) have tags. Nobody else is told: to a client that does not ask,
 * and to one of Kafka's, the answer is Kafka's. The number lies where Kafka has none. */
#ifndef PROTO_EXPLAIN_H
#define PROTO_EXPLAIN_H

#include "proto/message.h"

enum { EXPLAIN_TAG = 10000, EXPLAIN_SINCE = 5 };

struct explain_line {
    int64_t wall_ms;
    struct bytes text;
};

/* Is the tag in this struct's section? Its value (may be NULL) goes to *value. */
bool explain_find(const struct proto_unknown *u, struct bytes *value);
/* The value, in the arena. */
struct bytes explain_encode(const struct explain_line *lines, uint32_t n, struct arena *a);
/* Texts point into value. ERR_TRUNCATED, ERR_CORRUPT: it is none of ours. */
int explain_decode(struct bytes value, struct arena *a, struct explain_line **lines, uint32_t *n);

#endif
