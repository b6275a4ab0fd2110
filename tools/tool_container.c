/* `millrace container`: what an image starts as its process 1, without a shell around it. The
 * settings come from a mounted file and the environment (env_config.h); a volume that is empty is
 * formatted for the cluster that CLUSTER_ID names, one that belongs to another cluster or node is
 * refused; then the node runs as under `millrace server`.
 *
 * Only a node all of whose directories are empty is formatted: a directory that is empty beside
 * others is a replaced disk, which the node judges itself (a metadata log must not begin anew). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "broker/config.h"
#include "controller/format.h"
#include "runtime/io.h"
#include "runtime/log_sink.h"
#include "tools/container.h"
#include "tools/env_config.h"
#include "tools/serve.h"
#include "tools/server_config.h"
#include "tools/storage.h"
#include "tools/tool.h"

#define WHO "millrace container"

/* What Kafka's image takes when nobody names a cluster. */
static const char default_cluster[] = "5L6g3nShT-eMCtK--X86sw";

static const char help[] =
    "Usage: millrace container [--config FILE] [VARIABLE=VALUE]...\n"
    "\n"
    "Runs a node in a container. Its settings are those of FILE (when left out:\n"
    "/mnt/shared/config/server.properties, if it is there) and of the environment, which\n"
    "wins: KAFKA_NUM_PARTITIONS is num.partitions, two underscores stand for one, three\n"
    "for a dash, as in the image of Apache Kafka. Without any the node is a single one;\n"
    "with one, and no FILE, they are all there is: name KAFKA_PROCESS_ROLES and the rest too.\n"
    "Its directories (" ENV_DATA_DIR ") are formatted when they are empty, for\n"
    "the cluster that CLUSTER_ID names; those of another cluster are refused.\n"
    "\n"
    "Examples:\n"
    "  millrace container\n"
    "  millrace container --config /etc/millrace/broker.properties KAFKA_NODE_ID=12\n"
    "  docker run -p 9092:9092 -v millrace:/var/lib/millrace millrace\n"
    "\n"
    "Options:\n"
    "  --config FILE          the file\n"
    "  VARIABLE=VALUE         as if the environment had it\n"
    "  --help                 this text\n"
    "  --version              the version\n"
    "\n"
    "SIGTERM stops the node in order; the exit status is then 0. `millrace health` says\n"
    "whether it serves.\n";

struct config *container_config(const char *file, const struct logger *lg, struct errmsg *em)
{
    struct server_options o = {
        .file = file                                ? file
                : access(CONTAINER_FILE, F_OK) == 0 ? CONTAINER_FILE
                                                    : NULL,
        .environment = environ,
    };
    return server_config_load(&o, lg, em);
}

/* ---- formatting ---- */

struct volume {
    struct io *io;
    const struct config *c;
    const char *dirs[STORAGE_DIRS_MAX];
    size_t n;
    const struct logger *log;
};

/* A directory that was formatted before. */
static int check_cluster(const char *dir, const struct format_meta *m, const char *wanted,
                         struct errmsg *em)
{
    if (wanted == NULL || strcmp(wanted, m->cluster_id) == 0) {
        return 0;
    }
    return errmsg_set(em, ERR_CONFLICT,
                      "CLUSTER_ID=%s, but %s holds data of cluster %s: set CLUSTER_ID to that, or "
                      "give the node a volume of its own",
                      wanted, dir, m->cluster_id);
}

static int prepare(struct volume *v, const char *wanted, struct errmsg *em)
{
    size_t formatted = 0;
    for (size_t i = 0; i < v->n; i++) {
        struct format_meta m;
        int err = format_read_meta(v->io, v->dirs[i], &m, em);
        if (err == ERR_NOTFOUND) {
            continue;
        }
        err = err ? err : check_cluster(v->dirs[i], &m, wanted, em);
        if (err) {
            return err;
        }
        formatted++;
    }
    if (formatted > 0) {
        return 0;
    }
    if (wanted == NULL) {
        log_info(v->log, "container", "CLUSTER_ID is not set: the default is taken cluster_id=%s",
                 default_cluster);
    }
    struct format_options opt = {.cluster_id = wanted ? wanted : default_cluster,
                                 .node_id = v->c->node_id,
                                 .ignore_formatted = true};
    int err = format_dirs(v->io, v->dirs, v->n, v->c->metadata_log_dir, &opt, NULL, NULL, em);
    if (err == 0) {
        log_info(v->log, "container", "formatted node=%d cluster_id=%s dirs=%zu dir=%s",
                 (int)opt.node_id, opt.cluster_id, v->n, v->c->metadata_log_dir);
    }
    return err;
}

static int prepare_volume(const struct config *c, const struct logger *lg, struct errmsg *em)
{
    enum io_backend chosen;
    struct volume v = {.c = c, .log = lg};
    int err = io_probe(IO_BACKEND_AUTO, &chosen, em);
    err = err ? err : io_create(chosen, &v.io, em);
    if (err) {
        return err;
    }
    v.n = storage_dirs(c, v.dirs);
    err = prepare(&v, env_get(environ, "CLUSTER_ID"), em);
    io_destroy(v.io);
    return err;
}

/* ---- command line ---- */

/* Somebody wanted the single node with one setting changed. */
static bool is_half_a_node(const char *file)
{
    return file == NULL && access(CONTAINER_FILE, F_OK) != 0 &&
           env_get(environ, "KAFKA_PROCESS_ROLES") == NULL;
}

static int usage_error(const char *what)
{
    fprintf(stderr, WHO ": %s\nSee `millrace container --help`.\n", what);
    return 1;
}

int tool_container(int argc, char **argv)
{
    const char *file = NULL;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            fputs(help, stdout);
            return 0;
        }
        if (strcmp(argv[i], "--version") == 0) {
            printf("millrace %s\n", MILLRACE_VERSION);
            return 0;
        }
        if (strcmp(argv[i], "--config") == 0 && i + 1 < argc) {
            file = argv[++i];
        } else if (argv[i][0] == '-' || strchr(argv[i], '=') == NULL || putenv(argv[i])) {
            return usage_error(argv[i]);
        }
    }
    struct logger lg;
    log_sink_init(&lg, LOG_INFO, STDERR_FILENO);
    struct errmsg em = {{0}};
    struct config *c = container_config(file, &lg, &em);
    if (c) {
        lg.level = serve_log_level(c);
    }
    if (c == NULL || prepare_volume(c, &lg, &em)) {
        serve_complain(WHO, em.text);
        if (c == NULL && is_half_a_node(file)) {
            fputs("Without a file the KAFKA_ variables are all the settings that there are. "
                  "KAFKA_PROCESS_ROLES is not\namong them: name it and what it needs, as "
                  "deploy/docker-compose.single.yml does, or a file, or no variable.\n",
                  stderr);
        }
        config_free(c);
        return 1;
    }
    return serve_node(c, &lg, WHO);
}
