#include "broker/scatter.h"

#include "base/mem.h"
#include "broker/call.h"
#include "broker/partition_manager.h"

struct leg {
    struct call call;
    struct scatter *s;
    unsigned home;
    struct arena arena;
};

struct scatter {
    struct request *r;
    struct node_shard *ns;
    uint8_t *items;
    size_t item_size;
    uint32_t n;
    unsigned *homes; /* of each item */
    scatter_run_fn *run;
    scatter_done_fn *done;
    void *user;
    int64_t image_offset;
    uint32_t out;
    uint32_t legs_n;
    struct leg legs[];
};

static struct scatter_item *item(const struct scatter *s, uint32_t i)
{
    return (struct scatter_item *)(void *)(s->items + i * s->item_size);
}

static void run_items(struct node_shard *home, struct leg *leg)
{
    struct scatter *s = leg->s;
    for (uint32_t i = 0; i < s->n; i++) {
        struct scatter_item *it = item(s, i);
        if (s->homes[i] == leg->home) {
            struct partition *p = partition_find(home->partitions, it->topic_id, it->index);
            s->run(home, p, it, s->user, &leg->arena);
        }
    }
}

static void finish(struct scatter *s)
{
    s->done(s->r, s->user);
    for (uint32_t i = 0; i < s->legs_n; i++) {
        arena_free(&s->legs[i].arena);
    }
    mem_free(s->homes);
    mem_free(s);
}

static void leg_home(struct scatter *s)
{
    ASSERT(s->out > 0);
    if (--s->out == 0) {
        finish(s);
    }
}

static void call_run(struct shard *sh, struct call *c)
{
    struct leg *leg = c->user;
    struct node_shard *home = node_shard_of(sh);
    if (!node_wait_image(home, &c->m, leg->s->image_offset)) {
        run_items(home, leg);
        call_finish(sh, c);
    }
}

static void call_done(struct shard *sh, struct call *c)
{
    UNUSED(sh);
    leg_home(((struct leg *)c->user)->s);
}

static void add_leg(struct scatter *s, unsigned home)
{
    for (uint32_t i = 0; i < s->legs_n; i++) {
        if (s->legs[i].home == home) {
            return;
        }
    }
    struct leg *leg = &s->legs[s->legs_n++];
    leg->s = s;
    leg->home = home;
}

void scatter_start(struct request *r, void *items, size_t item_size, uint32_t n,
                   scatter_run_fn *run, scatter_done_fn *done, void *user)
{
    struct node_shard *ns = r->ns;
    unsigned shards = ns->node->data_shards;
    struct scatter *s = mem_zalloc(sizeof *s + shards * sizeof s->legs[0]);
    s->r = r;
    s->ns = ns;
    s->items = items;
    s->item_size = item_size;
    s->n = n;
    s->run = run;
    s->done = done;
    s->user = user;
    s->image_offset = image_version(ns);
    s->homes = mem_alloc((n + 1) * sizeof *s->homes);
    for (uint32_t i = 0; i < n; i++) {
        const struct scatter_item *it = item(s, i);
        s->homes[i] = it->error ? UINT32_MAX : node_home_shard(ns->node, it->topic_id, it->index);
        if (!it->error) {
            add_leg(s, s->homes[i]);
        }
    }
    s->out = s->legs_n + 1;
    for (uint32_t i = 0; i < s->legs_n; i++) {
        struct leg *leg = &s->legs[i];
        if (leg->home == ns->index) {
            run_items(ns, leg);
            s->out--;
        } else {
            call_start(ns->shard, leg->home, &leg->call, call_run, call_done, leg);
        }
    }
    leg_home(s);
}
