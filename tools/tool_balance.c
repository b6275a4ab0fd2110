/* millrace balance: evens out what the brokers carry, bytes, replicas, leaders and what is written
 * to them, with few moves.
 *
 *     --dry-run  look, and again for some seconds (view.h: what is written) -> plan (plan.h)
 *                -> show it
 *     --execute  the same, then move and wait (mover.h), and let the first replicas lead
 *
 * What moves already when it begins is counted as being where it goes, and waited for: a balance
 * that was interrupted is taken up where it was. */
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

#include "base/assert.h"
#include "proto_messages.h"
#include "tools/args.h"
#include "tools/client.h"
#include "tools/clock.h"
#include "tools/listing.h"
#include "tools/mover.h"
#include "tools/output.h"
#include "tools/reassignment.h"
#include "tools/tool.h"

/* So long that a producer's batches and pauses even out, so short that somebody waits for it. */
enum { SAMPLE_S = 10, SAMPLE_S_MAX = 3600, SHOW_MS = 1000 };
enum { LOOKS = 10 }; /* in a sample: what one of them cannot tell is a tenth of it */
enum { TOLERANCE_PERCENT = 10, PATIENCE_MS = 60000, STATUS_INTERRUPTED = 130 };

static const struct arg_def defs[] = {
    {"bootstrap-server", ARG_VALUE, "HOST:PORT,...", "The brokers to connect to. Required."},
    {"command-config", ARG_VALUE, "FILE", "Client settings in a properties file."},
    {"dry-run", ARG_FLAG, NULL, "Only show what would move where."},
    {"execute", ARG_FLAG, NULL, "Move it, and wait until all is moved."},
    {"cancel", ARG_FLAG, NULL, "Call off everything that moves."},
    {"tolerance", ARG_VALUE, "PERCENT",
     "How far from its share a broker may be, in bytes, replicas and leaders (10); in what is "
     "written to it twice as far."},
    {"sample-seconds", ARG_VALUE, "SECONDS",
     "How long to look at what is written to each partition (10); 0: leave that out."},
    {"throttle", ARG_VALUE, "BYTES",
     "Copy at most so many bytes a second from and to each broker; taken off in the end. Says how "
     "long that takes at least."},
    {"json", ARG_FLAG, NULL, "With --dry-run: print one line of JSON instead, for programs."},
};

static const struct args_spec spec = {
    .tool = "balance",
    .about = "even out disks, leaders and traffic over the brokers, with few moves",
    .examples =
        "  millrace balance --bootstrap-server localhost:9092 --dry-run\n"
        "  millrace balance --bootstrap-server localhost:9092 --execute --throttle 50000000\n"
        "\n"
        "It goes by the bytes, the number of replicas and the number of leaders of each broker,\n"
        "and by what is written to it: as the leader (LED/S), where another order of replicas is\n"
        "tried before anything is copied, and as leader or follower (WRITTEN/S). What is written\n"
        "is the growth of the logs over --sample-seconds; take a longer sample where load comes\n"
        "in waves. What clients read is not seen: leaders stand for it. A broker's share of the\n"
        "bytes is that of its disks. Partitions that are not wholly in sync are left alone, and\n"
        "--execute then ends with 1: run it again when they are. None ever has fewer replicas "
        "than\n"
        "before, and racks are kept apart. Ctrl-C ends the tool, not the moves: run it again to\n"
        "see them through, or with --cancel to call them off.\n",
    .defs = defs,
    .n = ARRAY_LEN(defs),
};

struct balance {
    struct client *c;
    const struct args *a;
    struct view view;
    int32_t tolerance;
    struct plan plan, now;
    struct mover mover;
};

static int look_once(struct balance *b)
{
    int rv = view_ask(b->c, &b->view);
    if (rv == 0) {
        view_ask_dirs(b->c, &b->view);
    }
    return rv;
}

/* Until then; on a terminal it says how long it still takes to the end of all. */
static void wait_until(int64_t ms, int64_t end_ms, bool terminal)
{
    for (int64_t now; (now = steady_ms()) < ms;) {
        if (terminal) {
            fprintf(stderr, "\r\033[KLooking at what is written, %lld s left",
                    (long long)(end_ms - now + 999) / 1000);
            fflush(stderr);
        }
        poll(NULL, 0, (int)(ms - now < SHOW_MS ? ms - now : SHOW_MS));
    }
}

/* The last look is the one that is planned upon. */
static int look_and_measure(struct balance *b, int64_t seconds)
{
    bool terminal = isatty(STDERR_FILENO);
    int64_t begin_ms = steady_ms(), ms = seconds * 1000;
    int rv = look_once(b);
    for (int i = 1; i <= LOOKS && seconds > 0 && rv == 0; i++) {
        const struct view before = b->view;
        client_hang_up(b->c);
        wait_until(begin_ms + ms * i / LOOKS, begin_ms + ms, terminal);
        rv = look_once(b);
        if (rv == 0) {
            view_measure(&before, &b->view);
        }
    }
    if (terminal && seconds > 0) {
        fprintf(stderr, "\r\033[K");
    }
    return rv;
}

static int look(struct balance *b)
{
    b->tolerance = (int32_t)args_int(b->a, "tolerance", TOLERANCE_PERCENT, 1, 100);
    int64_t seconds = args_int(b->a, "sample-seconds", SAMPLE_S, 0, SAMPLE_S_MAX);
    int rv = look_and_measure(b, args_has(b->a, "cancel") ? 0 : seconds);
    if (rv == 0) {
        plan_begin(&b->now, &b->c->arena, &b->view);
        plan_begin(&b->plan, &b->c->arena, &b->view);
        plan_balance(&b->plan, b->tolerance);
    }
    return rv;
}

static int32_t leaders_elsewhere(const struct view *v)
{
    int32_t n = 0;
    for (int32_t t = 0; t < v->topics_n; t++) {
        for (int32_t k = 0; k < v->topics[t].partitions_n; k++) {
            const struct view_partition *p = &v->topics[t].partitions[k];
            n += p->replicas.n && p->leader >= 0 && p->leader != p->replicas.v[0] &&
                 view_ids_has(p->isr, p->replicas.v[0]);
        }
    }
    return n;
}

/* ---- what it does ---- */

static int fail(const struct balance *b)
{
    fprintf(stderr, "%s\n", b->c->error.text);
    return 1;
}

static void show_indivisible(const struct balance *b)
{
    struct arena *a = &b->c->arena;
    int64_t share;
    const struct plan_part *part = plan_indivisible(&b->plan, b->tolerance, &share);
    if (part) {
        printf("%.*s-%d alone is written %s/s, and a broker's share to lead is %s/s; only more "
               "partitions divide that.\n",
               BYTES_FMT(part->topic->name), part->index, plan_size_text(a, part->written),
               plan_size_text(a, share));
    }
}

static void show(const struct balance *b)
{
    int32_t away = leaders_elsewhere(&b->view), behind = plan_left_alone(&b->plan);
    plan_print(&b->plan, &b->now);
    plan_print_moves(&b->plan);
    plan_print_time(&b->plan, b->mover.throttle);
    show_indivisible(b);
    if (b->view.moves) {
        printf("%d partition%s already; the plan counts them as being where they go.\n",
               b->view.moves, b->view.moves == 1 ? " moves" : "s move");
    }
    if (behind) {
        printf("%d partition%s not wholly in sync, and left alone; millrace cluster doctor says "
               "why.\n",
               behind, behind == 1 ? " is" : "s are");
    }
    if (b->view.unmeasured) {
        printf("Of %d partition%s nobody could tell what is written; taken for nothing.\n",
               b->view.unmeasured, b->view.unmeasured == 1 ? "" : "s");
    }
    if (away) {
        printf("%d partition%s not led by the first replica, though it is in sync; --execute gives "
               "them back.\n",
               away, away == 1 ? " is" : "s are");
    }
    output_flush();
}

static int dry_run(const struct balance *b)
{
    if (args_has(b->a, "json")) {
        plan_print_json(&b->plan, &b->now, b->mover.throttle, plan_left_alone(&b->plan));
    } else {
        show(b);
    }
    return 0;
}

/* What was not done is no success. */
static int end(const struct balance *b)
{
    int32_t behind = plan_left_alone(&b->plan);
    if (b->mover.refused + (size_t)behind == 0) {
        printf("Done.\n");
        return 0;
    }
    if (b->mover.refused) {
        printf("Done but for %zu partition(s).\n", b->mover.refused);
    }
    if (behind) {
        printf("Left alone: %d partition%s not wholly in sync. Run this again when %s.\n", behind,
               behind == 1 ? ", which was" : "s, which were", behind == 1 ? "it is" : "they are");
    }
    return 1;
}

static int execute(struct balance *b)
{
    reassign_catch_interrupts();
    show(b);
    int rv = mover_has_work(&b->mover, &b->plan) ? mover_run(&b->mover, &b->plan) : 0;
    if (rv == ERR_CANCELED || reassign_interrupted()) {
        printf(
            "Interrupted. What was begun goes on by itself; run this again to see it through, or "
            "with --cancel to call it off.\n");
        return STATUS_INTERRUPTED;
    }
    if (rv == ERR_TIMEOUT) {
        fprintf(stderr, "%s. Start it and run this again, or call it off with --cancel.\n",
                b->c->error.text);
        return 1;
    }
    rv = rv ? rv : mover_elect_all(&b->mover);
    rv = rv ? rv : mover_throttle_left(&b->mover, &b->view);
    return rv ? fail(b) : end(b);
}

static int cancel(struct balance *b)
{
    int32_t n;
    if (mover_cancel(&b->mover, &b->view, &n)) {
        return fail(b);
    }
    printf("%d move%s called off.\n", n, n == 1 ? " was" : "s were");
    return b->mover.refused ? 1 : 0;
}

static int balance(struct client *c, const struct args *a)
{
    struct balance b = {.c = c, .a = a};
    if (args_has(a, "dry-run") + args_has(a, "execute") + args_has(a, "cancel") != 1) {
        args_fail(a, "Give one of --dry-run, --execute and --cancel");
    }
    if (args_has(a, "json") && !args_has(a, "dry-run")) {
        args_fail(a, "--json goes with --dry-run");
    }
    b.mover =
        (struct mover){.c = c, .broker = -1, .throttle = args_int(a, "throttle", 0, 1, INT64_MAX)};
    int rv =
        client_init(c, args_get(a, "bootstrap-server", ""), args_get(a, "command-config", NULL));
    rv = rv ? rv : look(&b);
    return rv                       ? fail(&b)
           : args_has(a, "dry-run") ? dry_run(&b)
           : args_has(a, "execute") ? execute(&b)
                                    : cancel(&b);
}

int tool_balance(int argc, char **argv)
{
    struct args a;
    struct client c = {0};
    args_parse(&a, &spec, argc, argv);
    args_require(&a, "bootstrap-server");
    int status = balance(&c, &a);
    client_close(&c);
    args_free(&a);
    return status;
}
