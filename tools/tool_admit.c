/* millrace storage admit-voter: lets a controller in again whose disk is a new one. The others know
 * its old directory and hear nothing from the new one, since an empty disk has forgotten whom it
 * voted for and what it acknowledged (docs/quorum.md). This command, on each of the others while
 * they are stopped, says that the new disk has what the old one had. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/format.h"
#include "controller/peers_directories.h"
#include "tools/storage.h"

static const struct arg_def defs[] = {
    {"config", ARG_VALUE, "FILE", "The server.properties of this controller. Required."},
    {"voter", ARG_VALUE, "ID", "The node id of the controller with the new disk. Required."},
    {"directory", ARG_VALUE, "DIRECTORY-ID",
     "Of its new disk, as its meta.properties and the refusals in the logs have it. Required."},
};

static const struct args_spec spec = {
    .tool = "storage admit-voter",
    .about = "let a controller with a new disk be heard by this one again",
    .examples =
        "  millrace storage admit-voter -c server.properties --voter 2 --directory "
        "Rm9xjSaHRf6wy1mku-vq3w\n"
        "  (with all controllers stopped, on every other one; before they start again, give "
        "the\n  new disk the __cluster_metadata-0 of the one whose log is longest)\n",
    .defs = defs,
    .n = sizeof defs / sizeof defs[0],
    .letters = "c=config",
};

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

int tool_storage_admit(int argc, char **argv)
{
    struct args a;
    struct errmsg em = {{0}};
    struct uuid directory;
    struct io_file *lock;
    args_parse(&a, &spec, argc, argv);
    args_require(&a, "config");
    args_require(&a, "voter");
    args_require(&a, "directory");
    const char *text = args_get(&a, "directory", "");
    if (uuid_parse(text, strlen(text), &directory) != 0 || uuid_is_zero(directory)) {
        args_fail(&a, "--directory %s is no directory id", text);
    }
    char *end;
    long voter = strtol(args_get(&a, "voter", ""), &end, 10);
    if (*end || voter < 0 || voter > INT32_MAX) {
        args_fail(&a, "--voter %s is no node id", args_get(&a, "voter", ""));
    }
    struct config *c = storage_load_config(&a);
    if (!c->is_controller || voter == c->node_id) {
        args_fail(
            &a, "this node (%d) is no controller other than voter %ld: run it where the others are",
            (int)c->node_id, voter);
    }
    struct io *io = storage_open_io();
    int err = lock_dir(io, c->metadata_log_dir, &lock, &em);
    if (err == 0) {
        err = admit(io, c->metadata_log_dir, (int32_t)voter, directory, &em);
        io_file_close(lock);
    }
    if (err) {
        fprintf(stderr, "millrace storage: %s\n", em.text);
    }
    io_destroy(io);
    config_free(c);
    args_free(&a);
    return err ? 1 : 0;
}
