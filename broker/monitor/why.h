/* /why: what is slow or waits now, on whom, since when.
 *
 *     gather: each shard looks at what it has (why_take_x) and leaves rows, the worst of each kind
 *       -> why_merge: what the shards know of the same follower becomes one row
 *       -> here: all rows in one order, as text for people or as JSON
 *
 * A row is one thing that waits: its kind, for how long, a sentence without the time, and the same
 * facts as fields for programs. Bounded: each shard keeps WHY_ROWS_MAX of a kind, those that last
 * longest, and counts the others; a sentence is made only for a row that is kept.
 *
 * What waits by design is no row: a fetch within its max.wait.ms, what is younger than ?least=MS
 * (WHY_LEAST_MS). An empty answer is a node that nobody waits for.
 *
 * Shard: why_take_x: the asked one; why.c: the monitor's. */
#ifndef BROKER_MONITOR_WHY_H
#define BROKER_MONITOR_WHY_H

#include "base/arena.h"
#include "broker/monitor/gather.h"
#include "broker/shard_stats.h"
#include "broker/slow_requests.h"
#include "storage/disk_time.h"

enum { WHY_ROWS_MAX = 20, WHY_FIELDS_MAX = 8, WHY_BLOCKERS_MAX = 16, WHY_LEAST_MS = 100 };

/* In the order in which they are told. */
enum why_kind {
    WHY_NODE,       /* it is not ready, or a shard does not answer */
    WHY_CONTROLLER, /* the way to the active controller */
    WHY_QUORUM,     /* voters */
    WHY_BROKER,     /* fenced, leaving, silent: the controller's view */
    WHY_ELECTION,   /* partitions without a leader */
    WHY_DISK,       /* directories, partitions that are offline, slow writes and flushes */
    WHY_REPLICA,    /* followers of what is led here */
    WHY_FETCHER,    /* leaders of what is followed here */
    WHY_PRODUCE,    /* batches that wait for their acknowledgement */
    WHY_REQUEST,    /* requests that wait, by API */
    WHY_GROUP,      /* rebalances */
    WHY_MOVE,       /* replicas on their way */
    WHY_CONNECTION, /* clients that are not read, or do not read */
    WHY_KINDS,
};

struct why_field {
    const char *name; /* a literal */
    const char *text; /* NULL: number */
    int64_t number;
};

/* A follower that batches wait for. */
struct why_blocker {
    int32_t id;
    int64_t fetched_ms; /* that partition, monotonic; ISR_NEVER: it did not yet */
};

struct why_row {
    struct list node; /* in its kind's, the longest first */
    enum why_kind kind;
    int64_t ms; /* for so long; -1: unknown */
    const char *text;
    struct why_field fields[WHY_FIELDS_MAX];
    unsigned fields_n;
    const struct why_blocker *blockers; /* why_merge ends the text with them; NULL: none */
    unsigned blockers_n;
};

/* One broker that follows partitions led here. */
struct why_follower {
    struct list node;
    int32_t id;
    uint32_t out;       /* partitions in whose in-sync set it is not */
    uint32_t late;      /* where it is, and behind for long */
    int64_t ms;         /* the longest of them; -1: unknown */
    int64_t fetched_ms; /* monotonic; ISR_NEVER */
    int64_t worst;      /* records behind, where that is most */
    const char *topic;  /* there */
    int32_t index;
    bool alive;
};

/* One broker that leads partitions followed here, and does not answer. */
struct why_leader {
    struct list node;
    int32_t id;
    const char *host; /* "": it has no address in the metadata */
    uint16_t port;
    uint32_t partitions, tries; /* of all shards; tries that failed */
    int64_t ms;                 /* the longest silence */
};

/* Partitions that have something in common, and one of them. */
enum why_some { WHY_OFFLINE, WHY_NO_SPACE, WHY_SHORT, WHY_SOMES };
struct why_count {
    uint32_t n;
    const char *topic;
    int32_t index;
};

/* What a shard leaves. */
struct why_answer {
    struct arena arena; /* of rows and their texts */
    struct list rows[WHY_KINDS];
    unsigned kept[WHY_KINDS];
    uint64_t left_out[WHY_KINDS];
    int64_t least_ms;
    struct slow_request slow[SLOW_REQUESTS_MAX];
    unsigned slow_n;
    struct list followers; /* why_follower; these and the following are told by why_merge */
    struct list leaders;   /* why_leader */
    struct why_count some[WHY_SOMES];
    struct follower_seen *seen; /* in the arena */
    unsigned seen_n;
    int64_t now_ms;      /* the shard's, monotonic */
    struct image *image; /* main's: a reference; NULL */
};

/* The question: gather's user. */
struct why_ask {
    bool json;
    int64_t least_ms;
};

/* A new row, without text; NULL: it is younger than asked for, or enough of its kind last longer.
 * ms -1: it is kept whatever its age. */
struct why_row *why_add(struct why_answer *a, enum why_kind kind, int64_t ms);
void why_say(struct why_answer *a, struct why_row *row, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void why_number(struct why_row *row, const char *name, int64_t number);
/* Copied, with nothing in it but printable ASCII; what peers say may be anything. */
const char *why_text(struct why_answer *a, struct why_row *row, const char *name,
                     struct bytes text);
const char *why_clean(struct arena *a, struct bytes text);

/* why_take.c: a data shard: requests, connections, groups, and on main the controller's side */
void why_take_shard(struct node_shard *ns, struct gather_part *p);
/* why_partitions.c */
void why_take_partitions(struct node_shard *ns, struct why_answer *w);
/* why_merge.c: several shards lead partitions that the same broker follows, and its Fetch requests
 * come to any of them; each shard has its own connection to a leader that is followed. Rows of that
 * are made here, of all answers together, in the first of them. */
void why_merge(struct why_answer **answers, unsigned n);
struct why_follower *why_follower(struct why_answer *a, int32_t id); /* made if there is none */
/* One more connection to a leader; the host is copied. */
void why_add_leader(struct why_answer *a, const struct why_leader *l);
/* why_controller.c */
void why_take_controller(struct node *n, struct gather_part *p);
/* From the image, on the monitor's shard. */
/* The slowest writes or flushes; what: "a write". */
void why_add_disk(struct why_answer *w, const struct disk_time *t, int64_t now_us,
                  const char *what);
void why_add_image(struct why_answer *w, const struct image *img);
struct why_answer *why_answer_new(const struct gather_part *p);
void why_free(void *answer);

#endif
