/* Connections whose requests set others' memory free: the answers to those wait for what comes
 * here, as a producer's acks=all wait for a follower's next Fetch. Were such a connection starved
 * like any other while the shard's budget is full of what waits for it, both would wait for a
 * time-out.
 *
 * So it is read beyond the budget: one frame at a time, of at most CONN_AWAITED_MAX bytes, while
 * nothing before it is unanswered. A larger one waits like everybody's.
 *
 * Shard: the connection's. */
#ifndef RUNTIME_CONN_AWAITED_H
#define RUNTIME_CONN_AWAITED_H

#include "runtime/conn.h"

enum { CONN_AWAITED_MAX = 64 << 10 };

/* From now on it is one. */
void conn_await(struct conn *c);

#endif
