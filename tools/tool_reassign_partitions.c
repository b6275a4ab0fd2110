/* millrace reassign-partitions: move partitions between brokers and between the directories of a
 * broker, with the options, files and output of kafka-reassign-partitions.sh. What cannot work is
 * refused before anything is changed, with what would. The move is the cluster's: it goes on
 * without this tool.
 *
 * Ours are --wait, which stays until all is moved, with progress on a terminal, and --json; and a
 * word on standard error about throttles that a move has left behind. Errors are on standard
 * output, as Kafka's tool has them. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "proto_errors.h"
#include "tools/args.h"
#include "tools/clock.h"
#include "tools/listing.h"
#include "tools/output.h"
#include "tools/reassign_partitions.h"
#include "tools/text.h"
#include "tools/tool.h"

static const struct arg_def defs[] = {
    {"bootstrap-server", ARG_VALUE, "HOST:PORT,...", "The brokers to connect to."},
    {"bootstrap-controller", ARG_VALUE, "HOST:PORT,...",
     "Or the controllers, with --list and --cancel."},
    {"command-config", ARG_VALUE, "FILE", "Client settings in a properties file."},
    {"generate", ARG_FLAG, NULL, "Propose where partitions could go; changes nothing."},
    {"execute", ARG_FLAG, NULL, "Begin to move, as the file says."},
    {"verify", ARG_FLAG, NULL, "Show how far that is; take throttles off when it is done."},
    {"cancel", ARG_FLAG, NULL, "Stop what the file names, and go back."},
    {"list", ARG_FLAG, NULL, "List all partitions that move."},
    {"reassignment-json-file", ARG_VALUE, "FILE",
     "What shall be where, as in the example; - reads standard input."},
    {"topics-to-move-json-file", ARG_VALUE, "FILE", "With --generate: the topics; or -."},
    {"broker-list", ARG_VALUE, "ID,ID", "With --generate: the brokers that shall have them."},
    {"disable-rack-aware", ARG_FLAG, NULL, "With --generate: do not look at racks."},
    {"throttle", ARG_VALUE, "BYTES/S",
     "With --execute: at most so much from and to each broker. --verify takes it off."},
    {"replica-alter-log-dirs-throttle", ARG_VALUE, "BYTES/S",
     "With --execute: at most so much between the directories of a broker."},
    {"timeout", ARG_VALUE, "MS",
     "With --execute and --cancel: how long moves between directories may need to begin (10000)."},
    {"additional", ARG_FLAG, NULL,
     "With --execute: although others move; also changes the throttle of what moves."},
    {"disallow-replication-factor-change", ARG_FLAG, NULL,
     "With --execute: refuse to change how many replicas there are."},
    {"preserve-throttles", ARG_FLAG, NULL, "With --verify and --cancel: leave throttles alone."},
    {"wait", ARG_FLAG, NULL,
     "With --execute and --verify: stay until all is moved, then do what --verify does."},
    {"json", ARG_FLAG, NULL,
     "With --list, --verify and --generate: print one line of JSON instead, for programs."},
};

static const struct args_spec spec = {
    .tool = "reassign-partitions",
    .about = "move partitions between brokers and between log directories",
    .examples = "  echo '{\"version\":1,\"topics\":[{\"topic\":\"orders\"}]}' > topics.json\n"
                "  millrace reassign-partitions --bootstrap-server localhost:9092 --generate "
                "--topics-to-move-json-file topics.json --broker-list 1,2,3\n"
                "  echo '{\"version\":1,\"partitions\":[{\"topic\":\"orders\",\"partition\":0,"
                "\"replicas\":[2,3]}]}' > move.json\n"
                "  millrace reassign-partitions --bootstrap-server localhost:9092 --execute "
                "--reassignment-json-file move.json --throttle 50000000\n"
                "  millrace reassign-partitions --bootstrap-server localhost:9092 --verify --wait "
                "--reassignment-json-file move.json\n"
                "  millrace reassign-partitions --bootstrap-server localhost:9092 --list\n"
                "  millrace reassign-partitions --bootstrap-server localhost:9092 --cancel "
                "--reassignment-json-file move.json\n",
    .defs = defs,
    .n = ARRAY_LEN(defs),
};

/* "a-0,a-1": all, or those with an error or without one. */
static void print_names(const struct replica_sets *s)
{
    for (size_t i = 0; i < s->n; i++) {
        printf("%s%.*s-%d", i ? "," : "", BYTES_FMT(s->v[i].topic), s->v[i].partition);
    }
    printf("\n");
}

static void print_errors(const struct replica_sets *s)
{
    char text[600];
    for (size_t i = 0; i < s->n; i++) {
        if (s->v[i].error) {
            printf("%.*s-%d: %s\n", BYTES_FMT(s->v[i].topic), s->v[i].partition,
                   client_error_text(s->v[i].error, s->v[i].message, text, sizeof text));
        }
    }
}

/* ---- moves between directories ---- */

static void print_pending(const struct replica_dir *v, size_t n)
{
    printf(reassign_interrupted() ? "Interrupted" : "Timed out");
    printf(" before log directory move%s could be started for: ", n == 1 ? "" : "s");
    for (size_t i = 0; i < n; i++) {
        printf("%s%.*s-%d-%d", i ? "," : "", BYTES_FMT(v[i].topic), v[i].partition, v[i].broker);
    }
    printf("\n");
}

/* A replica that is still to come to its broker cannot move there yet: it is asked for again, for a
 * while. */
static int move_dirs(struct client *c, const struct args *a, const struct replica_dir *all,
                     size_t n)
{
    int64_t end_ms = steady_ms() + args_int(a, "timeout", 10000, INT64_MIN, INT64_MAX / 2);
    struct replica_dir *v = ARENA_ARRAY(&c->arena, struct replica_dir, n + 1);
    memcpy(v, all, n * sizeof *v);
    while (n) {
        size_t left = 0;
        if (replica_dirs_alter(c, v, n)) {
            return reassign_fail(c->error.text, NULL);
        }
        for (size_t i = 0; i < n; i++) {
            if (v[i].error && v[i].error != KE_REPLICA_NOT_AVAILABLE) {
                char text[300], why[300];
                snprintf(text, sizeof text, "Failed to alter dir for %.*s-%d-%d",
                         BYTES_FMT(v[i].topic), v[i].partition, v[i].broker);
                return reassign_fail(text,
                                     client_error_text(v[i].error, BYTES_NULL, why, sizeof why));
            }
        }
        for (size_t i = 0; i < n; i++) {
            if (v[i].error) {
                v[left++] = v[i];
                continue;
            }
            printf("Successfully started moving log directory to %.*s for replica %.*s-%d with "
                   "broker %d \n",
                   BYTES_FMT(v[i].target), BYTES_FMT(v[i].topic), v[i].partition, v[i].broker);
        }
        n = left;
        if (n && (steady_ms() >= end_ms || reassign_interrupted())) {
            print_pending(v, n);
            return 1;
        }
        if (n) {
            output_flush();
            usleep(100000);
        }
    }
    return 0;
}

/* ---- execute ---- */

/* What the cluster would not do, or would do otherwise than the file says. 0, or the exit status.
 */
static int refuse(struct client *c, const struct args *a, const struct replica_sets *targets,
                  struct replica_sets *ongoing)
{
    size_t up_n, n;
    int rv = reassign_ongoing(c, NULL, ongoing);
    rv = rv ? rv : client_cluster(c);
    if (rv) {
        return reassign_fail(c->error.text, NULL);
    }
    if (ongoing->n && !args_has(a, "additional")) {
        printf("Cannot execute because there is an existing partition assignment.  Use "
               "--additional to override this and create a new partition assignment in addition "
               "to the existing one. The --additional flag can also be used to change the "
               "throttle by resubmitting the current reassignment.\n");
        return 1;
    }
    int32_t *up = reassign_brokers(c, &up_n);
    for (size_t i = 0; i < targets->n; i++) {
        for (int32_t k = 0; k < targets->v[i].replicas_n; k++) {
            int32_t id = targets->v[i].replicas[k];
            if (!id_in(up, up_n, id)) {
                return reassign_fail(arena_printf(&c->arena, "Unknown broker id %d", id),
                                     arena_printf(&c->arena,
                                                  "It is named for %.*s-%d. Brokers that are up: "
                                                  "%s.",
                                                  BYTES_FMT(targets->v[i].topic),
                                                  targets->v[i].partition,
                                                  reassign_ids_text(c, up, up_n)));
            }
        }
    }
    struct replica_dir *dirs = replica_dirs_of(&c->arena, targets, &n);
    return replica_dirs_check(c, dirs, n) ? reassign_fail(c->error.text, NULL) : 0;
}

static void print_current(const struct replica_sets *now)
{
    json_t *o = reassign_json_of(now);
    printf("Current partition replica assignment\n\n");
    json_dumpf(o, stdout, JSON_COMPACT);
    printf("\n\nSave this to use as the --reassignment-json-file option during rollback\n");
    json_decref(o);
}

/* Those of the brokers that are up: of one that is down nothing can be set. */
static void only_up(struct client *c, struct throttle_plan *p)
{
    size_t up_n, n = 0;
    int32_t *up = reassign_brokers(c, &up_n);
    for (size_t i = 0; i < p->brokers_n; i++) {
        if (id_in(up, up_n, p->brokers[i])) {
            p->brokers[n++] = p->brokers[i];
        } else {
            fprintf(stderr, "Broker %d is not up, and is not throttled.\n", p->brokers[i]);
        }
    }
    p->brokers_n = n;
}

static int throttle(struct client *c, const struct args *a, const struct replica_sets *ongoing,
                    const struct replica_sets *targets, const struct replica_sets *now)
{
    int64_t rate = args_int(a, "throttle", -1, INT64_MIN, INT64_MAX);
    int64_t dirs_rate = args_int(a, "replica-alter-log-dirs-throttle", -1, INT64_MIN, INT64_MAX);
    struct throttle_plan plan;
    size_t n, brokers_n = 0;
    int rv = 0;
    if (rate < 0 && dirs_rate < 0) {
        return 0;
    }
    printf("Warning: You must run --verify periodically, until the reassignment completes, to "
           "ensure the throttle is removed.\n");
    if (rate >= 0) {
        throttle_plan(&c->arena, ongoing, targets, now, &plan);
        only_up(c, &plan);
        rv = throttle_set(c, &plan, rate);
        if (rv == 0) {
            printf("The inter-broker throttle limit was set to %lld B/s\n", (long long)rate);
        }
    }
    struct replica_dir *dirs = replica_dirs_of(&c->arena, targets, &n);
    int32_t *brokers = ARENA_ARRAY(&c->arena, int32_t, n + 1);
    for (size_t i = 0; i < n; i++) {
        if (i == 0 || dirs[i].broker != dirs[i - 1].broker) {
            brokers[brokers_n++] = dirs[i].broker;
        }
    }
    if (rv == 0 && dirs_rate >= 0) {
        rv = throttle_set_dirs(c, brokers, brokers_n, dirs_rate);
        if (rv == 0) {
            printf("The replica-alter-dir throttle limit was set to %lld B/s\n",
                   (long long)dirs_rate);
        }
    }
    return rv ? reassign_fail(c->error.text,
                              "Nothing moves, but throttles may be set; --cancel with this file "
                              "takes them off.")
              : 0;
}

static int begin(struct client *c, const struct args *a, struct replica_sets *targets)
{
    size_t refused, n;
    if (reassign_alter(c, targets, args_has(a, "disallow-replication-factor-change"), &refused)) {
        return reassign_fail(c->error.text, "--list shows whether something moves.");
    }
    if (refused) {
        printf("Error reassigning partition(s):\n");
        print_errors(targets);
        if (refused < targets->n) {
            fprintf(stderr, "The other %zu partitions are moving.\n", targets->n - refused);
        }
        return 1;
    }
    printf("Successfully started partition reassignment%s for ", targets->n == 1 ? "" : "s");
    print_names(targets);
    struct replica_dir *dirs = replica_dirs_of(&c->arena, targets, &n);
    return n ? move_dirs(c, a, dirs, n) : 0;
}

static int execute(struct client *c, const struct args *a)
{
    struct replica_sets targets, ongoing, now;
    const char *instead;
    if (reassign_json_read(&c->arena, args_get(a, "reassignment-json-file", ""), REASSIGN_MOVES,
                           &targets, &c->error) ||
        reassign_json_check(&targets, &c->error)) {
        return reassign_fail(c->error.text, NULL);
    }
    int status = refuse(c, a, &targets, &ongoing);
    if (status) {
        return status;
    }
    if (reassign_existing(c, &targets, &now, &instead)) {
        return reassign_fail(c->error.text, instead);
    }
    print_current(&now);
    if (!output_flush()) { /* main says why */
        fprintf(stderr,
                "Nothing was begun: the way back, which is printed first, would be lost.\n");
        return 1;
    }
    reassign_catch_interrupts(); /* from here on it ends between two steps */
    status = throttle(c, a, &ongoing, &targets, &now);
    if (status == 0 && reassign_interrupted()) {
        fprintf(stderr,
                "Interrupted. Nothing moves; --cancel with this file takes throttles off.\n");
        return 128 + SIGINT;
    }
    status = status ? status : begin(c, a, &targets);
    output_flush();
    return status == 0 && args_has(a, "wait") ? reassign_wait_verify(c, a, &targets) : status;
}

/* ---- verify, cancel ---- */

static bool names_twice(const struct replica_set *s)
{
    for (int32_t i = 0; i < s->replicas_n; i++) {
        if (id_in(s->replicas, (size_t)i, s->replicas[i])) {
            return true;
        }
    }
    return false;
}

/* A file as --execute takes it, but for lists that are empty. */
static int read_targets(struct client *c, const struct args *a, struct replica_sets *targets)
{
    int rv = reassign_json_read(&c->arena, args_get(a, "reassignment-json-file", ""),
                                REASSIGN_MOVES, targets, &c->error);
    replica_sets_sort(targets);
    for (size_t i = 0; i < targets->n && rv == 0; i++) {
        if (names_twice(&targets->v[i]) ||
            (i > 0 && replica_set_cmp(&targets->v[i - 1], &targets->v[i]) == 0)) {
            rv = reassign_json_check(targets, &c->error);
        }
    }
    return rv;
}

static int verify(struct client *c, const struct args *a)
{
    struct replica_sets targets;
    if (read_targets(c, a, &targets) || client_cluster(c)) {
        return reassign_fail(c->error.text, NULL);
    }
    if (args_has(a, "wait")) {
        const char *instead;
        struct replica_sets now;
        if (!args_has(a, "preserve-throttles") && (reassign_existing(c, &targets, &now, &instead) ||
                                                   reassign_check(c, &targets, &instead))) {
            return reassign_refuse(c, instead);
        }
        reassign_catch_interrupts();
        return reassign_wait_verify(c, a, &targets);
    }
    return reassign_verify(c, a, &targets);
}

static int cancel_moves(struct client *c, const struct replica_sets *targets)
{
    struct replica_sets moving;
    size_t refused, n = 0;
    if (targets->n && reassign_ongoing(c, targets, &moving)) {
        return reassign_fail(c->error.text, NULL);
    }
    for (size_t i = 0; targets->n && i < moving.n; i++) {
        struct replica_set *s = &moving.v[i];
        if (s->adding_n || s->removing_n) {
            moving.v[n++] = (struct replica_set){.topic = s->topic, .partition = s->partition};
        }
    }
    if (n == 0) {
        printf("None of the specified partition reassignments are active.\n");
        return 0;
    }
    moving.n = n;
    if (reassign_alter(c, &moving, false, &refused)) {
        return reassign_fail(c->error.text, NULL);
    }
    if (refused) {
        printf("Error cancelling partition reassignment%s for:\n", refused == 1 ? "" : "s");
        print_errors(&moving);
        return 1;
    }
    printf("Successfully cancelled partition reassignment%s for: ", n == 1 ? "" : "s");
    print_names(&moving);
    return 0;
}

/* Back to the directory that each is in. */
static int cancel_dirs(struct client *c, const struct args *a, const struct replica_sets *targets)
{
    size_t n, left = 0;
    struct replica_dir *v = replica_dirs_of(&c->arena, targets, &n);
    if (replica_dirs_find(c, v, n)) {
        return reassign_fail(c->error.text, NULL);
    }
    for (size_t i = 0; i < n; i++) {
        if (!bytes_is_null(v[i].future) && !bytes_is_null(v[i].current)) {
            v[left] = v[i];
            v[left].target = v[left].current;
            left++;
        }
    }
    if (left == 0) {
        printf("None of the specified partition moves are active."); /* Kafka's has no newline */
        if (args_has(a, "preserve-throttles")) {
            output_flush();
        }
        return 0;
    }
    return move_dirs(c, a, v, left);
}

static int cancel(struct client *c, const struct args *a)
{
    struct replica_sets targets;
    if (read_targets(c, a, &targets) || client_cluster(c)) {
        return reassign_fail(c->error.text, NULL);
    }
    bool preserve = args_has(a, "preserve-throttles");
    const char *instead; /* controllers tell what is there by what they would set */
    int rv = preserve && c->controllers ? 0 : reassign_check(c, &targets, &instead);
    if (rv == ERR_NOTFOUND && preserve) { /* no throttle is lost: the rest is called off */
        reassign_tell(c, instead);
    } else if (rv) {
        return reassign_refuse(c, instead);
    }
    int status = cancel_moves(c, &targets);
    status = status ? status : cancel_dirs(c, a, &targets);
    return status == 0 && !preserve ? reassign_clear(c, &targets, NULL) : status;
}

/* ---- list ---- */

static void print_json(const struct replica_sets *moving, const struct throttles *t)
{
    json_t *all = listing_new("reassignments");
    for (size_t i = 0; i < moving->n; i++) {
        const struct replica_set *s = &moving->v[i];
        json_t *o = listing_item(all);
        json_put_text(o, "topic", s->topic);
        json_put_int(o, "partition", s->partition);
        json_put_ids(o, "replicas", s->replicas, s->replicas_n);
        json_put_ids(o, "adding", s->adding, s->adding_n);
        json_put_ids(o, "removing", s->removing, s->removing_n);
    }
    if (t) {
        json_put_ids(all, "throttledBrokers", t->brokers, (int32_t)t->brokers_n);
        json_put_texts(all, "throttledTopics", t->topics, t->topics_n);
    } else {
        json_put_null(all, "throttledBrokers");
        json_put_null(all, "throttledTopics");
    }
    listing_print(all);
}

static void print_some(const char *what, const int32_t *ids, int32_t n)
{
    if (n) {
        printf(" %s: ", what);
        print_ids(ids, n);
        printf(".");
    }
}

static int list(struct client *c, const struct args *a)
{
    struct replica_sets moving;
    struct throttles t;
    bool json = args_has(a, "json");
    if (reassign_ongoing(c, NULL, &moving)) {
        return reassign_fail(c->error.text, NULL);
    }
    /* controllers do not know what is set for topics and other brokers */
    bool known = !c->controllers && (json || moving.n == 0) && throttle_find(c, &t) == 0;
    if (json) {
        print_json(&moving, known ? &t : NULL);
        return 0;
    }
    printf(moving.n ? "Current partition reassignments:\n" : "No partition reassignments found.\n");
    for (size_t i = 0; i < moving.n; i++) {
        const struct replica_set *s = &moving.v[i];
        printf("%.*s-%d:", BYTES_FMT(s->topic), s->partition);
        print_some("replicas", s->replicas, s->replicas_n);
        print_some("adding", s->adding, s->adding_n);
        print_some("removing", s->removing, s->removing_n);
        printf("\n");
    }
    if (known && moving.n == 0) {
        reassign_tell_throttles(&t);
    }
    return 0;
}

/* ---- the command line ---- */

struct action {
    const char *name;
    int (*run)(struct client *c, const struct args *a);
    const char *needs, *takes; /* options, with commas between */
};

#define SERVER "bootstrap-server,command-config"

static const struct action actions[] = {
    {"generate", reassign_generate, "topics-to-move-json-file,broker-list",
     SERVER ",disable-rack-aware,json"},
    {"execute", execute, "reassignment-json-file",
     SERVER ",additional,throttle,replica-alter-log-dirs-throttle,timeout,"
            "disallow-replication-factor-change,wait"},
    {"verify", verify, "reassignment-json-file", SERVER ",preserve-throttles,wait,json"},
    {"cancel", cancel, "reassignment-json-file",
     SERVER ",bootstrap-controller,preserve-throttles,timeout"},
    {"list", list, "", SERVER ",bootstrap-controller,json"},
};

static const struct action *find_action(const struct args *a)
{
    const struct action *found = NULL;
    size_t given = 0;
    for (size_t i = 0; i < ARRAY_LEN(actions); i++) {
        if (args_has(a, actions[i].name)) {
            found = &actions[i];
            given++;
        }
    }
    if (given != 1) {
        args_fail(a, "Command must include exactly one action: --generate, --execute, --verify, "
                     "--cancel, --list");
    }
    return found;
}

static void check_options(const struct args *a, const struct action *action)
{
    if (!args_has(a, "bootstrap-server") && !args_has(a, "bootstrap-controller")) {
        args_fail(a, "Please specify either --bootstrap-server or --bootstrap-controller");
    }
    if (args_has(a, "bootstrap-server") && args_has(a, "bootstrap-controller")) {
        args_fail(a, "Please don't specify both --bootstrap-server and --bootstrap-controller");
    }
    for (size_t i = 0; i < ARRAY_LEN(defs); i++) {
        struct bytes name = bytes_str(defs[i].name);
        bool needed = list_has(action->needs, name);
        if (needed) {
            args_require(a, defs[i].name);
        } else if (args_has(a, defs[i].name) && !list_has(action->takes, name) &&
                   strcmp(defs[i].name, action->name) != 0) {
            args_fail(a, "Option \"[%s]\" can't be used with action \"[%s]\"", defs[i].name,
                      action->name);
        }
    }
    (void)args_int(a, "timeout", 0, INT64_MIN, INT64_MAX / 2);
    (void)args_int(a, "throttle", 0, INT64_MIN, INT64_MAX);
    (void)args_int(a, "replica-alter-log-dirs-throttle", 0, INT64_MIN, INT64_MAX);
}

int tool_reassign_partitions(int argc, char **argv)
{
    struct args a;
    struct client c;
    args_parse(&a, &spec, argc, argv);
    const struct action *action = find_action(&a);
    check_options(&a, action);
    int status = client_open(&c, &a) ? reassign_fail(c.error.text, NULL) : action->run(&c, &a);
    client_close(&c);
    args_free(&a);
    return status;
}
