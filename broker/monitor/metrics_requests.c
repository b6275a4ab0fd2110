/* Requests by API, and how long their stages take.
 *
 * Counts and sums run since the start. Quantiles would be of little use so: they are of what came
 * since a reading that is at least WINDOW_MS old (the oldest of two that are kept), so that with a
 * regular scrape they tell of the last one to two windows. Prometheus' own histograms of the total
 * time run since the start like the counts, and can be added over brokers. */
#include <stdio.h>

#include "base/mem.h"
#include "broker/monitor/metrics.h"
#include "broker/request.h"
#include "proto/message.h"
#include "proto_apis.h"

enum { WINDOW_MS = 60000 };

/* All slots, summed over the shards, as of one reading. */
struct reading {
    int64_t at_ms;
    unsigned n;
    struct request_stat **slots; /* NULL: no request so far */
};

struct metrics_window {
    struct reading older; /* n 0: the start */
    struct reading newer;
};

static void reading_free(struct reading *r)
{
    request_stats_free(r->slots, r->n);
    *r = (struct reading){0};
}

static void take(const struct metrics *m, struct reading *r)
{
    r->n = request_slots();
    r->slots = mem_zalloc(r->n * sizeof *r->slots);
    r->at_ms = shard_now_ms(monitor_shard(m->monitor));
    for (unsigned s = 0; s < m->shards_n; s++) {
        request_stats_add(r->slots, m->shards[s]->requests, r->n);
    }
}

void metrics_window_free(struct metrics_window *w)
{
    if (w) {
        reading_free(&w->older);
        reading_free(&w->newer);
        mem_free(w);
    }
}

/* The reading becomes the newer of the two once that is old enough. A reading that a late shard is
 * missing from is none to subtract from others. */
static void keep(const struct metrics *m, struct metrics_window *w, struct reading *now)
{
    if (m->late == 0 && (w->newer.n == 0 || now->at_ms - w->newer.at_ms >= WINDOW_MS)) {
        reading_free(&w->older);
        w->older = w->newer;
        w->newer = *now;
    } else {
        reading_free(now);
    }
}

/* ---- text ---- */

/* Names as Kafka's: fetches are told apart, and counted once more together. */
void metrics_request_name(unsigned slot, char *out, size_t n)
{
    if (slot == request_follower_slot()) {
        snprintf(out, n, "FetchFollower");
    } else if (api_table[slot].key == API_FETCH) {
        snprintf(out, n, "FetchConsumer");
    } else {
        const char *full = proto_request(api_table[slot].key)->name;
        snprintf(out, n, "%.*s", (int)(strlen(full) - strlen("Request")), full);
    }
}

static void label_of(unsigned slot, struct buf *labels)
{
    char name[64];
    metrics_request_name(slot, name, sizeof name);
    buf_clear(labels);
    metric_label(labels, "request", bytes_str(name));
}

static void put_counts(struct metrics *m, const struct reading *now)
{
    struct buf labels = {0};
    metric_family(&m->text, "kafka_network_requestmetrics_requests_total", "counter",
                  "Requests answered, by kind.");
    for (unsigned i = 0; i < now->n; i++) {
        if (now->slots[i]) {
            label_of(i, &labels);
            metric_u64(&m->text, buf_bytes(&labels), now->slots[i]->requests);
        }
    }
    buf_free(&labels);
}

static const struct {
    const char *name;
    const char *help;
} stages[STAGES] = {
    [STAGE_QUEUE] = {"kafka_network_requestmetrics_requestqueuetimems",
                     "Milliseconds from a request's last byte until its handler ran. Quantiles "
                     "here and below: of the last one to two minutes."},
    [STAGE_LOCAL] = {"kafka_network_requestmetrics_localtimems",
                     "Milliseconds that this node took for a request."},
    [STAGE_REMOTE] = {"kafka_network_requestmetrics_remotetimems",
                      "Milliseconds that a request waited for others: replicas, records, members."},
    [STAGE_RESPONSE_QUEUE] = {"kafka_network_requestmetrics_responsequeuetimems",
                              "Milliseconds from an answer until its first byte was sent."},
    [STAGE_SEND] = {"kafka_network_requestmetrics_responsesendtimems",
                    "Milliseconds until the socket had taken the whole answer."},
    [STAGE_TOTAL] = {"kafka_network_requestmetrics_totaltimems",
                     "Milliseconds from a request's last byte to its answer's."},
};

static void put_quantiles(struct metrics *m, const struct histogram *h, const struct buf *labels)
{
    static const struct {
        const char *text;
        double fraction;
    } quantiles[] = {{"0.5", 0.5},   {"0.75", 0.75}, {"0.95", 0.95},
                     {"0.98", 0.98}, {"0.99", 0.99}, {"0.999", 0.999}};
    for (size_t i = 0; i < ARRAY_LEN(quantiles) && h->count > 0; i++) {
        struct buf with = {0};
        buf_put(&with, labels->data, labels->len);
        metric_label(&with, "quantile", bytes_str(quantiles[i].text));
        metric_double(&m->text, buf_bytes(&with),
                      (double)histogram_at(h, quantiles[i].fraction) / 1000);
        buf_free(&with);
    }
}

static void put_stage(struct metrics *m, const struct reading *now, const struct reading *before,
                      enum request_stage stage)
{
    struct buf labels = {0};
    metric_family(&m->text, stages[stage].name, "summary", stages[stage].help);
    for (unsigned i = 0; i < now->n; i++) {
        if (now->slots[i] == NULL) {
            continue;
        }
        const struct histogram *h = &now->slots[i]->stages[stage];
        struct histogram since;
        request_stage_init(&since);
        histogram_merge(&since, h);
        if (m->late == 0 && i < before->n && before->slots[i]) {
            histogram_subtract(&since, &before->slots[i]->stages[stage]);
        }
        label_of(i, &labels);
        put_quantiles(m, &since, &labels);
        metric_suffix(&m->text, "_sum", buf_bytes(&labels), (double)h->sum / 1000);
        metric_suffix(&m->text, "_count", buf_bytes(&labels), (double)h->count);
        histogram_free(&since);
    }
    buf_free(&labels);
}

/* Bounds in microseconds and as Prometheus' seconds. */
static void put_histogram(struct metrics *m, const struct reading *now)
{
    static const struct {
        uint64_t us;
        const char *seconds;
    } bounds[] = {{250, "0.00025"}, {500, "0.0005"},  {1000, "0.001"},  {2500, "0.0025"},
                  {5000, "0.005"},  {10000, "0.01"},  {25000, "0.025"}, {50000, "0.05"},
                  {100000, "0.1"},  {250000, "0.25"}, {500000, "0.5"},  {1000000, "1"},
                  {2500000, "2.5"}, {10000000, "10"}, {30000000, "30"}};
    struct buf labels = {0};
    metric_family(&m->text, "millrace_request_seconds", "histogram",
                  "From a request's last byte to its answer's, since the start.");
    for (unsigned i = 0; i < now->n; i++) {
        if (now->slots[i] == NULL) {
            continue;
        }
        const struct histogram *h = &now->slots[i]->stages[STAGE_TOTAL];
        for (size_t b = 0; b <= ARRAY_LEN(bounds); b++) {
            bool all = b == ARRAY_LEN(bounds);
            label_of(i, &labels);
            metric_label(&labels, "le", bytes_str(all ? "+Inf" : bounds[b].seconds));
            metric_suffix(&m->text, "_bucket", buf_bytes(&labels),
                          (double)(all ? h->count : histogram_upto(h, bounds[b].us)));
        }
        label_of(i, &labels);
        metric_suffix(&m->text, "_sum", buf_bytes(&labels), (double)h->sum / 1e6);
        metric_suffix(&m->text, "_count", buf_bytes(&labels), (double)h->count);
    }
    buf_free(&labels);
}

void metrics_put_requests(struct metrics *m, struct metrics_window **window)
{
    struct reading now = {0};
    take(m, &now);
    if (*window == NULL) {
        *window = MEM_NEW(struct metrics_window);
    }
    put_counts(m, &now);
    for (unsigned s = 0; s < STAGES; s++) {
        put_stage(m, &now, &(*window)->older, (enum request_stage)s);
    }
    put_histogram(m, &now);
    keep(m, *window, &now);
}
