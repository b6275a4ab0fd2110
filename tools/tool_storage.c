/* millrace storage: prepares the log directories of a node before its first start (format), shows
 * what they are (info), and makes ids (random-uuid), as kafka-storage.sh does. What a formatted
 * directory holds: controller/format.h.
 *
 * The node must not be running on the directories: its lock is not asked for, as in Kafka. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "broker/config.h"
#include "controller/format.h"
#include "runtime/io.h"
#include "tools/server_config.h"
#include "tools/tool.h"

enum { FEATURES_MAX = 32 };

static const char help[] =
    "Usage: millrace storage format -t CLUSTER-ID -c FILE [OPTION]...\n"
    "       millrace storage info -c FILE\n"
    "       millrace storage random-uuid\n"
    "\n"
    "format writes the cluster's id, the node's id and the first metadata into the log\n"
    "directories that FILE names; all nodes of a cluster get the same id. info shows\n"
    "what they hold. random-uuid makes an id for a new cluster. (A node without a\n"
    "configuration file needs none of this: `millrace server` formats its own folder.)\n"
    "\n"
    "Examples:\n"
    "  millrace storage format -t $(millrace storage random-uuid) -c server.properties\n"
    "  millrace storage info -c server.properties\n"
    "\n"
    "Options:\n"
    "  --config FILE, -c                 the node's server.properties\n"
    "  --cluster-id ID, -t               the cluster's id\n"
    "  --ignore-formatted, -g            leave formatted directories alone, format the others\n"
    "  --release-version VERSION, -r     feature levels as of this release, for example 4.3\n"
    "  --feature NAME=LEVEL, -f          the level of one feature. May be given several times.\n"
    "  --no-initial-controllers, -N      for a node that is not a controller: nothing to add\n"
    "  --help                            this text\n";

struct storage_options {
    const char *config;
    const char *cluster_id;
    const char *release;
    bool ignore_formatted;
    bool no_initial_controllers;
    struct format_feature features[FEATURES_MAX];
    size_t features_n;
};

static int complain(const char *text)
{
    fprintf(stderr, "millrace storage: %s\n", text);
    return 1;
}

static int usage_error(const char *fmt, const char *what)
{
    fprintf(stderr, "millrace storage: ");
    fprintf(stderr, fmt, what);
    fprintf(stderr, "\nSee `millrace storage --help`.\n");
    return 1;
}

/* ---- command line ---- */

/* The value of --NAME VALUE, --NAME=VALUE, -S VALUE; NULL: another option. */
static const char *value_of(const char *name, const char *letter, int argc, char **argv, int *i)
{
    size_t n = strlen(name);
    if (strncmp(argv[*i], name, n) == 0 && argv[*i][n] == '=') {
        return argv[*i] + n + 1;
    }
    if ((strcmp(argv[*i], name) == 0 || strcmp(argv[*i], letter) == 0) && *i + 1 < argc) {
        return argv[++*i];
    }
    return NULL;
}

static bool is_flag(const char *arg, const char *name, const char *letter)
{
    return strcmp(arg, name) == 0 || strcmp(arg, letter) == 0;
}

/* NAME=LEVEL; the name is cut off in place. */
static int parse_feature(struct storage_options *o, char *text)
{
    char *eq = strchr(text, '=');
    char *end = NULL;
    long level = eq ? strtol(eq + 1, &end, 10) : -1;
    if (eq == NULL || eq == text || end == eq + 1 || *end || level < 0 || level > INT16_MAX) {
        return usage_error("--feature %s: it is NAME=LEVEL, for example transaction.version=2",
                           text);
    }
    if (o->features_n == FEATURES_MAX) {
        return usage_error("too many features at %s", text);
    }
    *eq = '\0';
    o->features[o->features_n++] = (struct format_feature){text, (int16_t)level};
    return 0;
}

static int parse_one(struct storage_options *o, int argc, char **argv, int *i)
{
    const char *arg = argv[*i];
    const char *v;
    if ((v = value_of("--config", "-c", argc, argv, i)) != NULL) {
        o->config = v;
    } else if ((v = value_of("--cluster-id", "-t", argc, argv, i)) != NULL) {
        o->cluster_id = v;
    } else if ((v = value_of("--release-version", "-r", argc, argv, i)) != NULL) {
        o->release = v;
    } else if ((v = value_of("--feature", "-f", argc, argv, i)) != NULL) {
        return parse_feature(o, argv[*i] + (v - argv[*i]));
    } else if (is_flag(arg, "--ignore-formatted", "-g")) {
        o->ignore_formatted = true;
    } else if (is_flag(arg, "--no-initial-controllers", "-N")) {
        o->no_initial_controllers = true;
    } else if (is_flag(arg, "--standalone", "-s") ||
               strncmp(arg, "--initial-controllers", 21) == 0 || strcmp(arg, "-I") == 0) {
        return usage_error("%s: the voters are those of controller.quorum.voters; a quorum whose "
                           "members change is not supported",
                           arg);
    } else if (is_flag(arg, "--add-scram", "-S") || strncmp(arg, "--add-scram=", 12) == 0) {
        return usage_error("%s: SCRAM credentials are not supported yet", arg);
    } else {
        return usage_error("unknown or incomplete option %s", arg);
    }
    return 0;
}

static int parse(int argc, char **argv, struct storage_options *o)
{
    for (int i = 2; i < argc; i++) {
        int err = parse_one(o, argc, argv, &i);
        if (err) {
            return err;
        }
    }
    return o->config ? 0 : usage_error("%s is missing: which node?", "--config FILE");
}

static struct config *load(const struct storage_options *o)
{
    struct errmsg em = {{0}};
    struct server_options so = {.file = o->config};
    struct config *c = server_config_load(&so, NULL, &em);
    if (c == NULL) {
        complain(em.text);
    }
    return c;
}

/* ---- format ---- */

static void say(void *ctx, const char *line)
{
    (void)ctx;
    printf("%s\n", line);
}

static int format(struct io *io, const struct storage_options *o, const struct config *c)
{
    struct errmsg em = {{0}};
    struct format_options fo = {
        .cluster_id = o->cluster_id,
        .node_id = c->node_id,
        .features = o->features,
        .features_n = o->features_n,
        .ignore_formatted = o->ignore_formatted,
    };
    if (o->release) {
        fo.metadata_version = format_metadata_version(o->release);
        if (fo.metadata_version == 0) {
            return usage_error("--release-version %s is not known; allowed: 3.3-IV3 to 4.3-IV0, or "
                               "a release such as 4.3",
                               o->release);
        }
    }
    if (o->no_initial_controllers && c->voters_n > 0) {
        return usage_error("%s goes with no controller.quorum.voters", "--no-initial-controllers");
    }
    int err = format_dirs(io, c->log_dirs, c->log_dirs_n, c->metadata_log_dir, &fo, say, NULL, &em);
    return err ? complain(em.text) : 0;
}

/* ---- info ---- */

struct finding {
    char lines[CONFIG_LOG_DIRS_MAX * 2][512];
    size_t n;
};

static void find(struct finding *f, const char *dir, const char *what)
{
    if (f->n < sizeof f->lines / sizeof f->lines[0]) {
        snprintf(f->lines[f->n++], sizeof f->lines[0], "%s%s", dir, what);
    }
}

static void print_findings(const char *one, const char *many, const struct finding *f)
{
    if (f->n == 0) {
        return;
    }
    printf("%s:\n", f->n == 1 ? one : many);
    for (size_t i = 0; i < f->n; i++) {
        printf("  %s\n", f->lines[i]);
    }
    printf("\n");
}

static void look(struct io *io, const char *dir, const struct format_meta **first,
                 struct format_meta *meta, struct finding *found, struct finding *problems)
{
    struct io_stat st;
    struct errmsg em = {{0}};
    if (io_stat(io, dir, &st)) {
        find(problems, dir, " does not exist");
        return;
    }
    find(found, dir, "");
    int err = format_read_meta(io, dir, meta, &em);
    if (err == ERR_NOTFOUND) {
        find(problems, dir, " is not formatted.");
    } else if (err) {
        find(problems, "", em.text);
    } else if (*first == NULL) {
        *first = meta;
    } else if (strcmp((*first)->cluster_id, meta->cluster_id) != 0 ||
               (*first)->node_id != meta->node_id) {
        find(problems, dir, " belongs to another cluster or node than the first directory");
    }
}

static int info(struct io *io, const struct config *c)
{
    struct format_meta *metas = mem_zalloc(c->log_dirs_n * sizeof *metas);
    struct finding *found = MEM_NEW(struct finding);
    struct finding *problems = MEM_NEW(struct finding);
    const struct format_meta *first = NULL;
    for (size_t i = 0; i < c->log_dirs_n; i++) {
        look(io, c->log_dirs[i], &first, &metas[i], found, problems);
    }
    print_findings("Found log directory", "Found log directories", found);
    if (first) {
        char id[UUID_TEXT];
        printf("Found metadata: {cluster.id=%s, directory.id=%s, node.id=%" PRId32
               ", version=1}\n\n",
               first->cluster_id, uuid_text(first->directory_id, id), first->node_id);
    }
    print_findings("Found problem", "Found problems", problems);
    int status = problems->n > 0;
    mem_free(metas);
    mem_free(found);
    mem_free(problems);
    return status;
}

/* ---- commands ---- */

static int random_uuid(struct io *io)
{
    char text[UUID_TEXT];
    printf("%s\n", uuid_text(format_random_uuid(io), text));
    return 0;
}

static int with_config(struct io *io, const char *command, const struct storage_options *o)
{
    struct config *c = load(o);
    if (c == NULL) {
        return 1;
    }
    int status = strcmp(command, "info") == 0 ? info(io, c) : format(io, o, c);
    config_free(c);
    return status;
}

/* All that the commands do is to read and write files: any backend will do. */
static int run(const char *command, const struct storage_options *o)
{
    struct errmsg em = {{0}};
    struct io *io;
    if (io_create(IO_BACKEND_UV, &io, &em)) {
        return complain(em.text);
    }
    int status =
        strcmp(command, "random-uuid") == 0 ? random_uuid(io) : with_config(io, command, o);
    io_destroy(io);
    return status;
}

int tool_storage(int argc, char **argv)
{
    struct storage_options o = {0};
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            fputs(help, stdout);
            return 0;
        }
    }
    const char *command = argc > 1 ? argv[1] : "";
    if (strcmp(command, "random-uuid") == 0) {
        return argc > 2 ? usage_error("random-uuid takes no options: %s", argv[2])
                        : run(command, &o);
    }
    if (strcmp(command, "format") != 0 && strcmp(command, "info") != 0) {
        return usage_error(command[0] ? "%s is no command; there are: format, info, random-uuid"
                                      : "which command? %sformat, info or random-uuid",
                           command);
    }
    if (parse(argc, argv, &o)) {
        return 1;
    }
    if (strcmp(command, "format") == 0 && o.cluster_id == NULL) {
        return usage_error("%s is missing (`millrace storage random-uuid` makes one)",
                           "--cluster-id ID");
    }
    return run(command, &o);
}
