/* millrace storage admit-voter: lets a controller in again whose disk is a new one. The others know
 * its old directory and hear nothing from the new one, since an empty disk has forgotten whom it
 * voted for and what it acknowledged (docs/quorum.md). While they run, the active one is asked by a
 * private API (--bootstrap-controller): it brings the new disk up to date first. While they are
 * stopped, this command on each of the others (--config) says that the new disk has what the old
 * one had. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "controller/format.h"
#include "controller/peers_codec.h"
#include "controller/peers_directories.h"
#include "proto_errors.h"
#include "tools/client.h"
#include "tools/clock.h"
#include "tools/storage.h"

enum { ASK_AGAIN_MS = 200, TIMEOUT_MS = 60000, TIMEOUT_MS_MAX = 86400000 };

static const struct arg_def defs[] = {
    {"bootstrap-controller", ARG_VALUE, "HOST:PORT",
     "Controllers that run; the active one is found from there. This or --config is required."},
    {"config", ARG_VALUE, "FILE",
     "The server.properties of this controller, while all are stopped."},
    {"voter", ARG_VALUE, "ID", "The node id of the controller with the new disk. Required."},
    {"directory", ARG_VALUE, "DIRECTORY-ID",
     "Of its new disk, as its meta.properties and the refusals in the logs have it. Required."},
    {"timeout", ARG_VALUE, "MS",
     "With --bootstrap-controller: how long it may take (default 60000)."},
};

static const struct args_spec spec = {
    .tool = "storage admit-voter",
    .about = "let a controller with a new disk be heard by the others again",
    .examples =
        "  millrace storage admit-voter --bootstrap-controller ctl1:9093 --voter 2 "
        "--directory Rm9xjSaHRf6wy1mku-vq3w\n"
        "  (format the new disk and start it first; all the other voters must be there)\n"
        "  millrace storage admit-voter -c server.properties --voter 2 --directory "
        "Rm9xjSaHRf6wy1mku-vq3w\n"
        "  (with all controllers stopped, on every other one; before they start again, give "
        "the\n  new disk the __cluster_metadata-0 of the one whose log is longest)\n",
    .defs = defs,
    .n = sizeof defs / sizeof defs[0],
    .letters = "c=config",
};

/* ---- while they are stopped ---- */

/* Holds the directory's lock, as a running node does. */
static int lock_dir(struct io *io, const char *dir, struct io_file **out, struct errmsg *em)
{
    char path[4200];
    snprintf(path, sizeof path, "%s/.lock", dir);
    int err = io_open(io, path, IO_OPEN_WRITE | IO_OPEN_CREATE, out);
    if (err) {
        return errmsg_set(em, err, "cannot open %s: %s", path, err_text(err));
    }
    err = io_lock(*out);
    if (err) {
        io_file_close(*out);
        return errmsg_set(em, err, "%s is in use: stop the controller first", dir);
    }
    return 0;
}

/* The line of the voter becomes the new directory's. */
static int admit(struct io *io, const char *dir, int32_t voter, struct uuid directory,
                 struct errmsg *em)
{
    struct voter_directory v[VOTER_DIRECTORIES_MAX];
    char log[4200];
    char was[UUID_TEXT];
    char is[UUID_TEXT];
    size_t n;
    snprintf(log, sizeof log, "%s/__cluster_metadata-0", dir);
    int err = voter_directories_read(io, log, v, &n, em);
    if (err) {
        return err;
    }
    size_t at = 0;
    while (at < n && v[at].id != voter) {
        at++;
    }
    if (at == n) {
        return errmsg_set(em, ERR_NOTFOUND,
                          "this controller does not know voter %d: it takes the directory that it "
                          "comes with first",
                          (int)voter);
    }
    if (uuid_eq(v[at].directory, directory)) {
        printf("Voter %d is known by directory %s already.\n", (int)voter,
               uuid_text(directory, is));
        return 0;
    }
    uuid_text(v[at].directory, was);
    v[at].directory = directory;
    err = voter_directories_write(io, log, v, n, em);
    if (err == 0) {
        printf("Voter %d is admitted with directory %s in place of %s.\n", (int)voter,
               uuid_text(directory, is), was);
    }
    return err;
}

static int admit_here(const struct args *a, int32_t voter, struct uuid directory)
{
    struct errmsg em = {{0}};
    struct io_file *lock;
    struct config *c = storage_load_config(a);
    if (!c->is_controller || voter == c->node_id) {
        args_fail(
            a, "this node (%d) is no controller other than voter %d: run it where the others are",
            (int)c->node_id, (int)voter);
    }
    struct io *io = storage_open_io();
    int err = lock_dir(io, c->metadata_log_dir, &lock, &em);
    if (err == 0) {
        err = admit(io, c->metadata_log_dir, voter, directory, &em);
        io_file_close(lock);
    }
    if (err) {
        fprintf(stderr, "millrace storage: %s\n", em.text);
    }
    io_destroy(io);
    config_free(c);
    return err ? 1 : 0;
}

/* ---- while they run ---- */

struct asking {
    struct peer_admit what;
    const char *servers; /* --bootstrap-controller */
    char leader[300];    /* HOST:PORT as the last answer has it; "": nobody said */
    bool on_terminal;    /* standard error: progress is shown there */
    char shown[600];     /* the last of it */
    int64_t end_ms;
    struct errmsg why; /* the last thing that went wrong */
};

/* One question to the leader, if one is known, else to whoever answers; true: there is an answer.
 */
static bool ask_once(struct asking *q, struct arena *arena, struct peer_admit_answer *out)
{
    struct client c;
    struct buf frame = {0};
    struct bytes answer;
    peer_put_header(&frame, PEER_API_ADMIT, 1);
    peer_put_admit(&frame, &q->what);
    int err = client_init(&c, q->leader[0] ? q->leader : q->servers, NULL);
    if (err == 0) {
        err = client_call_frame(&c, buf_bytes(&frame), &answer);
    }
    if (err == 0) {
        int32_t correlation;
        int16_t code;
        struct bytes sentence;
        err = peer_take_admit_answer(answer, arena, out);
        if (err && peer_take_answer(answer, &correlation, &code, &sentence) == 0 && code) {
            *out = (struct peer_admit_answer){/* of another release, or no voter */
                                              .code = code,
                                              .sentence =
                                                  arena_strndup(arena, sentence.data, sentence.len),
                                              .leader = -1};
            err = 0;
        }
        errmsg_set(&c.error, err, "the answer cannot be read: is that a controller of Millrace?");
    }
    q->leader[0] = '\0'; /* who did not answer leads no more */
    if (err) {
        q->why = c.error;
    }
    client_close(&c);
    buf_free(&frame);
    return err == 0;
}

/* How far it is, where somebody looks: the line stays one, and is wiped off in the end. */
static void show(struct asking *q, const char *sentence)
{
    if (q->on_terminal && strcmp(q->shown, sentence) != 0) {
        snprintf(q->shown, sizeof q->shown, "%s", sentence);
        fprintf(stderr, "\r\033[K%s", sentence);
        fflush(stderr);
    }
}

/* -1: not decided yet; else the tool's status. */
static int take_answer(struct asking *q, const struct peer_admit_answer *answer)
{
    if (answer->leader >= 0 && answer->port) {
        snprintf(q->leader, sizeof q->leader, strchr(answer->host, ':') ? "[%s]:%u" : "%s:%u",
                 answer->host, answer->port);
    }
    errmsg_set(&q->why, 0, "%s", answer->sentence);
    if (answer->code == KE_NOT_CONTROLLER || answer->code == KE_BROKER_NOT_AVAILABLE) {
        return -1; /* it may pass: another one leads, a voter is being started */
    }
    if (answer->code) {
        return 1;
    }
    show(q, answer->done ? "" : answer->sentence);
    if (answer->done) {
        printf("%s.\n", answer->sentence);
    }
    return answer->done ? 0 : -1;
}

static int admit_there(struct asking *q)
{
    int status = -1;
    while (status < 0 && steady_ms() < q->end_ms) {
        struct arena arena = {0};
        struct peer_admit_answer answer;
        if (ask_once(q, &arena, &answer)) {
            status = take_answer(q, &answer);
        }
        arena_free(&arena);
        if (status < 0) {
            nanosleep(&(struct timespec){.tv_nsec = ASK_AGAIN_MS * 1000000L}, NULL);
        }
    }
    show(q, "");
    if (status != 0) {
        fprintf(stderr, "millrace storage: voter %d is not admitted%s: %s\n", (int)q->what.voter,
                status < 0 ? " in time" : "", q->why.text);
    }
    return status == 0 ? 0 : 1;
}

/* ---- command line ---- */

int tool_storage_admit(int argc, char **argv)
{
    struct args a;
    struct uuid directory;
    args_parse(&a, &spec, argc, argv);
    args_require(&a, "voter");
    args_require(&a, "directory");
    if (args_has(&a, "config") == args_has(&a, "bootstrap-controller")) {
        args_fail(&a, "say --bootstrap-controller (the controllers run) or --config (they are "
                      "stopped), one of the two");
    }
    const char *text = args_get(&a, "directory", "");
    if (uuid_parse(text, strlen(text), &directory) != 0 || uuid_is_zero(directory)) {
        args_fail(&a, "--directory %s is no directory id", text);
    }
    int32_t voter = (int32_t)args_int(&a, "voter", -1, 0, INT32_MAX);
    int status;
    if (args_has(&a, "config")) {
        status = admit_here(&a, voter, directory);
    } else {
        struct asking q = {
            .what = {BYTES_NULL, voter, directory},
            .servers = args_get(&a, "bootstrap-controller", ""),
            .on_terminal = isatty(STDERR_FILENO) != 0,
            .end_ms = steady_ms() + args_int(&a, "timeout", TIMEOUT_MS, 1, TIMEOUT_MS_MAX),
        };
        struct client c;
        if (client_init(&c, q.servers, NULL)) {
            args_fail(&a, "--bootstrap-controller: %s", c.error.text);
        }
        client_close(&c);
        status = admit_there(&q);
    }
    args_free(&a);
    return status;
}
