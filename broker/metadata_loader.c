#include "broker/metadata_loader.h"

#include "base/mem.h"
#include "broker/config.h"
#include "broker/lifecycle.h"
#include "broker/messages.h"
#include "controller/metadata_follower.h"
#include "storage/log_dir.h"

enum { PUBLICATIONS_MAX = 16 }; /* versions under way before fetching pauses */

/* One version on its way to one data shard and back. */
struct image_msg {
    struct msg m;
    struct publication *pub;
    bool home;
};

/* A version that not all shards have applied yet; freed when the last message is home. */
struct publication {
    struct list node; /* in loader->publications, oldest first */
    int64_t offset;
    struct image_delta *delta; /* a reference */
    unsigned missing;          /* shards that have not sent it back */
    bool caught_up;            /* the first one */
    struct image_msg msgs[];   /* one for each data shard */
};

struct metadata_loader {
    struct node *node;
    struct shard *shard; /* main */
    struct metadata_follower *follower;
    struct list publications;
    unsigned publications_n;
    int64_t applied;
    bool first_published;
    bool stopped;
};

/* ---- publishing ---- */

static void publication_free(struct publication *pub)
{
    image_delta_put(pub->delta);
    mem_free(pub);
}

static void on_advanced(void *user)
{
    struct metadata_loader *l = user;
    struct loader *from = metadata_follower_loader(l->follower);
    struct image_delta *delta;
    if (!loader_publish(from, &delta)) {
        if (list_empty(&l->publications) && l->first_published) {
            l->applied = loader_next_offset(from) - 1;
        }
        return;
    }
    unsigned shards = l->node->data_shards;
    struct publication *pub = mem_zalloc(sizeof *pub + shards * sizeof pub->msgs[0]);
    pub->delta = delta;
    pub->offset = loader_next_offset(from) - 1;
    pub->missing = shards;
    pub->caught_up = !l->first_published;
    l->first_published = true;
    list_push_back(&l->publications, &pub->node);
    if (++l->publications_n >= PUBLICATIONS_MAX) {
        metadata_follower_pause(l->follower);
    }
    for (unsigned i = 0; i < shards; i++) {
        struct image_msg *im = &pub->msgs[i];
        im->m.kind = MSG_IMAGE;
        im->pub = pub;
        shard_send(l->shard, i, &im->m);
    }
}

/* A shard has applied the version. Versions are finished in order: every shard gets them in order.
 */
static void on_home(struct metadata_loader *l, struct image_msg *im)
{
    struct publication *pub = im->pub;
    ASSERT(pub->missing > 0);
    if (--pub->missing > 0) {
        return;
    }
    ASSERT(l->publications.next == &pub->node);
    list_remove(&pub->node);
    l->publications_n--;
    l->applied = pub->offset;
    bool caught_up = pub->caught_up;
    publication_free(pub);
    if (caught_up && !l->stopped) {
        node_on_caught_up(l->node);
    }
    lifecycle_on_metadata(l->node->lifecycle);
    metadata_follower_resume(l->follower);
}

void metadata_on_image(struct node_shard *ns, struct msg *m)
{
    struct image_msg *im = CONTAINER_OF(m, struct image_msg, m);
    ASSERT_ON_SHARD(ns->shard);
    if (im->home) {
        on_home(ns->node->loader, im);
        return;
    }
    node_apply_image(ns, im->pub->delta);
    im->home = true;
    shard_send(ns->shard, 0, m);
}

/* ---- what else the follower says ---- */

static void on_leader(void *user, int32_t id, int32_t epoch)
{
    struct metadata_loader *l = user;
    UNUSED(epoch);
    node_on_leader(l->node, id);
}

static void on_voters(void *user, const struct describe_quorum_response *r)
{
    struct metadata_loader *l = user;
    node_on_voters(l->node, r);
}

static void on_failed(void *user, const char *sentence)
{
    struct metadata_loader *l = user;
    node_fail(l->node, "%s", sentence);
}

static const struct metadata_follower_callbacks callbacks = {on_advanced, on_leader, NULL,
                                                             on_failed};
static const struct metadata_follower_callbacks callbacks_learning = {on_advanced, on_leader,
                                                                      on_voters, on_failed};

/* ---- life ---- */

/* Of the log directory where this node's metadata log would be: what DescribeQuorum tells of an
 * observer. Zero: that one is no log directory, or could not be opened. */
static struct uuid directory_id(const struct node *n)
{
    for (unsigned d = 0; d < n->log_dirs_n; d++) {
        if (n->log_dirs[d] && strcmp(n->log_dirs[d]->path, n->config->metadata_log_dir) == 0) {
            return n->log_dirs[d]->meta.directory_id;
        }
    }
    return UUID_ZERO;
}

struct metadata_loader *metadata_loader_new(struct node *n)
{
    const struct config_values *v = &n->config->v;
    struct metadata_loader *l = MEM_NEW(struct metadata_loader);
    struct metadata_follower_config fc = {
        .node_id = n->id,
        .cluster_id = n->cluster_id,
        .directory_id = directory_id(n),
        .fetch_bytes = v->controller_quorum_fetch_max_bytes,
        .snapshot_bytes = v->controller_quorum_fetch_snapshot_max_bytes,
        .request_timeout_ms = v->controller_quorum_request_timeout_ms,
        .election_timeout_ms = v->controller_raft_election_timeout_ms,
        .retry_backoff_ms = v->controller_quorum_retry_backoff_ms,
        .cb = config_learns_voters(n->config) && !n->voter ? &callbacks_learning : &callbacks,
        .user = l,
    };
    l->node = n;
    l->shard = n->shards[0].shard;
    l->applied = -1;
    l->follower = metadata_follower_new(l->shard, n->shards[0].channel, &fc);
    list_init(&l->publications);
    return l;
}

void metadata_loader_start(struct metadata_loader *l)
{
    ASSERT_ON_SHARD(l->shard);
    metadata_follower_start(l->follower);
}

void metadata_loader_stop(struct metadata_loader *l)
{
    ASSERT_ON_SHARD(l->shard);
    l->stopped = true;
    metadata_follower_stop(l->follower);
}

bool metadata_loader_busy(const struct metadata_loader *l)
{
    return !list_empty(&l->publications);
}

int64_t metadata_loader_applied(const struct metadata_loader *l)
{
    return l->applied;
}

void metadata_loader_free(struct metadata_loader *l)
{
    struct list *at;
    if (l == NULL) {
        return;
    }
    while ((at = list_pop_front(&l->publications)) != NULL) { /* a node that did not stop */
        publication_free(LIST_ENTRY(at, struct publication, node));
    }
    metadata_follower_free(l->follower);
    mem_free(l);
}
