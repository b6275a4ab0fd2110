/* What the files of `millrace dump-log` share: its options, the file that is dumped, and what it
 * found. Private to tool_dump_log.c and dump_*.c.
 *
 * A file that cannot be read to its end is one sentence on stderr and an exit status of 1 at the
 * end; what can be read of it, and the other files, are dumped all the same. */
#ifndef TOOLS_DUMP_H
#define TOOLS_DUMP_H

#include "proto/message.h"
#include "proto/record_batch.h"

enum dump_decoder {
    DUMP_CLASSES, /* key and value by their own classes */
    DUMP_OFFSETS,
    DUMP_TRANSACTIONS,
    DUMP_METADATA,
    DUMP_REMOTE_LOG,
    DUMP_SHARE_STATE,
};

enum dump_class { DUMP_STRING, DUMP_INTEGER, DUMP_LONG, DUMP_HEX };

/* Said on stderr behind everything else, in this order, in Kafka's words. */
enum dump_finding {
    DUMP_INDEX_MISMATCH,
    DUMP_TIME_MISMATCH,
    DUMP_TIME_ORDER,
    DUMP_TIME_NOT_FOUND,
    DUMP_GAP,
    DUMP_FINDINGS,
};

struct dump {
    bool print; /* keys and values */
    bool deep;  /* records */
    bool skip_metadata;
    bool verify_only;
    bool sanity_only;
    int64_t max_bytes; /* of a log; INT32_MAX: all */
    int64_t max_message_size;
    enum dump_decoder decoder;
    enum dump_class key_class;
    enum dump_class value_class;
    struct buf found[DUMP_FINDINGS];
    int failed;
};

struct dump_file {
    const char *path;
    const char *name;
    int fd;
    int64_t size;
};

/* 0, or -1 with the sentence said. */
int dump_open(struct dump *d, struct dump_file *f, const char *path);
void dump_close(struct dump_file *f);
/* The offset in front of a file's name; -1 with the sentence said. */
int64_t dump_base_offset(struct dump *d, const char *path);
/* Replaces b by at most n bytes from `at` on; -1 with the sentence said. */
int dump_read(struct dump *d, const struct dump_file *f, int64_t at, size_t n, struct buf *b);
/* The batch at `at` of a log that ends at `end`: 1 and b holds it whole; 0 at the end, or where it
 * ends inside a batch; ERR_CORRUPT: what is there is none. -1 as above. */
int dump_batch(struct dump *d, const struct dump_file *log, int64_t at, int64_t end, struct buf *b);
/* Its last offset; of any magic. */
int64_t dump_last_offset(struct bytes batch);

/* A sentence on stderr, after what stdout has so far; remembers that something failed. */
void dump_fail(struct dump *d, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Pairs of numbers that a file's findings are about, ascending by the first; a second value for the
 * same first one replaces it. Zero-initialise. */
struct dump_pairs {
    struct dump_pair {
        int64_t first;
        int64_t second;
    } * v;
    size_t n;
    size_t cap;
};
void dump_pairs_put(struct dump_pairs *p, int64_t first, int64_t second);
/* The same, in the order of coming. */
void dump_pairs_add(struct dump_pairs *p, int64_t first, int64_t second);
void dump_pairs_free(struct dump_pairs *p);
/* Words them and frees p. */
void dump_found(struct dump *d, enum dump_finding kind, const char *path, struct dump_pairs *p);

void dump_log(struct dump *d, const char *path);
void dump_index(struct dump *d, const char *path);
void dump_time_index(struct dump *d, const char *path);
void dump_txn_index(struct dump *d, const char *path);
void dump_producer_snapshot(struct dump *d, const char *path);

/* Key and payload of a record that is not a control record, each behind a prefix. */
void dump_put_contents(const struct dump *d, const struct record *rec, const char *prefix,
                       struct buf *out);
/* A record of __remote_log_metadata; false if m is none. */
bool dump_put_remote(const struct proto_message *m, const void *msg, struct buf *out);
/* What a control record says. */
void dump_put_control(const struct record *rec, struct buf *out);

#endif
