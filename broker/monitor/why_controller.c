/* What the controller's shard knows of what is slow: the quorum, voters and brokers that are
 * behind; and, from the committed image and off that shard, partitions without a leader and
 * reassignments. */
#include "broker/monitor/why.h"
#include "controller/controller.h"
#include "controller/image.h"

enum { BEHIND_MS = 1000, HEARTBEATS_MS = 4000, METADATA_BEHIND = 1000 };

static void take_voter(const struct controller_voter_view *v, void *user)
{
    struct why_answer *a = user;
    bool late = v->caught_up_ms < 0 || v->caught_up_ms > BEHIND_MS;
    if (!late || v->behind <= 0) {
        return;
    }
    struct why_row *row = why_add(a, WHY_QUORUM, v->caught_up_ms);
    if (row) {
        why_number(row, "voter", v->id);
        why_number(row, "records_behind", v->behind);
        why_number(row, "silent_ms", v->silent_ms);
        why_say(a, row, "controller %d is %lld records behind in the metadata log; it %s", v->id,
                (long long)v->behind,
                v->silent_ms < 0           ? "was never heard of"
                : v->silent_ms > BEHIND_MS ? "does not answer"
                                           : "answers");
    }
}

static void take_broker(const struct controller_broker_view *v, void *user)
{
    struct why_answer *a = user;
    bool silent = v->silent_ms > HEARTBEATS_MS, behind = v->behind > METADATA_BEHIND;
    if (!v->fenced && !v->leaving && !silent && !behind) {
        return;
    }
    struct why_row *row = why_add(a, WHY_BROKER, v->silent_ms);
    if (row == NULL) {
        return;
    }
    why_number(row, "broker", v->id);
    why_number(row, "heartbeat_ms", v->silent_ms);
    why_number(row, "records_behind", v->behind);
    row->ms = silent || v->silent_ms < 0 ? v->silent_ms : -1;
    why_say(a, row, "broker %d %s: %s", v->id,
            v->fenced    ? "is fenced"
            : v->leaving ? "is leaving in order"
                         : "is slow",
            v->silent_ms < 0 || silent ? "no heartbeat comes from it"
            : behind                   ? "it has not applied the newest metadata"
            : v->fenced                ? "it sends heartbeats and does not ask to serve yet"
                                       : "it sends heartbeats");
}

void why_take_controller(struct node *n, struct gather_part *p)
{
    struct why_answer *a = why_answer_new(p);
    struct errmsg why = {{0}};
    p->answer = a;
    if (n->controller == NULL || !controller_is_ready(n->controller, &why)) {
        struct why_row *row = why_add(a, WHY_QUORUM, -1);
        why_say(a, row, "the controller is not ready: %s",
                n->controller ? why.text : "it is not up");
    }
    if (n->controller) {
        struct controller_status status;
        controller_status(n->controller, &status);
        why_add_disk(a, &status.flushes, status.now_us, "a flush of the metadata log");
        controller_each_voter(n->controller, take_voter, a);
        controller_each_broker(n->controller, take_broker, a);
        a->image = image_get(controller_image(n->controller));
    }
}

/* ---- the image ---- */

struct census {
    uint32_t leaderless, moving;
    const struct image_topic *a_topic, *a_move;
    int32_t an_index, a_move_index;
};

static void look(struct census *c, const struct image_topic *t, const struct image_partition *p)
{
    if (p->leader < 0) {
        c->leaderless++;
        c->a_topic = t;
        c->an_index = p->index;
    }
    if (p->adding_n + p->removing_n > 0) {
        c->moving++;
        c->a_move = t;
        c->a_move_index = p->index;
    }
}

static void tell(struct why_answer *a, enum why_kind kind, uint32_t n, const struct image_topic *t,
                 int32_t index, const char *what)
{
    struct why_row *row = n > 0 ? why_add(a, kind, -1) : NULL;
    if (row) {
        const char *name = why_text(a, row, "topic", t->name);
        why_number(row, "partition", index);
        why_number(row, "partitions", n);
        why_say(a, row, "partitions of the cluster that %s: %u; %s-%d is one of them", what, n,
                name, index);
    }
}

void why_add_image(struct why_answer *a, const struct image *img)
{
    struct census c = {0};
    struct image_topic_iter it = {0};
    const struct image_topic *t;
    while ((t = image_next_topic(img, &it)) != NULL) {
        for (uint32_t i = 0; i < t->partitions_n; i++) {
            if (t->partitions[i]) {
                look(&c, t, t->partitions[i]);
            }
        }
    }
    tell(a, WHY_ELECTION, c.leaderless, c.a_topic, c.an_index,
         "have no leader: none of their replicas in sync lives");
    tell(a, WHY_MOVE, c.moving, c.a_move, c.a_move_index, "are being reassigned");
}
