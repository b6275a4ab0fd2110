/* What the channels of all data shards are told: which controller is the active one, from the
 * controller in this process or else from the metadata loader, so that no shard waits for one that
 * has been replaced; and where the controllers are, as the active one says (DescribeQuorum), when
 * the configuration has no more than where to begin (controller.quorum.bootstrap.servers).
 *
 * Shard: the news start on one and the same shard, the controller's or main. */
#include "base/mem.h"
#include "broker/lifecycle.h"
#include "broker/node_priv.h"
#include "controller/channel.h"
#include "controller/metadata_follower.h"
#include "proto_messages.h"

static void news_run(struct shard *sh, struct call *c)
{
    struct leader_news *news = c->user;
    struct node_shard *ns = node_shard_of(sh);
    for (size_t i = 0; ns->channel && i < news->endpoints_n; i++) {
        const struct channel_endpoint *e = &news->endpoints[i];
        channel_know(ns->channel, e->id, e->host, e->port);
    }
    if (ns->channel && news->leader >= 0) {
        channel_leader(ns->channel, news->leader);
    }
    call_finish(sh, c);
}

static void tell_shard(struct node *n, unsigned i);

static void news_done(struct shard *sh, struct call *c)
{
    UNUSED(sh);
    struct leader_news *news = c->user;
    news->out = false;
    tell_shard(news->node, (unsigned)(news - news->node->priv->news));
}

/* What it has not been told yet. */
static void tell_shard(struct node *n, unsigned i)
{
    struct node_priv *p = n->priv;
    struct leader_news *news = &p->news[i];
    if (news->out || news->version == p->news_version) {
        return;
    }
    news->node = n;
    news->version = p->news_version;
    news->leader = p->leader;
    news->endpoints_n = p->endpoints_n;
    memcpy(news->endpoints, p->endpoints, p->endpoints_n * sizeof *p->endpoints);
    news->out = true;
    call_start(p->news_from, i, &news->call, news_run, news_done, news);
}

static void tell_all(struct node *n, struct shard *from)
{
    struct node_priv *p = n->priv;
    ASSERT_ON_SHARD(from);
    ASSERT(p->news_from == NULL || p->news_from == from);
    if (p->news == NULL) {
        p->news = mem_zalloc(n->data_shards * sizeof *p->news);
    }
    p->news_from = from;
    p->news_version++;
    for (unsigned i = 0; i < n->data_shards; i++) {
        tell_shard(n, i);
    }
}

void node_channel_leader(struct node *n, struct shard *from, int32_t leader)
{
    n->priv->leader = leader;
    tell_all(n, from);
}

void node_on_leader(struct node *n, int32_t leader)
{
    if (!n->voter) { /* else the controller in this process says it, and sooner */
        node_channel_leader(n, node_main(n)->shard, leader);
    }
}

void node_on_voters(struct node *n, const struct describe_quorum_response *r)
{
    struct node_priv *p = n->priv;
    if (!n->config->is_controller && metadata_follower_is_voter(r, n->id)) {
        node_fail(n,
                  "node.id=%d is a voter of the quorum, but process.roles=%s has no controller: "
                  "give this broker another node.id",
                  (int)n->id, n->config->v.process_roles);
        return;
    }
    struct config_list l = config_list_start(bytes_str(n->config->v.controller_listener_names));
    struct bytes name = BYTES_NULL; /* the listener by which this node reaches controllers */
    (void)config_list_next(&l, &name);
    p->endpoints_n = 0;
    for (int32_t i = 0; i < r->nodes_n && p->endpoints_n < ARRAY_LEN(p->endpoints); i++) {
        if (metadata_follower_address(&r->nodes[i], name, &p->endpoints[p->endpoints_n])) {
            p->endpoints_n++;
        }
    }
    tell_all(n, node_main(n)->shard);
    lifecycle_release(n->lifecycle);
}
