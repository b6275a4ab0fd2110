/* Prometheus' text format (0.0.4): families with HELP and TYPE, samples below them. Written by hand
 * rather than by printf: there may be a hundred thousand samples.
 *
 * A sample's labels are given as text that stands between its name and its value, braces included
 * (metric_labels makes them), so that what many samples share is made once. */
#ifndef BROKER_MONITOR_METRICS_TEXT_H
#define BROKER_MONITOR_METRICS_TEXT_H

#include <stdbool.h>

#include "base/buf.h"

struct metrics_text {
    struct buf out;
    const char *name; /* of the family that is being written */
    size_t name_len;
};

/* type: "counter", "gauge", "summary", "histogram". */
void metric_family(struct metrics_text *t, const char *name, const char *type, const char *help);
void metric_u64(struct metrics_text *t, struct bytes labels, uint64_t v);
void metric_i64(struct metrics_text *t, struct bytes labels, int64_t v);
void metric_double(struct metrics_text *t, struct bytes labels, double v);
/* The same of a family's _sum, _count, _bucket. */
void metric_suffix(struct metrics_text *t, const char *suffix, struct bytes labels, double v);

/* A family of one sample without labels. */
void metric_one(struct metrics_text *t, const char *name, const char *type, const char *help,
                double v);

/* Appends {name="value"} or, after the first, so that the braces hold both: the text is whole after
 * each call. Values are escaped. */
void metric_label(struct buf *labels, const char *name, struct bytes value);
void metric_label_u64(struct buf *labels, const char *name, uint64_t value);

#endif
