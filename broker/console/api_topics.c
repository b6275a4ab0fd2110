/* The list of topics: filtered by a part of the name and by what is wrong, sorted, a page of it. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "broker/console/console_private.h"
#include "controller/image.h"

struct row {
    const struct image_topic *t;
    int64_t offline, behind, moving;
    int64_t bytes;   /* of the leaders' replicas; -1 not known of any */
    int64_t records; /* between first and last offsets; the same */
    double rate;
    uint32_t partitions;
    uint32_t factor; /* the most */
};

static void add(struct row *row, const struct image_partition *p, const struct watch_partition *wp)
{
    row->partitions++;
    row->offline += p->leader < 0;
    row->behind += image_partition_is_behind(p);
    row->moving += p->adding_n > 0 || p->removing_n > 0;
    row->factor = p->replicas_n > row->factor ? p->replicas_n : row->factor;
    if (wp && wp->bytes >= 0) {
        row->bytes = (row->bytes < 0 ? 0 : row->bytes) + wp->bytes;
    }
    if (wp && wp->end >= 0 && wp->start >= 0) {
        row->records = (row->records < 0 ? 0 : row->records) + wp->end - wp->start;
    }
    row->rate += wp && p->leader >= 0 ? wp->rate : 0;
}

static struct row row_of(const struct console *c, const struct image_topic *t)
{
    struct row row = {.t = t, .bytes = -1, .records = -1};
    for (uint32_t i = 0; i < t->partitions_n; i++) {
        if (t->partitions[i]) {
            add(&row, t->partitions[i], watch_partition(&c->watch, t->id, (int32_t)i));
        }
    }
    return row;
}

/* ---- which ---- */

static bool has(struct bytes name, const char *part)
{
    size_t n = strlen(part);
    for (size_t i = 0; i + n <= name.len; i++) {
        if (strncasecmp((const char *)name.data + i, part, n) == 0) {
            return true;
        }
    }
    return n == 0;
}

static bool is_internal(struct bytes name)
{
    return name.len > 2 && memcmp(name.data, "__", 2) == 0;
}

static bool is_wanted(const struct http_request *r, const struct image_topic *t)
{
    const char *filter = http_query(r, "filter");
    return has(t->name, filter ? filter : "") &&
           (api_number(r, "internal", 1, 0, 1) || !is_internal(t->name));
}

/* ---- in which order ---- */

static int by_name(const void *a, const void *b)
{
    return bytes_cmp(((const struct row *)a)->t->name, ((const struct row *)b)->t->name);
}

static int by_size(const void *a, const void *b)
{
    const struct row *x = a, *y = b;
    int c = (x->bytes < y->bytes) - (x->bytes > y->bytes);
    return c ? c : by_name(a, b);
}

static int by_rate(const void *a, const void *b)
{
    const struct row *x = a, *y = b;
    int c = (x->rate < y->rate) - (x->rate > y->rate);
    return c ? c : by_name(a, b);
}

static int by_partitions(const void *a, const void *b)
{
    const struct row *x = a, *y = b;
    int c = (x->partitions < y->partitions) - (x->partitions > y->partitions);
    return c ? c : by_name(a, b);
}

static int by_trouble(const void *a, const void *b)
{
    const struct row *x = a, *y = b;
    int c = (x->offline < y->offline) - (x->offline > y->offline);
    c = c ? c : (x->behind < y->behind) - (x->behind > y->behind);
    return c ? c : by_name(a, b);
}

typedef int compare_fn(const void *a, const void *b);

static compare_fn *order(const struct http_request *r)
{
    static const struct {
        const char *name;
        compare_fn *fn;
    } orders[] = {{"size", by_size},
                  {"rate", by_rate},
                  {"partitions", by_partitions},
                  {"trouble", by_trouble}};
    const char *sort = http_query(r, "sort");
    for (size_t i = 0; sort && i < ARRAY_LEN(orders); i++) {
        if (strcmp(orders[i].name, sort) == 0) {
            return orders[i].fn;
        }
    }
    return by_name;
}

/* ---- the answer ---- */

static void put_row(struct json_writer *w, const struct row *row)
{
    json_open(w, NULL, '{');
    json_text(w, "name", row->t->name);
    json_bool(w, "internal", is_internal(row->t->name));
    json_int(w, "partitions", row->partitions);
    json_int(w, "factor", row->factor);
    json_int(w, "offline", row->offline);
    json_int(w, "underReplicated", row->behind);
    json_int(w, "reassigning", row->moving);
    json_known(w, "bytes", row->bytes);
    json_known(w, "records", row->records);
    json_rate(w, "rate", row->rate);
    json_close(w, '}');
}

void api_topics(struct console *c, struct http_request *r)
{
    const struct image *img = c->watch.image;
    struct row *rows = mem_zalloc(((size_t)img->topics_n + 1) * sizeof *rows);
    size_t n = 0;
    struct image_topic_iter it = {0};
    const struct image_topic *t;
    while ((t = image_next_topic(img, &it)) != NULL) {
        if (is_wanted(r, t)) {
            rows[n++] = row_of(c, t);
        }
    }
    qsort(rows, n, sizeof *rows, order(r));
    struct buf text = {0};
    struct json_writer w = {.out = &text};
    struct api_page page = api_page(r);
    json_open(&w, NULL, '{');
    api_put_page(&w, page, n);
    json_open(&w, "topics", '[');
    size_t from = (size_t)page.page * page.per;
    for (size_t i = from; i < n && i < from + page.per; i++) {
        put_row(&w, &rows[i]);
    }
    json_close(&w, ']');
    json_close(&w, '}');
    mem_free(rows);
    api_reply(r, &text);
}
