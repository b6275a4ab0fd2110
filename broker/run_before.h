/* What this broker may tell the controller of the process that ran in its log directories before.
 *
 * A registration names the epoch of the one before (PreviousBrokerEpoch) if nothing that the broker
 * acknowledged then can be gone: the controller leaves it in its ISRs and ELRs (KIP-966). Kafka's
 * brokers name it after a clean stop. Ours do also after the process was killed, while the machine
 * ran on: each log directory then has a note that names its kernel and the run (last_run.h), and
 *
 *   - the kernel is the one of today, in every directory, and none of them is offline;
 *   - the controllers' metadata have that run's registration as the newest one, or that of the run
 *     before it if it was never registered, in the same log directories;
 *   - all logs that were to be recovered are open, and none was cut but for an append that the end
 *     of the process tore. A shard that cannot open one, or finds more, takes the note away before
 *     it says that it has applied the metadata.
 *
 * For the last two the broker registers only when it has the metadata and has opened its logs; it
 * could not be unfenced before that anyway. All else is an unclean stop, as it always was.
 *
 * Shard: main, but for what says otherwise. */
#ifndef BROKER_RUN_BEFORE_H
#define BROKER_RUN_BEFORE_H

#include "broker/node.h"

/* The epoch may be named once the logs are open, and not before. */
bool run_before_is_open(const struct node *n);
/* -1: it may not be named. */
int64_t run_before_epoch(const struct node *n);
/* To be called before the registration is sent: what the next process may tell of this one. */
void run_before_note(struct node *n, int64_t epoch_before);
/* The broker stops in order, and no answer to its registration has come: what it could have said
 * goes into the marks of the stop. */
void run_before_keep(struct node *n);
/* A log directory has failed: nobody knows what is gone. */
void run_before_forget(struct node *n);
/* Any shard, as soon as it sees a failure in the directory: no note of this run is written any
 * more. Main forgets the others when it hears of it. */
void run_before_disk_failed(struct node_shard *ns, unsigned dir);
/* Any shard: a log of the directory stays closed, and nobody knows what it has. */
void run_before_not_opened(struct node_shard *ns, unsigned dir);

#endif
