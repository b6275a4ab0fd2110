/* What the channels of all data shards are told: where the controllers are, as the metadata has it,
 * when they were given no more than where to begin (controller.quorum.bootstrap.servers); and which
 * one is active, from the controller in this process or else from the metadata loader, so that no
 * shard waits for a controller that has been replaced.
 *
 * Shard: the data shard's own; the news of a leader start on one and the same shard, the
 * controller's or main. */
#include <stdio.h>

#include "base/mem.h"
#include "broker/node_priv.h"
#include "controller/channel.h"
#include "controller/image.h"

void node_channel_know(struct node_shard *ns)
{
    struct config_list l =
        config_list_start(bytes_str(ns->node->config->v.controller_listener_names));
    struct bytes name; /* the first one is how this node reaches controllers */
    bool any = config_list_next(&l, &name);
    const struct image *img = ns->image;
    for (int32_t i = 0; any && ns->channel && i < img->controllers_n; i++) {
        const struct image_controller *c = img->controllers[i];
        for (uint32_t k = 0; k < c->endpoints_n; k++) {
            const struct image_endpoint *e = &c->endpoints[k];
            char host[256];
            if (bytes_eq(e->name, name) && e->host.len < sizeof host) {
                snprintf(host, sizeof host, "%.*s", BYTES_FMT(e->host));
                channel_know(ns->channel, c->id, host, e->port);
            }
        }
    }
}

static void news_run(struct shard *sh, struct call *c)
{
    struct leader_news *news = c->user;
    struct node_shard *ns = node_shard_of(sh);
    if (ns->channel) {
        channel_leader(ns->channel, news->leader);
    }
    call_finish(sh, c);
}

static void tell_shard(struct node *n, unsigned i);

static void news_done(struct shard *sh, struct call *c)
{
    UNUSED(sh);
    struct leader_news *news = c->user;
    struct node *n = news->node;
    news->out = false;
    if (news->leader != n->priv->leader) {
        tell_shard(n, (unsigned)(news - n->priv->news));
    }
}

static void tell_shard(struct node *n, unsigned i)
{
    struct leader_news *news = &n->priv->news[i];
    if (!news->out && n->priv->leader >= 0) {
        news->node = n;
        news->leader = n->priv->leader;
        news->out = true;
        call_start(n->priv->news_from, i, &news->call, news_run, news_done, news);
    }
}

void node_channel_leader(struct node *n, struct shard *from, int32_t leader)
{
    struct node_priv *p = n->priv;
    ASSERT_ON_SHARD(from);
    ASSERT(p->news_from == NULL || p->news_from == from);
    if (p->news == NULL) {
        p->news = mem_zalloc(n->data_shards * sizeof *p->news);
    }
    p->news_from = from;
    p->leader = leader;
    for (unsigned i = 0; i < n->data_shards; i++) {
        tell_shard(n, i);
    }
}

void node_on_leader(struct node *n, int32_t leader)
{
    if (!n->config->is_controller) { /* else the controller in this process says it, and sooner */
        node_channel_leader(n, node_main(n)->shard, leader);
    }
}
