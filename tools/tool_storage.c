/* millrace storage: format the log directories of a node, show what they are, make a cluster id; as
 * kafka-storage.sh does. The node must not be running. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "base/mem.h"
#include "broker/config.h"
#include "controller/format.h"
#include "tools/args.h"
#include "tools/text.h"
#include "tools/tool.h"

enum { DIRS_MAX = CONFIG_LOG_DIRS_MAX + 1, FEATURES_MAX = 16 };

static const char usage[] =
    "Usage: millrace storage format -t CLUSTER-ID -c FILE [options]\n"
    "       millrace storage info -c FILE\n"
    "       millrace storage random-uuid\n"
    "\n"
    "Formats the log directories of a node before its first start, shows what they\n"
    "are, or makes an id for a new cluster. FILE is the server.properties that the\n"
    "node will be started with. See `millrace storage format --help`.\n"
    "\n"
    "Example:\n"
    "  millrace storage format -t \"$(millrace storage random-uuid)\" -c server.properties\n";

static const struct arg_def format_defs[] = {
    {"config", ARG_VALUE, "FILE", "The server.properties of the node (-c). Required."},
    {"cluster-id", ARG_VALUE, "ID", "The cluster's id, the same on all nodes (-t). Required."},
    {"ignore-formatted", ARG_FLAG, NULL, "Leave formatted directories alone (-g)."},
    {"release-version", ARG_VALUE, "RELEASE",
     "Begin with the features of this release, 3.3-IV3 or later (-r)."},
    {"feature", ARG_LIST, "NAME=LEVEL", "Begin with this level of a feature (-f)."},
    {"no-initial-controllers", ARG_FLAG, NULL,
     "The node is no controller: nothing to say about voters (-N)."},
    {"standalone", ARG_FLAG, NULL,
     "Not served: voters are those of controller.quorum.voters (-s)."},
    {"initial-controllers", ARG_VALUE, "LIST", "Not served, for the same reason (-I)."},
    {"add-scram", ARG_LIST, "CREDENTIAL", "Not served yet (-S)."},
};

static const struct args_spec format_spec = {
    .tool = "storage format",
    .about = "format the log directories that a server.properties names",
    .examples = "  millrace storage format -t \"$(millrace storage random-uuid)\" -c "
                "server.properties\n"
                "  millrace storage format -t DUO7j3nMRSCdq1RXXLLHig -c broker2.properties -g\n"
                "  millrace storage format -t my-cluster -c server.properties --release-version "
                "4.0\n",
    .defs = format_defs,
    .n = sizeof format_defs / sizeof format_defs[0],
};

static const struct arg_def info_defs[] = {
    {"config", ARG_VALUE, "FILE", "The server.properties of the node (-c). Required."},
};

static const struct args_spec info_spec = {
    .tool = "storage info",
    .about = "show what the log directories of a server.properties are",
    .examples = "  millrace storage info -c server.properties\n",
    .defs = info_defs,
    .n = sizeof info_defs / sizeof info_defs[0],
};

/* ---- command line ---- */

/* The options that Kafka's tool also knows by a letter. */
static char *long_form(char *arg)
{
    static const struct {
        const char *letter;
        const char *name;
    } forms[] = {
        {"-c", "--config"},           {"-t", "--cluster-id"},
        {"-g", "--ignore-formatted"}, {"-r", "--release-version"},
        {"-f", "--feature"},          {"-N", "--no-initial-controllers"},
        {"-s", "--standalone"},       {"-I", "--initial-controllers"},
        {"-S", "--add-scram"},        {"-h", "--help"},
    };
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        if (strcmp(arg, forms[i].letter) == 0) {
            return (char *)(uintptr_t)forms[i].name;
        }
    }
    return arg;
}

static void refuse_unserved(const struct args *a)
{
    if (args_has(a, "standalone") || args_has(a, "initial-controllers")) {
        args_fail(a,
                  "--standalone and --initial-controllers make a quorum whose voters can change, "
                  "which is not served: name the voters in controller.quorum.voters");
    }
    if (args_has(a, "add-scram")) {
        args_fail(a, "--add-scram is not served yet");
    }
}

static void parse_feature(const struct args *a, const char *text, struct format_feature *out)
{
    const char *eq = strchr(text, '=');
    char *end;
    long level = eq ? strtol(eq + 1, &end, 10) : -1;
    if (eq == NULL || eq == text || eq[1] == '\0' || *end != '\0' || level < 0 ||
        level > INT16_MAX) {
        args_fail(a, "--feature %s is not NAME=LEVEL, as in transaction.version=2", text);
    }
    char *name = mem_strdup(text);
    name[eq - text] = '\0';
    *out = (struct format_feature){name, (int16_t)level};
}

/* ---- what they share ---- */

static struct config *load_config(const struct args *a)
{
    const char *path = args_get(a, "config", NULL);
    struct config *c = config_new();
    struct buf text = {0};
    struct errmsg em = {{0}};
    char host[256] = "localhost";
    gethostname(host, sizeof host - 1);
    struct config_machine m = {
        .hostname = host, .processors = 1, .memory_bytes = 0, .tmp_dir = getenv("TMPDIR")};
    int err = tool_read_file(path, &text, &em);
    err = err ? err : config_add_properties(c, buf_bytes(&text), path, &em);
    err = err ? err : config_finish(c, &m, NULL, &em);
    buf_free(&text);
    if (err) {
        args_fail(a, "%s", em.text);
    }
    return c;
}

static struct io *open_io(void)
{
    enum io_backend chosen;
    struct errmsg em = {{0}};
    struct io *io;
    if (io_probe(IO_BACKEND_AUTO, &chosen, &em) || io_create(chosen, &io, &em)) {
        fprintf(stderr, "millrace storage: %s\n", em.text);
        exit(1);
    }
    return io;
}

/* log.dirs, and metadata.log.dir if it is none of them, sorted as Kafka's tool shows them. */
static size_t all_dirs(const struct config *c, const char **dirs)
{
    size_t n = 0;
    bool has_metadata = false;
    for (size_t i = 0; i < c->log_dirs_n; i++) {
        dirs[n++] = c->log_dirs[i];
        has_metadata = has_metadata || strcmp(c->log_dirs[i], c->metadata_log_dir) == 0;
    }
    if (!has_metadata) {
        dirs[n++] = c->metadata_log_dir;
    }
    return n;
}

/* ---- format ---- */

static void say(void *ctx, const char *line)
{
    (void)ctx;
    printf("%s\n", line);
}

static int format(int argc, char **argv)
{
    struct args a;
    struct errmsg em = {{0}};
    struct format_feature features[FEATURES_MAX];
    const char *dirs[DIRS_MAX];
    args_parse(&a, &format_spec, argc, argv);
    args_require(&a, "config");
    args_require(&a, "cluster-id");
    refuse_unserved(&a);
    struct config *c = load_config(&a);
    struct format_options opt = {
        .cluster_id = args_get(&a, "cluster-id", ""),
        .node_id = c->node_id,
        .features = features,
        .ignore_formatted = args_has(&a, "ignore-formatted"),
    };
    const char *release = args_get(&a, "release-version", NULL);
    if (release && (opt.metadata_version = format_metadata_version(release)) == 0) {
        args_fail(&a, "--release-version %s is no release; for example 4.3, 4.0-IV3", release);
    }
    for (const char *const *f = args_list(&a, "feature"); *f; f++) {
        if (opt.features_n == FEATURES_MAX) {
            args_fail(&a, "too many --feature options");
        }
        parse_feature(&a, *f, &features[opt.features_n++]);
    }
    struct io *io = open_io();
    size_t n = all_dirs(c, dirs);
    int err = format_dirs(io, dirs, n, c->metadata_log_dir, &opt, say, NULL, &em);
    if (err) {
        fprintf(stderr, "millrace storage: %s\n", em.text);
    }
    io_destroy(io);
    for (size_t i = 0; i < opt.features_n; i++) {
        mem_free((void *)(uintptr_t)features[i].name);
    }
    config_free(c);
    args_free(&a);
    return err ? 1 : 0;
}

/* ---- info ---- */

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void print_meta(const struct format_meta *m)
{
    char id[UUID_TEXT];
    printf("Found metadata: {cluster.id=%s, ", m->cluster_id);
    if (!uuid_is_zero(m->directory_id)) {
        printf("directory.id=%s, ", uuid_text(m->directory_id, id));
    }
    printf("node.id=%d, version=1}\n\n", (int)m->node_id);
}

static bool is_dir(struct io *io, const char *dir)
{
    struct io_stat st;
    return io_stat(io, dir, &st) == 0 && st.is_dir;
}

/* Prints the directories, then what is wrong with them, then whose they are. */
static int show(struct io *io, const struct config *c, const char **dirs, size_t n)
{
    struct format_meta metas[DIRS_MAX];
    struct errmsg em[DIRS_MAX] = {{{0}}};
    const struct format_meta *first = NULL;
    bool problem[DIRS_MAX] = {false};
    size_t found = 0;
    size_t problems = 0;
    for (size_t i = 0; i < n; i++) {
        if (!is_dir(io, dirs[i])) {
            snprintf(em[i].text, sizeof em[i].text, "%s does not exist", dirs[i]);
        } else {
            printf("%s  %s\n", found++ ? "" : "Found log directories:\n", dirs[i]);
            int err = format_read_meta(io, dirs[i], &metas[i], &em[i]);
            if (err == ERR_NOTFOUND) {
                snprintf(em[i].text, sizeof em[i].text, "%s is not formatted.", dirs[i]);
            } else if (err == 0 && metas[i].node_id != c->node_id) {
                snprintf(em[i].text, sizeof em[i].text, "%s belongs to node %d, not to node.id=%d",
                         dirs[i], (int)metas[i].node_id, (int)c->node_id);
            } else if (err == 0 && first && strcmp(first->cluster_id, metas[i].cluster_id) != 0) {
                snprintf(em[i].text, sizeof em[i].text, "%s is of another cluster, %s", dirs[i],
                         metas[i].cluster_id);
            } else if (err == 0) {
                first = first ? first : &metas[i];
                continue;
            }
        }
        problem[i] = true;
        problems++;
    }
    printf("%s", found ? "\n" : "");
    if (first) {
        print_meta(first);
    }
    printf("%s", problems ? "Found problems:\n" : "");
    for (size_t i = 0; i < n; i++) {
        if (problem[i]) {
            printf("  %s\n", em[i].text);
        }
    }
    printf("%s", problems ? "\n" : "");
    return problems ? 1 : 0;
}

static int info(int argc, char **argv)
{
    struct args a;
    const char *dirs[DIRS_MAX];
    args_parse(&a, &info_spec, argc, argv);
    args_require(&a, "config");
    struct config *c = load_config(&a);
    struct io *io = open_io();
    size_t n = all_dirs(c, dirs);
    qsort(dirs, n, sizeof *dirs, by_text);
    int status = show(io, c, dirs, n);
    io_destroy(io);
    config_free(c);
    args_free(&a);
    return status;
}

/* ---- random-uuid ---- */

static int random_uuid(int argc)
{
    char text[UUID_TEXT];
    if (argc > 1) {
        fprintf(stderr, "millrace storage: random-uuid takes no options\n");
        return 1;
    }
    struct io *io = open_io();
    printf("%s\n", uuid_text(format_random_uuid(io), text));
    io_destroy(io);
    return 0;
}

int tool_storage(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : NULL;
    for (int i = 1; i < argc; i++) {
        argv[i] = long_form(argv[i]);
    }
    if (what && (strcmp(what, "--help") == 0 || strcmp(what, "-h") == 0)) {
        fputs(usage, stdout);
        return 0;
    }
    if (what && strcmp(what, "--version") == 0) {
        printf("millrace %s\n", MILLRACE_VERSION);
        return 0;
    }
    if (what && strcmp(what, "format") == 0) {
        return format(argc - 1, argv + 1);
    }
    if (what && strcmp(what, "info") == 0) {
        return info(argc - 1, argv + 1);
    }
    if (what && strcmp(what, "random-uuid") == 0) {
        return random_uuid(argc - 1);
    }
    fprintf(stderr, "millrace storage: %s\n",
            what ? "the command is one of format, info, random-uuid"
                 : "say what to do: format, info or random-uuid");
    return 1;
}
