/* What the controller's shard knows of what is slow: the quorum, voters and brokers that are
 * behind; and, from the committed image and off that shard, partitions without a leader and
 * reassignments. */
#include "broker/monitor/why.h"
#include "controller/controller.h"
#include "controller/image.h"
#include "controller/leaderless.h"

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

/* Who would have to come back: those that have all records. */
static void tell_leaderless(struct why_answer *a, const struct image *img,
                            const struct image_topic *t, const struct image_partition *p)
{
    struct why_row *row = why_add(a, WHY_ELECTION, -1);
    struct buf isr = {0}, elr = {0};
    if (row == NULL) {
        return;
    }
    leaderless_put(&isr, img, NULL, p, p->isr, p->isr_n);
    leaderless_put(&elr, img, NULL, p, p->elr, p->elr_n);
    const char *name = why_text(a, row, "topic", t->name);
    why_number(row, "partition", p->index);
    why_text(a, row, "isr", buf_bytes(&isr));
    why_text(a, row, "elr", buf_bytes(&elr));
    why_say(a, row,
            "%s-%d has no leader: none of its replicas that have all records lives; in sync: %s; "
            "eligible: %s",
            name, (int)p->index, buf_cstr(&isr), buf_cstr(&elr));
    buf_free(&isr);
    buf_free(&elr);
}

struct moves {
    uint32_t n;
    const struct image_topic *topic; /* of one of them */
    int32_t index;
};

static void tell_moves(struct why_answer *a, const struct moves *m)
{
    struct why_row *row = m->n > 0 ? why_add(a, WHY_MOVE, -1) : NULL;
    if (row) {
        const char *name = why_text(a, row, "topic", m->topic->name);
        why_number(row, "partition", m->index);
        why_number(row, "partitions", m->n);
        why_say(a, row,
                "partitions of the cluster that are being reassigned: %u; %s-%d is one of "
                "them",
                m->n, name, (int)m->index);
    }
}

void why_add_image(struct why_answer *a, const struct image *img)
{
    struct moves moves = {0};
    struct image_topic_iter it = {0};
    const struct image_topic *t;
    while ((t = image_next_topic(img, &it)) != NULL) {
        for (uint32_t i = 0; i < t->partitions_n; i++) {
            const struct image_partition *p = t->partitions[i];
            if (p && p->leader < 0) {
                tell_leaderless(a, img, t, p);
            }
            if (p && p->adding_n + p->removing_n > 0) {
                moves = (struct moves){moves.n + 1, t, p->index};
            }
        }
    }
    tell_moves(a, &moves);
}
