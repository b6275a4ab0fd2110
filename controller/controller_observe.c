/* A controller that is no voter: it follows the committed log by Fetch and FetchSnapshot from the
 * active controller, as brokers do, and keeps the image of it, and nothing on its disk. Its
 * listener answers what any controller answers that is not active. It finds the quorum by
 * controller.quorum.bootstrap.servers, and the active one tells it where the voters are.
 *
 * Failure modes: metadata that does not decode ends the node (on_fatal), and so do controllers of
 * another cluster, and a quorum that has this node's id among its voters: one of the two is wrong
 * about itself. Whoever cannot be reached is tried again for ever (metadata_follower.h). */
#include "base/mem.h"
#include "controller/controller_private.h"
#include "controller/metadata_follower.h"
#include "proto_messages.h"

static void on_advanced(void *user)
{
    struct controller *c = user;
    struct loader *from = metadata_follower_loader(c->follower);
    controller_take_published(c, from);
    c->committed_offset = loader_next_offset(from);
}

static void on_leader(void *user, int32_t id, int32_t epoch)
{
    struct controller *c = user;
    log_info(c->log, "controller", "following the metadata log leader=%d epoch=%d", (int)id,
             (int)epoch);
    c->observed_leader = id;
    c->observed_epoch = epoch;
}

static void on_failed(void *user, const char *sentence)
{
    controller_fail(user, sentence);
}

static void on_voters(void *user, const struct describe_quorum_response *r)
{
    struct controller *c = user;
    if (metadata_follower_is_voter(r, c->cfg.node_id)) { /* after all, as the quorum says */
        struct errmsg em;
        errmsg_set(&em, 0,
                   "node.id=%d is a voter of the quorum, but this controller has no "
                   "controller.quorum.voters: give it that of the other voters, or another node.id",
                   (int)c->cfg.node_id);
        controller_fail(c, em.text);
        metadata_follower_pause(c->follower);
        return;
    }
    struct bytes own = c->cfg.endpoints_n > 0 ? bytes_str(c->cfg.endpoints[0].name) : BYTES_NULL;
    for (int32_t i = 0; i < r->nodes_n; i++) {
        struct channel_endpoint e;
        if (metadata_follower_address(&r->nodes[i], own, &e)) {
            channel_know(c->to_active, e.id, e.host, e.port);
        }
    }
}

static const struct metadata_follower_callbacks callbacks = {on_advanced, on_leader, on_voters,
                                                             on_failed};

void controller_observe(struct controller *c)
{
    struct metadata_follower_config fc = {
        .node_id = c->cfg.node_id,
        .cluster_id = c->cfg.cluster_id,
        .directory_id = c->cfg.directory_id,
        .fetch_bytes = c->cfg.fetch_bytes,
        .snapshot_bytes = c->cfg.fetch_snapshot_bytes,
        .request_timeout_ms = c->cfg.request_timeout_ms,
        .election_timeout_ms = c->cfg.election_timeout_ms,
        .retry_backoff_ms = c->cfg.retry_backoff_ms,
        .cb = &callbacks,
        .user = c,
    };
    c->observed_leader = -1;
    c->observed_epoch = -1;
    c->to_active = channel_socket_new(c->shard, c->cfg.servers, c->cfg.servers_n, "controller");
    c->follower = metadata_follower_new(c->shard, c->to_active, &fc);
    metadata_follower_start(c->follower);
}

void controller_observe_stop(struct controller *c)
{
    if (c->follower) {
        metadata_follower_stop(c->follower);
    }
}
