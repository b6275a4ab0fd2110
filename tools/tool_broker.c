/* millrace broker drain ID: empties a broker, so that it can be stopped for good. Every replica
 * that it has goes to another broker (plan.h says where); then it says how to stop and forget it.
 *
 *     look -> plan -> refuse, or move and wait (mover.h) -> look again ... until nothing is there
 *
 * It looks again because topics may be created meanwhile and placed on it; ROUNDS_MAX bounds that.
 *
 * It can be interrupted at any moment and run again: partitions that are on their way stay so, and
 * only what is still there is planned anew. A broker that is down can be drained too: its replicas
 * are made anew from those that live. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/assert.h"
#include "proto_messages.h"
#include "tools/args.h"
#include "tools/client.h"
#include "tools/listing.h"
#include "tools/mover.h"
#include "tools/output.h"
#include "tools/reassignment.h"
#include "tools/tool.h"

enum { ROUNDS_MAX = 20, STATUS_INTERRUPTED = 130, PATIENCE_S = 30, LATE_TRIES = 40, LATE_MS = 50 };

static const struct arg_def defs[] = {
    {"bootstrap-server", ARG_VALUE, "HOST:PORT,...", "The brokers to connect to. Required."},
    {"command-config", ARG_VALUE, "FILE", "Client settings in a properties file."},
    {"throttle", ARG_VALUE, "BYTES",
     "Copy at most so many bytes a second from and to each broker; taken off in the end. Says how "
     "long that takes at least."},
    {"patience", ARG_VALUE, "SECONDS",
     "Another broker is found for what goes to one that is down for so long (30)."},
    {"dry-run", ARG_FLAG, NULL, "Only show what would move where."},
    {"status", ARG_FLAG, NULL, "Only say what is left on it; ends with 0 if nothing is."},
    {"cancel", ARG_FLAG, NULL,
     "Call off what still moves away from it, whoever began that; other moves go on."},
    {"json", ARG_FLAG, NULL,
     "With --dry-run and --status: print one line of JSON instead, for programs."},
};

static const struct arg_command commands[] = {
    {"drain", "Move everything off the broker.", "throttle patience dry-run status cancel json"},
};

static const struct args_spec spec = {
    .tool = "broker",
    .about = "empty a broker, so that it can be stopped for good",
    .examples =
        "  millrace broker drain 3 --bootstrap-server localhost:9092 --dry-run\n"
        "  millrace broker drain 3 --bootstrap-server localhost:9092 --throttle 50000000\n"
        "  millrace broker drain 3 --bootstrap-server localhost:9092 --status\n"
        "\n"
        "Ctrl-C ends the tool, not the moves: run it again to see them through, with another\n"
        "--throttle if you like, or with --cancel to call them off. Nothing begins if a topic\n"
        "would lack brokers, if the broker has the last replica in sync, or if a disk would be\n"
        "too full.\n",
    .defs = defs,
    .n = ARRAY_LEN(defs),
    .commands = commands,
    .commands_n = ARRAY_LEN(commands),
    .operand = "ID",
};

struct drain {
    struct client *c;
    const struct args *a;
    int32_t id;
    const char *servers;
    struct view view;
    struct plan plan, now;
    struct mover mover;
};

/* ---- looking ---- */

static int look(struct drain *d)
{
    int rv = view_ask(d->c, &d->view);
    if (rv) {
        return rv;
    }
    view_ask_dirs(d->c, &d->view);
    plan_begin(&d->now, &d->c->arena, &d->view);
    plan_begin(&d->plan, &d->c->arena, &d->view);
    return 0;
}

/* Is one of the partitions that were moved off still told to be there, and not to move? The broker
 * that was asked does not know yet; planned by that, the partition would move a second time. */
static bool is_late(const struct drain *d, const struct plan *done)
{
    for (int32_t i = 0; i < done->parts_n; i++) {
        const struct plan_part *part = &done->parts[i];
        const struct view_topic *t = view_topic(&d->view, part->topic->name);
        const struct view_partition *p =
            t && part->index < t->partitions_n ? &t->partitions[part->index] : NULL;
        if (plan_moves(part) && p && p->removing.n == 0 && view_ids_has(p->replicas, d->id)) {
            return true;
        }
    }
    return false;
}

static int look_after(struct drain *d)
{
    const struct plan done = d->plan;
    int rv = look(d);
    for (int i = 0; i < LATE_TRIES && rv == 0 && is_late(d, &done); i++) {
        usleep(LATE_MS * 1000);
        rv = look(d);
    }
    return rv;
}

struct left {
    int32_t replicas, leaders, leaving, coming;
};

/* What is on it now, wherever it goes. */
static struct left left_on(const struct view *v, int32_t id)
{
    struct left n = {0};
    for (int32_t t = 0; t < v->topics_n; t++) {
        for (int32_t k = 0; k < v->topics[t].partitions_n; k++) {
            const struct view_partition *p = &v->topics[t].partitions[k];
            n.replicas += view_ids_has(p->replicas, id);
            n.leaders += p->leader == id;
            n.leaving += view_ids_has(p->removing, id);
            n.coming += view_ids_has(p->adding, id);
        }
    }
    return n;
}

/* ---- what is said ---- */

static const char *drain_command(const struct drain *d, const char *more)
{
    return arena_printf(&d->c->arena, "millrace broker drain %d --bootstrap-server %s%s", d->id,
                        d->servers, more);
}

static void warn_of_racks(const struct drain *d)
{
    int32_t n = d->plan.racks_worse;
    if (n) {
        printf("Warning: without broker %d, %d partition%s in fewer racks than now.\n", d->id, n,
               n == 1 ? " lies" : "s lie");
    }
}

static void say_begin(const struct drain *d)
{
    struct plan_total t = plan_total(&d->plan);
    const char *between = "";
    if (t.copies) {
        printf("Moving %d replica%s off broker %d, %s: ", t.copies, t.copies == 1 ? "" : "s", d->id,
               plan_size_text(&d->c->arena, t.bytes));
        for (int32_t i = 0; i < d->plan.brokers_n; i++) {
            int32_t more = d->plan.brokers[i].replicas - d->now.brokers[i].replicas;
            if (more > 0) {
                printf("%s%d to broker %d", between, more, d->plan.brokers[i].id);
                between = ", ";
            }
        }
        printf(".\n");
    }
    warn_of_racks(d);
    plan_print_time(&d->plan, d->mover.throttle);
    output_flush();
}

/* Who is also a controller takes a voter away when it stops. */
static void say_of_quorum(const struct drain *d)
{
    struct describe_quorum_response_partition_data *log;
    struct describe_quorum_response *whole;
    if (view_ask_quorum(d->c, &log, &whole)) {
        printf("Who the controllers are could not be asked: %s\n", d->c->error.text);
        return;
    }
    for (int32_t i = 0; i < log->current_voters_n; i++) {
        if (log->current_voters[i].replica_id == d->id) {
            printf(
                "Node %d is a controller too, one of %d voters: without it the quorum stands the "
                "loss of one voter less. Keep the node with process.roles=controller, or give "
                "its id to another machine (millrace storage admit-voter).\n",
                d->id, log->current_voters_n);
        }
    }
}

static void say_end(const struct drain *d)
{
    const struct view_broker *b = view_broker(&d->view, d->id);
    printf("Broker %d has no replicas and leads nothing: it can be stopped for good.\n", d->id);
    if (!b->fenced) {
        printf("On %.*s, end its process in order:\n    kill -TERM PID    (or: systemctl stop "
               "millrace@NAME)\n",
               BYTES_FMT(b->host));
    }
    printf("%s\n    millrace cluster unregister --bootstrap-server %s --id %d\n",
           b->fenced ? "Let the cluster forget it:" : "Then let the cluster forget it:", d->servers,
           d->id);
    say_of_quorum(d);
}

static int interrupted(const struct drain *d)
{
    printf("Interrupted. What was begun goes on by itself; see it through with\n    %s\nor call it "
           "off with\n    %s\n",
           drain_command(d, ""), drain_command(d, " --cancel"));
    return STATUS_INTERRUPTED;
}

static int fail(const struct drain *d)
{
    fprintf(stderr, "%s\n", d->c->error.text);
    return 1;
}

static int refused(const struct drain *d)
{
    fprintf(stderr, "%s\n", d->plan.refusal);
    return 1;
}

/* ---- what it does ---- */

static int dry_run(struct drain *d)
{
    if (!plan_drain(&d->plan, d->id)) {
        return refused(d);
    }
    if (args_has(d->a, "json")) {
        plan_print_json(&d->plan, &d->now, d->mover.throttle, -1);
        return 0;
    }
    plan_print(&d->plan, &d->now);
    plan_print_moves(&d->plan);
    warn_of_racks(d);
    plan_print_time(&d->plan, d->mover.throttle);
    return 0;
}

static void print_left(int32_t id, struct left n)
{
    json_t *all = listing_new("drain"), *o = listing_item(all);
    json_put_int(o, "broker", id);
    json_put_int(o, "replicas", n.replicas);
    json_put_int(o, "leaders", n.leaders);
    json_put_int(o, "leaving", n.leaving);
    listing_print(all);
}

static int status(struct drain *d)
{
    struct left n = left_on(&d->view, d->id);
    if (view_broker(&d->view, d->id) == NULL) {
        plan_drain(&d->plan, d->id);
        return refused(d);
    }
    if (args_has(d->a, "json")) {
        print_left(d->id, n);
    } else if (n.replicas + n.leaders == 0) {
        say_end(d);
    } else {
        printf("Broker %d has %d replica%s and leads %d; %d of its replicas %s on the way to "
               "others.\n",
               d->id, n.replicas, n.replicas == 1 ? "" : "s", n.leaders, n.leaving,
               n.leaving == 1 ? "is" : "are");
    }
    return n.replicas + n.leaders ? 1 : 0;
}

/* What --cancel does not bring back. How much that is the cluster does not note, but for a throttle
 * that was set for it. */
static void say_left_before(const struct drain *d, int32_t n)
{
    struct left on = left_on(&d->view, d->id);
    int32_t still = on.replicas - on.coming;
    if (n) {
        printf("At least %d replica%s broker %d already and stay%s there", n,
               n == 1 ? " has left" : "s have left", d->id, n == 1 ? "s" : "");
    } else {
        printf("What has left broker %d already stays there", d->id);
    }
    printf(" (millrace balance evens out); %d %s still on it.\n", still, still == 1 ? "is" : "are");
}

static int cancel(struct drain *d)
{
    int32_t n, have_left = mover_have_left(&d->mover, &d->view);
    if (mover_cancel(&d->mover, &d->view, &n)) {
        return fail(d);
    }
    printf("%d move%s called off.\n", n, n == 1 ? " was" : "s were");
    say_left_before(d, have_left);
    if (d->mover.others) {
        printf("%d other move%s on, taking nothing away from broker %d (millrace "
               "reassign-partitions --list).\n",
               d->mover.others, d->mover.others == 1 ? " goes" : "s go", d->id);
    }
    return d->mover.refused ? 1 : 0;
}

static int end(struct drain *d)
{
    if (mover_throttle_left(&d->mover, &d->view)) {
        return fail(d);
    }
    say_end(d);
    return 0;
}

static int run(struct drain *d)
{
    reassign_catch_interrupts();
    for (int i = 0; i < ROUNDS_MAX; i++) {
        if (i > 0 && look_after(d)) {
            return fail(d);
        }
        if (!plan_drain(&d->plan, d->id)) {
            return refused(d);
        }
        struct left n = left_on(&d->view, d->id);
        if (!mover_has_work(&d->mover, &d->plan) && n.replicas + n.leaders == 0) {
            return end(d);
        }
        say_begin(d);
        int rv = reassign_interrupted() ? ERR_CANCELED : mover_run(&d->mover, &d->plan);
        if (rv == ERR_CANCELED || reassign_interrupted()) {
            return interrupted(d);
        }
        if (rv == ERR_TIMEOUT) { /* planned anew, without it */
            fprintf(stderr, "%s; others are to take them.\n", d->c->error.text);
        } else if (rv) {
            return fail(d);
        }
    }
    struct left n = left_on(&d->view, d->id);
    fprintf(
        stderr,
        "After %d rounds broker %d still has %d replicas and leads %d: new ones come, or cannot "
        "be moved. Run it again.\n",
        ROUNDS_MAX, d->id, n.replicas, n.leaders);
    return 1;
}

static int drain(struct client *c, const struct args *a)
{
    struct drain d = {.c = c, .a = a, .servers = args_get(a, "bootstrap-server", "")};
    char *end;
    long id = strtol(a->operand, &end, 10);
    if (*end || end == a->operand || id < 0 || id > INT32_MAX) {
        args_fail(a, "'%s' is not the id of a broker", a->operand);
    }
    if (args_has(a, "dry-run") + args_has(a, "status") + args_has(a, "cancel") > 1) {
        args_fail(a, "Give one of --dry-run, --status and --cancel");
    }
    if (args_has(a, "json") && !args_has(a, "dry-run") && !args_has(a, "status")) {
        args_fail(a, "--json goes with --dry-run and --status");
    }
    d.id = (int32_t)id;
    d.mover = (struct mover){
        .c = c,
        .broker = d.id,
        .throttle = args_int(a, "throttle", 0, 1, INT64_MAX),
        .patience_ms = args_int(a, "patience", PATIENCE_S, 1, INT32_MAX) * 1000,
    };
    int rv = client_init(c, d.servers, args_get(a, "command-config", NULL));
    rv = rv ? rv : look(&d);
    return rv                       ? fail(&d)
           : args_has(a, "dry-run") ? dry_run(&d)
           : args_has(a, "status")  ? status(&d)
           : args_has(a, "cancel")  ? cancel(&d)
                                    : run(&d);
}

int tool_broker(int argc, char **argv)
{
    struct args a;
    struct client c = {0};
    args_parse(&a, &spec, argc, argv);
    args_require(&a, "bootstrap-server");
    int status = drain(&c, &a);
    client_close(&c);
    args_free(&a);
    return status;
}
