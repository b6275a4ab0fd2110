/* Kafka's JSON files of reassign-partitions and leader-election:
 *
 *     {"version":1,"partitions":[{"topic":"a","partition":0,"replicas":[1,2],
 *                                 "log_dirs":["any","/data/2"]}]}        what shall be where
 *     {"version":1,"topics":[{"topic":"a"}]}                             what --generate is for
 *     {"partitions":[{"topic":"a","partition":0}]}                       what elects
 *
 * version may be left out, log_dirs too. What is wrong is said with its place: the line and column
 * of what is no JSON, the path of what has another type than is wanted. Nothing is read in part:
 * errors are ERR_INVALID (of a file that cannot be read what tool_read_file has). What is read
 * lives in the arena. */
#ifndef TOOLS_REASSIGN_JSON_H
#define TOOLS_REASSIGN_JSON_H

#include <jansson.h>

#include "tools/reassignment.h"

enum reassign_kind {
    REASSIGN_MOVES,  /* partitions with replicas */
    REASSIGN_TOPICS, /* topics: sets of partition -1 */
    REASSIGN_NAMES,  /* partitions alone */
};

/* In the order of the file; twice the same stays. */
int reassign_json_parse(struct arena *a, struct bytes text, enum reassign_kind kind,
                        struct replica_sets *out, struct errmsg *em);
int reassign_json_read(struct arena *a, const char *path, enum reassign_kind kind,
                       struct replica_sets *out, struct errmsg *em);
/* Can this be asked for? Sorts; refuses the empty list, a partition twice, no replicas, and a
 * replica twice. */
int reassign_json_check(struct replica_sets *s, struct errmsg *em);
/* The file for these sets, as Kafka's tool writes it: for printing, to be freed. */
json_t *reassign_json_of(const struct replica_sets *s);

#endif
