#include "broker/monitor/metrics_text.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static size_t digits_of(uint64_t v, char out[20])
{
    char reversed[20];
    size_t n = 0;
    do {
        reversed[n++] = (char)('0' + v % 10);
        v /= 10;
    } while (v > 0);
    for (size_t i = 0; i < n; i++) {
        out[i] = reversed[n - 1 - i];
    }
    return n;
}

static void put_u64(struct buf *b, uint64_t v)
{
    char digits[20];
    buf_put(b, digits, digits_of(v, digits));
}

void metric_family(struct metrics_text *t, const char *name, const char *type, const char *help)
{
    t->name = name;
    t->name_len = strlen(name);
    buf_put_str(&t->out, "# HELP ");
    buf_put_str(&t->out, name);
    buf_put_u8(&t->out, ' ');
    buf_put_str(&t->out, help);
    buf_put_str(&t->out, "\n# TYPE ");
    buf_put_str(&t->out, name);
    buf_put_u8(&t->out, ' ');
    buf_put_str(&t->out, type);
    buf_put_u8(&t->out, '\n');
}

static void begin(struct metrics_text *t, struct bytes labels)
{
    buf_reserve(&t->out, t->name_len + labels.len + 64);
    buf_put(&t->out, t->name, t->name_len);
    buf_put(&t->out, labels.data, labels.len);
    buf_put_u8(&t->out, ' ');
}

void metric_u64(struct metrics_text *t, struct bytes labels, uint64_t v)
{
    begin(t, labels);
    put_u64(&t->out, v);
    buf_put_u8(&t->out, '\n');
}

void metric_i64(struct metrics_text *t, struct bytes labels, int64_t v)
{
    begin(t, labels);
    if (v < 0) {
        buf_put_u8(&t->out, '-');
    }
    put_u64(&t->out, v < 0 ? 0 - (uint64_t)v : (uint64_t)v);
    buf_put_u8(&t->out, '\n');
}

static void put_double(struct buf *b, double v)
{
    if (isnan(v)) {
        buf_put_str(b, "NaN");
    } else if (v >= 0 && v < 1e15 && floor(v) == v) {
        put_u64(b, (uint64_t)v);
    } else {
        buf_printf(b, "%.9g", v);
    }
}

void metric_double(struct metrics_text *t, struct bytes labels, double v)
{
    begin(t, labels);
    put_double(&t->out, v);
    buf_put_u8(&t->out, '\n');
}

void metric_suffix(struct metrics_text *t, const char *suffix, struct bytes labels, double v)
{
    buf_put(&t->out, t->name, t->name_len);
    buf_put_str(&t->out, suffix);
    buf_put(&t->out, labels.data, labels.len);
    buf_put_u8(&t->out, ' ');
    put_double(&t->out, v);
    buf_put_u8(&t->out, '\n');
}

void metric_one(struct metrics_text *t, const char *name, const char *type, const char *help,
                double v)
{
    metric_family(t, name, type, help);
    metric_double(t, bytes_of("", 0), v);
}

/* ---- labels ---- */

static void label_begin(struct buf *labels, const char *name)
{
    if (labels->len > 0) {
        labels->data[labels->len - 1] = ','; /* in place of the brace */
    } else {
        buf_put_u8(labels, '{');
    }
    buf_put_str(labels, name);
    buf_put_str(labels, "=\"");
}

void metric_label(struct buf *labels, const char *name, struct bytes value)
{
    label_begin(labels, name);
    for (size_t i = 0; i < value.len; i++) {
        uint8_t c = value.data[i];
        if (c == '\n') {
            buf_put_str(labels, "\\n");
            continue;
        }
        if (c == '"' || c == '\\') {
            buf_put_u8(labels, '\\');
        }
        buf_put_u8(labels, c);
    }
    buf_put_str(labels, "\"}");
}

void metric_label_u64(struct buf *labels, const char *name, uint64_t value)
{
    label_begin(labels, name);
    put_u64(labels, value);
    buf_put_str(labels, "\"}");
}
