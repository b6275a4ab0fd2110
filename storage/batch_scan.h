/* Walks the batches of a .log file by their headers, a window of bytes at a time. What does not
 * parse ends the walk with a reason; nothing in a header is believed beyond the file's end.
 *
 * Shard: any. The window is the caller's (a few kilobytes of stack for a lookup) and is replaced by
 * a larger one of its own when a whole batch is asked for that does not fit. */
#ifndef STORAGE_BATCH_SCAN_H
#define STORAGE_BATCH_SCAN_H

#include "proto/record_batch.h"
#include "runtime/io.h"

struct batch_scan {
    struct io_file *file;
    uint64_t pos; /* of the batch that batch_scan_next gave; then of the next one */
    uint64_t end; /* the file counts up to here */
    uint8_t *win;
    size_t cap;
    uint64_t win_pos;
    size_t win_len;
    uint8_t *owned;
    uint64_t next; /* behind the batch given last */
    char why[96];  /* when it ended early */
};

void batch_scan_init(struct batch_scan *s, struct io_file *f, uint64_t pos, uint64_t end,
                     void *window, size_t window_len);
/* 1: the header of the next batch, at s->pos, all of which lies before the end (magic 0 and 1 too,
 * with what they have). 0: the end, exactly. ERR_TRUNCATED, ERR_CORRUPT: s->why says how;
 * ERR_IO and others: the read failed. */
int batch_scan_next(struct batch_scan *s, struct batch_header *h);
/* All bytes of the batch given last, good until the next call. */
int batch_scan_body(struct batch_scan *s, const struct batch_header *h, struct bytes *out);
void batch_scan_free(struct batch_scan *s);

#endif
