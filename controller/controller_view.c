/* What the active controller tells of voters and brokers when a person asks what is slow
 * (controller.h). Numbers are copied where they stand; nothing is decided here. */
#include "controller/controller_private.h"

static int64_t since(int64_t now_ms, int64_t then_ms)
{
    return then_ms < 0 ? -1 : now_ms > then_ms ? now_ms - then_ms : 0;
}

void controller_each_voter(const struct controller *c,
                           void (*fn)(const struct controller_voter_view *v, void *user),
                           void *user)
{
    ASSERT_ON_SHARD(c->shard);
    if (!c->active || c->quorum == NULL) {
        return;
    }
    int64_t end = metadata_log_end_offset(c->mlog), now = io_wall_ms(c->io);
    for (size_t i = 0; i < c->cfg.voters_n; i++) {
        int32_t id = c->cfg.voters[i].id;
        struct quorum_voter_status s;
        if (id == c->cfg.node_id) {
            continue;
        }
        quorum_voter_status(c->quorum, id, &s);
        struct controller_voter_view v = {
            .id = id,
            .behind = s.end_offset < 0 ? end : end - s.end_offset,
            .silent_ms = since(now, s.heard_ms),
            .caught_up_ms = since(now, s.caught_up_ms),
        };
        fn(&v, user);
    }
}

void controller_each_broker(const struct controller *c,
                            void (*fn)(const struct controller_broker_view *v, void *user),
                            void *user)
{
    ASSERT_ON_SHARD(c->shard);
    if (!c->active) {
        return;
    }
    int64_t now = shard_now_ms(c->shard);
    for (int32_t i = 0; i < c->committed->brokers_n; i++) {
        const struct image_broker *b = c->committed->brokers[i];
        const struct session_of_broker *s = sessions_find(&c->sessions, b->id);
        bool known = s != NULL && s->epoch == b->epoch;
        struct controller_broker_view v = {
            .id = b->id,
            .fenced = b->fenced,
            .leaving = b->in_controlled_shutdown,
            .silent_ms = known ? since(now, s->contact_ms) : -1,
            .behind = known && s->metadata_offset >= 0
                          ? c->committed_offset - 1 - s->metadata_offset
                          : -1,
        };
        fn(&v, user);
    }
}
