/* What one partition's log must hold, told by somebody who watches every append: the batches that
 * were acknowledged, in order, and those that may be there although nobody was told (refused with
 * an error, cut off again, or under way when the process ended).
 *
 * After a restart the log must hold the acknowledged batches up to what was promised (everything
 * after a kill, everything flushed after a power loss), in whole batches, byte for byte; behind the
 * last acknowledged one that survived, doubtful batches may follow that continue the offsets. What
 * was found is the truth from then on. */
#ifndef SIM_LOG_MODEL_H
#define SIM_LOG_MODEL_H

#include "proto/record_batch.h"
#include "sim/run.h"

struct model_batch {
    int64_t base;
    int64_t last;
    struct batch_header h;
    uint8_t *data;
    size_t len;
};

struct batch_list {
    struct model_batch *v;
    size_t n;
    size_t cap;
};

struct log_model {
    const char *name;
    struct batch_list acked;    /* ascending, no gaps from the first on */
    struct batch_list doubtful; /* any order */
    int64_t start;              /* first offset a reader may ask for */
    int64_t end;                /* next offset */
    int64_t durable;            /* everything below was flushed */
};

void log_model_free(struct log_model *m);
/* An acknowledged batch; it must continue the log. */
void log_model_append(struct run *r, struct log_model *m, const uint8_t *data, size_t len);
void log_model_doubt(struct run *r, struct log_model *m, const uint8_t *data, size_t len);
/* Forgets the doubts that came after the first n. */
void log_model_undoubt(struct log_model *m, size_t n);
/* Everything from offset on was cut off, on purpose: it may be back after a power loss. */
void log_model_truncate(struct log_model *m, int64_t offset);
void log_model_truncate_fully(struct log_model *m, int64_t offset);
void log_model_flushed(struct log_model *m, int64_t offset);
/* The batch that holds the offset; NULL: none. */
const struct model_batch *log_model_find(const struct log_model *m, int64_t offset);

/* bytes: the log's content from its first readable batch on; start, end: what it says of itself.
 * required: the offset that it must reach. Fails the run or takes over what is there. */
void log_model_recovered(struct run *r, struct log_model *m, struct bytes content, int64_t start,
                         int64_t end, int64_t required);
/* After a power loss: what there is now was on the platters. What was cut off as bad may come back
 * whole after another one, if nothing was flushed in between. */
void log_model_on_platters(struct log_model *m);
/* After an orderly stop that lost nothing: all is flushed, and nothing else will come back. */
void log_model_stopped(struct log_model *m);
/* The same for a log that lives: exactly the acknowledged batches. */
void log_model_same(struct run *r, const struct log_model *m, struct bytes content, int64_t start,
                    int64_t end);

#endif
