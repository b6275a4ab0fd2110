#include "broker/console/watch.h"

#include "base/mem.h"
#include "broker/console/console_private.h"
#include "broker/console/watch_keep.h"
#include "broker/monitor/gather.h"
#include "broker/partition_manager.h"
#include "controller/image.h"

enum {
    ROUND_MS = 2000,
    REST_MS = 500,      /* at least, between two rounds */
    IDLE_MS = 20000,    /* nobody looked for so long: it ends */
    FIRST_MS = 400,     /* who came first is answered with what there is by then */
    PATIENCE_MS = 3000, /* and if that is no metadata even, after so long */
    OWN_MS = 1000,      /* for the shards of this node */
    SLOW_ROUNDS = 5,    /* sizes and first offsets */
};

/* ---- this node's shards ---- */

struct own_answer {
    struct watch_own own;
    struct image *image;
    bool controller;
    struct controller_status status;
};

static void ask_shard(struct node_shard *ns, struct gather_part *p)
{
    struct own_answer *a = MEM_NEW(struct own_answer);
    p->answer = a;
    a->own.connections = conn_count(ns->shard);
    for (unsigned i = 0; i < ns->stats->slots; i++) {
        const struct request_stat *r = ns->stats->requests[i];
        a->own.requests += r ? r->requests : 0;
    }
    if (ns->partitions) {
        map_for_each (slot, &ns->partitions->topics.by_id) {
            const struct topic_settings *t = slot->value;
            topic_counts_add(&a->own.counts, t->counts);
        }
    }
    if (ns->index == 0 && ns->image) {
        a->image = image_get(ns->image);
    }
}

static void ask_controller(struct node *n, struct gather_part *p)
{
    struct own_answer *a = MEM_NEW(struct own_answer);
    p->answer = a;
    if (n->controller) {
        a->controller = true;
        controller_status(n->controller, &a->status);
        a->image = image_get(controller_image(n->controller));
    }
}

static void free_own(void *answer)
{
    image_put(((struct own_answer *)answer)->image);
    mem_free(answer);
}

/* ---- a round ---- */

static struct console *console_of(struct watch *w)
{
    return CONTAINER_OF(w, struct console, watch);
}

static double per_second(uint64_t now, uint64_t before, int64_t ms)
{
    return ms > 0 && now >= before ? (double)(now - before) * 1000 / (double)ms : 0;
}

static void add_topic(const struct watch *w, const struct watch_topic *t, struct watch_sample *s)
{
    for (uint32_t i = 0; i < t->n; i++) {
        const struct watch_partition *p = &t->v[i];
        if (p->heard_ms < w->began_ms) {
            continue; /* its leader has not answered */
        }
        s->records += p->rate;
        if (p->bytes > 0 && p->start >= 0 && p->end > p->start) {
            s->bytes += p->rate * (double)p->bytes / (double)(p->end - p->start);
        }
    }
}

static void take_sample(struct watch *w)
{
    struct watch_sample *s = &w->samples[w->samples_n % WATCH_SAMPLES];
    const struct topic_counts *now = &w->own.counts, *before = &w->own_before.counts;
    int64_t ms = w->own_before_ms < 0 ? 0 : w->own_ms - w->own_before_ms;
    *s = (struct watch_sample){
        .wall_ms = io_wall_ms(console_shard(console_of(w))->io),
        .bytes_in = per_second(now->bytes_in, before->bytes_in, ms),
        .bytes_out = per_second(now->bytes_out, before->bytes_out, ms),
        .replication_in = per_second(now->replication_in, before->replication_in, ms),
        .requests = per_second(w->own.requests, w->own_before.requests, ms),
    };
    map_for_each (slot, &w->topics) {
        add_topic(w, slot->value, s);
    }
    map_for_each (slot, &w->groups) {
        const struct watch_group *g = slot->value;
        s->lag += g->lag > 0 ? g->lag : 0;
    }
    w->samples_n++;
}

static void finish_round(struct console *c)
{
    struct watch *w = &c->watch;
    int64_t now = console_now(c);
    int64_t next = w->began_ms + ROUND_MS;
    w->busy = false;
    if (c->ended) {
        return;
    }
    w->took_ms = now - w->began_ms;
    if (w->image) {
        watch_groups_finish(c);
        take_sample(w);
        w->done_ms = now;
        console_first_round(c);
    } else {
        console_refuse_late(c, PATIENCE_MS); /* also who came when on_first was over */
    }
    timer_set(console_shard(c), &w->timer, next > now + REST_MS ? next : now + REST_MS);
}

void watch_asked(struct console *c)
{
    c->watch.out++;
}

void watch_answered(struct console *c)
{
    ASSERT(c->watch.out > 0);
    if (--c->watch.out == 0) {
        finish_round(c);
    }
}

static void ask_peers(struct console *c)
{
    struct peer *quorum = NULL;
    list_for_each (at, &c->peers) {
        struct peer *p = LIST_ENTRY(at, struct peer, node);
        if (p->channel == NULL) {
            continue;
        }
        watch_ask_logs(c, p);
        watch_ask_groups(c, p);
        bool better = quorum == NULL || p->id == monitor_node(c->monitor)->id ||
                      (quorum->heard && !quorum->answers);
        quorum = better ? p : quorum;
    }
    if (quorum) {
        watch_ask_quorum(c, quorum);
    }
}

static void take_image(struct console *c, struct image *img)
{
    struct watch *w = &c->watch;
    if (w->image == NULL || img->offset > w->image->offset) {
        image_put(w->image);
        w->image = image_get(img);
    }
}

static void take_own(struct console *c, const struct gather *g)
{
    struct watch *w = &c->watch;
    w->own_before = w->own;
    w->own_before_ms = w->own_ms;
    w->own = (struct watch_own){0};
    w->own_ms = console_now(c);
    for (unsigned i = 0; i < g->n; i++) {
        const struct own_answer *a = g->parts[i].answer;
        if (!g->parts[i].home) {
            continue;
        }
        topic_counts_add(&w->own.counts, &a->own.counts);
        w->own.requests += a->own.requests;
        w->own.connections += a->own.connections;
        if (a->controller) {
            w->controller = true;
            w->status = a->status;
        }
        if (a->image) {
            take_image(c, a->image);
        }
    }
}

static void own_done(struct gather *g)
{
    struct console *c = g->user;
    struct watch *w = &c->watch;
    const struct listeners_config *l = &console_config(c)->listeners;
    if (c->ended) {
        return;
    }
    take_own(c, g);
    watch_asked(c); /* until all questions are on their way */
    if (w->image) {
        console_peers_follow(c, w->image,
                             console_config(c)->is_broker ? l->v[l->inter_broker].name : NULL);
        watch_topics_follow(w);
        ask_peers(c);
    }
    watch_answered(c);
}

static const struct gather_kind own_kind = {
    .ask_data = ask_shard,
    .ask_controller = ask_controller,
    .done = own_done,
    .free_answer = free_own,
    .timeout_ms = OWN_MS,
};

/* ---- while somebody looks ---- */

static void forget(struct console *c)
{
    struct watch *w = &c->watch;
    console_peers_end(c);
    console_peers_free(c);
    watch_free(c);
    watch_init(c);
    w->looked_ms = console_now(c) - IDLE_MS;
}

static void on_timer(struct timer *t)
{
    struct console *c = t->user;
    struct watch *w = &c->watch;
    bool idle = console_now(c) - w->looked_ms >= IDLE_MS;
    if (idle && list_empty(&c->asks)) {
        forget(c);
        return;
    }
    w->busy = true;
    w->round++;
    w->slow = w->round % SLOW_ROUNDS == 1;
    w->began_ms = console_now(c);
    w->groups_left_out = 0;
    gather_start(c->monitor, &own_kind, NULL, c);
}

static void on_first(struct timer *t)
{
    struct console *c = t->user;
    if (c->watch.image) {
        console_first_round(c);
        return;
    }
    console_refuse_late(c, PATIENCE_MS);
    if (!list_empty(&c->waiting)) {
        timer_set(console_shard(c), t, console_now(c) + FIRST_MS);
    }
}

void watch_look(struct console *c)
{
    struct watch *w = &c->watch;
    w->looked_ms = console_now(c);
    if (!w->busy && !timer_is_set(&w->timer)) {
        timer_set(console_shard(c), &w->timer, w->looked_ms);
        timer_set(console_shard(c), &w->first, w->looked_ms + FIRST_MS);
    }
}

const struct watch_partition *watch_partition(const struct watch *w, struct uuid topic,
                                              int32_t partition)
{
    const struct watch_topic *t = map_get(&w->topics, bytes_of(topic.b, sizeof topic.b));
    return t && partition >= 0 && (uint32_t)partition < t->n ? &t->v[partition] : NULL;
}

const struct watch_partition *watch_partition_named(const struct watch *w, struct bytes topic,
                                                    int32_t partition)
{
    const struct image_topic *t = w->image ? image_topic_by_name(w->image, topic) : NULL;
    return t ? watch_partition(w, t->id, partition) : NULL;
}

struct watch_group *watch_group_find(const struct watch *w, struct bytes id)
{
    return map_get(&w->groups, id);
}

/* ---- life ---- */

void watch_init(struct console *c)
{
    c->watch = (struct watch){
        .done_ms = -1,
        .own_ms = -1,
        .own_before_ms = -1,
        .timer = {.cb = on_timer, .user = c},
        .first = {.cb = on_first, .user = c},
    };
}

void watch_end(struct console *c)
{
    if (monitor_shard(c->monitor)) {
        timer_cancel(console_shard(c), &c->watch.timer);
        timer_cancel(console_shard(c), &c->watch.first);
    }
}

void watch_free(struct console *c)
{
    struct watch *w = &c->watch;
    image_put(w->image);
    w->image = NULL;
    watch_topics_free(w);
    keep_drop_all(w);
    mem_free(w->quorum.v);
    w->quorum = (struct watch_quorum){0};
}
