/* One that follows the committed `__cluster_metadata-0` and is no voter, a broker or a controller:
 * asks the active controller by Fetch, or FetchSnapshot when it is too far behind, and feeds a
 * loader. What the loader has then is the owner's to publish.
 *
 *     Fetch -> loader_feed -> advanced() -> Fetch ...
 *       \-> FetchSnapshot ... -> advanced() -/
 *
 * `advanced` comes first when the loader has all that the controller had committed when it
 * answered, so that the owner's first version is a whole one, and after every answer from then on,
 * also after one that brought nothing.
 *
 * A new leader of the quorum, once it answers, is told. If the configuration does not name all
 * controllers (controller.quorum.bootstrap.servers), it is asked first where they are
 * (DescribeQuorum): it may be gone the next moment, and a node that serves can do without those
 * that it began with. A leader that does not say it is followed all the same, and asked again from
 * time to time.
 *
 * Failure modes: a silent controller: the others are asked (short timeouts, see fetch_timeout). No
 * controller, a broken connection, NOT_LEADER and the like: tried again after retry_backoff_ms.
 * Metadata that does not decode or contradicts itself, and a controller that says that it belongs
 * to another cluster: `failed`, once, and nothing more is asked: it must not be served.
 *
 * Shard: the owner's, as its channel's. */
#ifndef CONTROLLER_METADATA_FOLLOWER_H
#define CONTROLLER_METADATA_FOLLOWER_H

#include "base/uuid.h"
#include "controller/channel.h"
#include "controller/loader.h"

struct metadata_follower;
struct describe_quorum_response;
struct describe_quorum_response_node;

struct metadata_follower_callbacks {
    void (*advanced)(void *user);
    void (*leader)(void *user, int32_t id, int32_t epoch);
    /* Where the controllers are, as the leader says; NULL: they are all known. */
    void (*voters)(void *user, const struct describe_quorum_response *r);
    void (*failed)(void *user, const char *sentence);
};

struct metadata_follower_config {
    int32_t node_id;
    const char *cluster_id;     /* kept, not copied */
    struct uuid directory_id;   /* what DescribeQuorum tells of an observer; zero: none */
    int32_t fetch_bytes;        /* controller.quorum.fetch.max.bytes */
    int32_t snapshot_bytes;     /* controller.quorum.fetch.snapshot.max.bytes */
    int64_t request_timeout_ms; /* controller.quorum.request.timeout.ms */
    int64_t election_timeout_ms;
    int64_t retry_backoff_ms; /* controller.quorum.retry.backoff.ms */
    const struct metadata_follower_callbacks *cb;
    void *user;
};

/* ch is the owner's and outlives the follower. */
struct metadata_follower *metadata_follower_new(struct shard *sh, struct channel *ch,
                                                const struct metadata_follower_config *cfg);
void metadata_follower_start(struct metadata_follower *f);
/* The owner cannot take more for now: no more is asked for after this. */
void metadata_follower_pause(struct metadata_follower *f);
void metadata_follower_resume(struct metadata_follower *f);
void metadata_follower_stop(struct metadata_follower *f); /* no callback comes after it */
void metadata_follower_free(struct metadata_follower *f); /* stopped; NULL is fine */

struct loader *metadata_follower_loader(struct metadata_follower *f);

/* Of an answer to `voters`: is this node one of the quorum's? */
bool metadata_follower_is_voter(const struct describe_quorum_response *r, int32_t id);
/* Of an answer to `voters`: where a controller is reached, by its listener of that name (null: none
 * is meant) or by the only one it has. False: by neither. */
bool metadata_follower_address(const struct describe_quorum_response_node *controller,
                               struct bytes listener, struct channel_endpoint *out);

#endif
