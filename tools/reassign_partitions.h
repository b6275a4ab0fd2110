/* What the actions of `millrace reassign-partitions` share (tool_reassign_partitions.c,
 * reassign_generate.c, reassign_verify.c). */
#ifndef TOOLS_REASSIGN_PARTITIONS_H
#define TOOLS_REASSIGN_PARTITIONS_H

#include "tools/args.h"
#include "tools/reassign_json.h"

/* "Error: SENTENCE", and what would work in a line of its own, if not NULL; the exit status. */
int reassign_fail(const char *text, const char *instead);
/* The ids with ", " between, in c's arena. */
const char *reassign_ids_text(struct client *c, const int32_t *ids, size_t n);
/* The brokers that are up, ascending; client_cluster must have been asked. */
int32_t *reassign_brokers(struct client *c, size_t *n);
/* Of `of`, what is there: a topic or partition that is not is ERR_NOTFOUND with Kafka's sentence
 * (then *instead says what would work, else it is NULL). With directories of the replicas whose
 * brokers are up. Partition -1 stands for all of a topic. */
int reassign_existing(struct client *c, const struct replica_sets *of, struct replica_sets *out,
                      const char **instead);
/* Are the topics and brokers there that targets (sorted) name? Else ERR_NOTFOUND, with *instead as
 * above: a topic, or a broker that is neither registered nor, for what was unregistered since,
 * among the replicas of that partition. Nothing is changed. A partition that is not there is told
 * on standard error alone: Kafka's tool goes on. By controllers none is looked for. */
int reassign_check(struct client *c, const struct replica_sets *targets, const char **instead);
/* What such a check has found, with *instead: on standard error; or as reassign_fail, and that
 * nothing was changed. */
void reassign_tell(struct client *c, const char *instead);
int reassign_refuse(struct client *c, const char *instead);
/* Prints, on standard error, throttles that are set although nothing moves. */
void reassign_tell_throttles(const struct throttles *t);
/* Takes the throttles of all brokers and of the topics of targets off, and says so: on standard
 * output, or in listing where it is not NULL. */
int reassign_clear(struct client *c, const struct replica_sets *targets, json_t *listing);

int reassign_generate(struct client *c, const struct args *a);
/* How far the targets are; takes the throttles off when nothing moves any more, and none of them if
 * the targets name what is not there. */
int reassign_verify(struct client *c, const struct args *a, const struct replica_sets *targets);
/* Waits for them, then says it as reassign_verify; 1 if what the targets say did not come about. */
int reassign_wait_verify(struct client *c, const struct args *a,
                         const struct replica_sets *targets);

#endif
