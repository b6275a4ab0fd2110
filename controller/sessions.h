/* When the brokers were last heard of: what only the active controller knows, and forgets when it
 * stops leading. Pure: times come from the caller (ms of the monotonic clock).
 *
 * A session belongs to one registration (broker and epoch). It is over when nothing came for the
 * session timeout, or when there is none.
 *
 * What a decision may not do at once, because there are too many partitions, is noted here too, and
 * done by decide_more a step at a time. A controller that begins to lead finds it anew.
 *
 * Shard: the controller's. */
#ifndef CONTROLLER_SESSIONS_H
#define CONTROLLER_SESSIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/uuid.h"

enum {
    SESSION_DIRS_MAX = 8,  /* more at once are lost one after another */
    SESSION_FULL_MAX = 65, /* of more than a broker of ours can have, and the word for all */
};

struct session_of_broker {
    int32_t broker;
    int64_t epoch;           /* of its registration */
    int64_t contact_ms;      /* last heard of */
    int64_t metadata_offset; /* that it has applied; -1 unknown */
    int64_t leaving_offset;  /* of the records that took its leaderships away; -1: it stays */
    bool let_go;             /* it was told that it may end: no session */
    bool fencing;      /* its partitions are being taken away: for all decisions it is fenced */
    bool unclean;      /* meanwhile: its next process is here, and may have lost what it had */
    int64_t doomed_ms; /* it was to be unregistered then; 0 never */
    struct uuid lost[SESSION_DIRS_MAX]; /* directories whose replicas are being taken away */
    int32_t lost_n;
    struct uuid full[SESSION_FULL_MAX]; /* directories without room, by its newest heartbeat */
    int32_t full_n;
    bool full_more; /* replicas in them are still to be taken from ISRs and leaderships */
};

struct sessions {
    struct session_of_broker *v; /* sorted by broker */
    size_t n;
    size_t cap;
    int64_t timeout_ms;
    bool leaderless; /* partitions without a leader are to be looked at */
    bool more;       /* a decision has left something to do */
};

void sessions_free(struct sessions *s);
void sessions_clear(struct sessions *s);
struct session_of_broker *sessions_find(const struct sessions *s, int32_t broker); /* or NULL */
/* Heard of now; a new epoch begins a new session. */
struct session_of_broker *sessions_touch(struct sessions *s, int32_t broker, int64_t epoch,
                                         int64_t now_ms);
bool sessions_valid(const struct sessions *s, int32_t broker, int64_t epoch, int64_t now_ms);
void sessions_remove(struct sessions *s, int32_t broker); /* no harm if there is none */

#endif
