/* Tells the controller in which log directory each replica lies (AssignReplicasToDirs, KIP-858).
 * Kafka does so on a single node too, and misreads a directory whose replicas have none.
 *
 * The shard that opened or made a partition's log reports it when the image says another directory
 * (or none); main gathers reports and sends them, one request at a time, until each is granted or
 * the image agrees. A move between directories (dir_move.h) reports its target when it has all that
 * the replica has, and goes on when the image says so.
 *
 * Shard: dir_assign_report on any data shard; the rest main. */
#ifndef BROKER_DIR_ASSIGN_H
#define BROKER_DIR_ASSIGN_H

#include "broker/node.h"

struct dir_assign;
struct msg;

/* The replica of this broker lies in log directory `dir` (index in log.dirs). */
void dir_assign_report(struct node_shard *ns, struct uuid topic_id, int32_t partition,
                       unsigned dir);

struct dir_assign *dir_assign_new(struct node *n);
void dir_assign_start(struct dir_assign *a); /* the broker is registered */
void dir_assign_free(struct dir_assign *a);
/* node.c: a MSG_DIR_ASSIGN has arrived on main. */
void dir_assign_on_msg(struct node *n, struct msg *m);

#endif
