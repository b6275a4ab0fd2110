/* millrace storage: format the log directories of a node, show what they are, make a cluster id; as
 * kafka-storage.sh does. The node must not be running. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "broker/config.h"
#include "controller/format.h"
#include "proto_features.h"
#include "tools/args.h"
#include "tools/features.h"
#include "tools/listing.h"
#include "tools/server_config.h"
#include "tools/storage.h"
#include "tools/tool.h"

enum { FEATURES_MAX = 16 };

static const char usage[] =
    "Usage: millrace storage format -t CLUSTER-ID -c FILE [options]\n"
    "       millrace storage info -c FILE\n"
    "       millrace storage random-uuid\n"
    "       millrace storage version-mapping [-r RELEASE]\n"
    "       millrace storage feature-dependencies -f NAME=LEVEL...\n"
    "       millrace storage admit-voter --bootstrap-controller HOST:PORT --voter ID --directory "
    "DIRECTORY-ID\n"
    "\n"
    "Formats the log directories of a node before its first start, shows what they\n"
    "are, or makes an id for a new cluster. FILE is the server.properties that the\n"
    "node will be started with. See `millrace storage format --help`.\n"
    "version-mapping says which feature levels a release stands for,\n"
    "feature-dependencies what a level needs.\n"
    "admit-voter lets a controller that has lost its disk be heard by the others again.\n"
    "\n"
    "Example:\n"
    "  millrace storage format -t \"$(millrace storage random-uuid)\" -c server.properties\n";

static const struct arg_def format_defs[] = {
    {"config", ARG_VALUE, "FILE", "The server.properties of the node. Required."},
    {"cluster-id", ARG_VALUE, "ID", "The cluster's id, the same on all nodes. Required."},
    {"ignore-formatted", ARG_FLAG, NULL, "Leave formatted directories alone."},
    {"release-version", ARG_VALUE, "RELEASE",
     "Begin with the features of this release, 3.3-IV3 or later."},
    {"feature", ARG_LIST, "NAME=LEVEL", "Begin with this level of a feature."},
    {"standalone", ARG_FLAG, NULL, "Without controller.quorum.voters: the node is the only voter."},
    {"initial-controllers", ARG_VALUE, "ID@HOST:PORT:DIRECTORY-ID",
     "The same, with a directory id of your choice; more than one is not served."},
    {"no-initial-controllers", ARG_FLAG, NULL,
     "The same: the node is no voter, and follows those that there are."},
    {"add-scram", ARG_LIST, "CREDENTIAL", "Not served yet."},
};

static const struct args_spec format_spec = {
    .tool = "storage format",
    .about = "format the log directories that a server.properties names",
    .examples = "  millrace storage format -t \"$(millrace storage random-uuid)\" -c "
                "server.properties\n"
                "  millrace storage format -t DUO7j3nMRSCdq1RXXLLHig -c broker2.properties -g\n"
                "  millrace storage format -t my-cluster -c server.properties --standalone\n"
                "  millrace storage format -t my-cluster -c server.properties --release-version "
                "4.0\n",
    .defs = format_defs,
    .n = ARRAY_LEN(format_defs),
    .letters = "c=config t=cluster-id g=ignore-formatted r=release-version f=feature s=standalone "
               "I=initial-controllers N=no-initial-controllers S=add-scram",
};

static const struct arg_def info_defs[] = {
    {"config", ARG_VALUE, "FILE", "The server.properties of the node. Required."},
    ARG_JSON,
};

static const struct args_spec info_spec = {
    .tool = "storage info",
    .about = "show what the log directories of a server.properties are",
    .examples = "  millrace storage info -c server.properties\n"
                "  millrace storage info -c server.properties --json\n",
    .defs = info_defs,
    .n = ARRAY_LEN(info_defs),
    .letters = "c=config",
};

static const struct arg_def mapping_defs[] = {
    {"release-version", ARG_VALUE, "RELEASE", "4.3, 4.3-IV0, ...; the newest if left out."},
    ARG_JSON,
};

static const struct args_spec mapping_spec = {
    .tool = "storage version-mapping",
    .about = "show which feature levels a release stands for",
    .examples = "  millrace storage version-mapping -r 4.1\n",
    .defs = mapping_defs,
    .n = ARRAY_LEN(mapping_defs),
    .letters = "r=release-version",
};

static const struct arg_def dependencies_defs[] = {
    {"feature", ARG_LIST, "NAME=LEVEL", "The feature and its level. Required."},
    ARG_JSON,
};

static const struct args_spec dependencies_spec = {
    .tool = "storage feature-dependencies",
    .about = "show what levels of features need",
    .examples = "  millrace storage feature-dependencies -f eligible.leader.replicas.version=1\n",
    .defs = dependencies_defs,
    .n = ARRAY_LEN(dependencies_defs),
    .letters = "f=feature",
};

/* ---- command line ---- */

/* ID@HOST:PORT:DIRECTORY-ID of this node. */
static void parse_voter(const struct args *a, const struct config *c, const char *text,
                        struct format_voter *out)
{
    const char *at = strchr(text, '@');
    const char *id = strrchr(text, ':');
    const char *port = id ? id : text;
    while (port > text && *--port != ':') {
    }
    char *end;
    long node = strtol(text, &end, 10);
    bool ok = at && end == at && id && port > at + 1;
    long n = ok ? strtol(port + 1, &end, 10) : -1;
    if (strchr(text, ',')) {
        args_fail(a, "--initial-controllers names several voters, which can change: not served; "
                     "name them in controller.quorum.voters");
    }
    if (!ok || end != id || n < 0 || n > UINT16_MAX ||
        uuid_parse(id + 1, strlen(id + 1), &out->directory_id) != 0) {
        args_fail(a, "--initial-controllers %s is not ID@HOST:PORT:DIRECTORY-ID", text);
    }
    if (node != c->node_id) {
        args_fail(a, "--initial-controllers names node %ld, but this is node %d", node,
                  (int)c->node_id);
    }
    bool brackets = at[1] == '[' && port[-1] == ']';
    char *host = mem_strdup(at + (brackets ? 2 : 1));
    host[port - at - (brackets ? 3 : 1)] = '\0';
    out->host = host;
    out->port = (uint16_t)n;
}

static const struct listener_config *controller_listener(const struct config *c)
{
    for (size_t i = 0; i < c->listeners.n; i++) {
        if (c->listeners.v[i].controller) {
            return &c->listeners.v[i];
        }
    }
    return NULL;
}

/* How the voters are named: false if by controller.quorum.voters, or the node is no controller. */
static bool voter_of(const struct args *a, const struct config *c, struct format_voter *out)
{
    bool standalone = args_has(a, "standalone");
    const char *initial = args_get(a, "initial-controllers", NULL);
    bool none = args_has(a, "no-initial-controllers");
    const struct listener_config *l = controller_listener(c);
    if (standalone + (initial != NULL) + none > 1) {
        args_fail(a, "one of --standalone, --initial-controllers and --no-initial-controllers, "
                     "not several");
    }
    if (c->v.controller_quorum_voters[0]) {
        if (standalone || initial) {
            args_fail(a, "--standalone and --initial-controllers are for a node without "
                         "controller.quorum.voters; this one has them");
        }
        return false;
    }
    if (l == NULL) {
        if (standalone || initial) {
            args_fail(a,
                      "--standalone and --initial-controllers are for controllers; "
                      "process.roles=%s",
                      c->v.process_roles);
        }
        return false;
    }
    if (none) {
        return false;
    }
    if (!standalone && initial == NULL) {
        args_fail(a, "controller.quorum.voters is not set: say --standalone if the node is to be "
                     "the only voter, --no-initial-controllers if it is to follow the quorum that "
                     "controller.quorum.bootstrap.servers leads to, and be no voter");
    }
    *out = (struct format_voter){l->name, NULL, l->advertised_port ? l->advertised_port : l->port,
                                 UUID_ZERO};
    if (standalone) {
        out->host = mem_strdup(l->advertised_host);
    } else {
        parse_voter(a, c, initial, out);
    }
    return true;
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

struct config *storage_load_config(const struct args *a)
{
    struct errmsg em = {{0}};
    struct server_options o = {.file = args_get(a, "config", NULL)};
    struct config *c = server_config_load(&o, NULL, &em);
    if (c == NULL) {
        args_fail(a, "%s", em.text);
    }
    return c;
}

struct io *storage_open_io(void)
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

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

size_t storage_dirs(const struct config *c, const char **dirs)
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
    qsort(dirs, n, sizeof *dirs, by_text);
    return n;
}

/* ---- format ---- */

static void say(void *ctx, const char *line)
{
    (void)ctx;
    printf("%s\n", line);
}

static int16_t release_of(const struct args *a, const struct format_options *opt)
{
    const char *release = args_get(a, "release-version", NULL);
    if (release == NULL) {
        return 0;
    }
    for (size_t i = 0; i < opt->features_n; i++) {
        if (strcmp(opt->features[i].name, "metadata.version") == 0) {
            args_fail(a, "--feature metadata.version and --release-version say the same thing: "
                         "leave out one");
        }
    }
    int16_t level = format_metadata_version(release);
    if (level == 0) {
        args_fail(a, "--release-version %s is no release; allowed: %s to %s", release,
                  proto_metadata_versions[0].name,
                  proto_metadata_version(format_newest_release())->name);
    }
    return level;
}

static int format(int argc, char **argv)
{
    struct args a;
    struct errmsg em = {{0}};
    struct format_feature features[FEATURES_MAX];
    const char *dirs[STORAGE_DIRS_MAX];
    args_parse(&a, &format_spec, argc, argv);
    args_require(&a, "config");
    args_require(&a, "cluster-id");
    if (args_has(&a, "add-scram")) {
        args_fail(&a, "--add-scram is not served yet");
    }
    struct config *c = storage_load_config(&a);
    struct format_voter voter = {0};
    struct format_options opt = {
        .cluster_id = args_get(&a, "cluster-id", ""),
        .node_id = c->node_id,
        .features = features,
        .ignore_formatted = args_has(&a, "ignore-formatted"),
    };
    for (const char *const *f = args_list(&a, "feature"); *f; f++) {
        if (opt.features_n == FEATURES_MAX) {
            args_fail(&a, "too many --feature options");
        }
        parse_feature(&a, *f, &features[opt.features_n++]);
    }
    opt.metadata_version = release_of(&a, &opt);
    opt.voter = voter_of(&a, c, &voter) ? &voter : NULL;
    struct io *io = storage_open_io();
    size_t n = storage_dirs(c, dirs);
    int err = format_dirs(io, dirs, n, c->metadata_log_dir, &opt, say, NULL, &em);
    if (err) {
        fprintf(stderr, "millrace storage: %s\n", em.text);
    }
    io_destroy(io);
    for (size_t i = 0; i < opt.features_n; i++) {
        mem_free((void *)(uintptr_t)features[i].name);
    }
    mem_free((void *)(uintptr_t)voter.host);
    config_free(c);
    args_free(&a);
    return err ? 1 : 0;
}

/* ---- info ---- */

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

struct shown {
    bool exists;
    bool problem;
    struct format_meta meta;
    struct errmsg em;
};

/* Reads one; first is the meta of an earlier one, or NULL. True if it is in order. */
static bool judge(struct io *io, const struct config *c, const char *dir,
                  const struct format_meta *first, struct shown *s)
{
    *s = (struct shown){.exists = is_dir(io, dir)};
    int err = s->exists ? format_read_meta(io, dir, &s->meta, &s->em)
                        : errmsg_set(&s->em, ERR_NOTFOUND, "%s does not exist", dir);
    if (s->exists && err == ERR_NOTFOUND) {
        errmsg_set(&s->em, err, "%s is not formatted.", dir);
    } else if (err == 0 && s->meta.node_id != c->node_id) {
        err = errmsg_set(&s->em, ERR_CONFLICT, "%s belongs to node %d, not to node.id=%d", dir,
                         (int)s->meta.node_id, (int)c->node_id);
    } else if (err == 0 && first && strcmp(first->cluster_id, s->meta.cluster_id) != 0) {
        err = errmsg_set(&s->em, ERR_CONFLICT, "%s is of another cluster, %s", dir,
                         s->meta.cluster_id);
    }
    s->problem = err != 0;
    return err == 0;
}

/* Each with whose it is, as far as that can be read, and what is wrong with it. */
static void show_json(const char **dirs, const struct shown *all, size_t n)
{
    json_t *listing = listing_new("storage");
    for (size_t i = 0; i < n; i++) {
        const struct shown *s = &all[i];
        bool read = s->meta.cluster_id[0] != '\0';
        json_t *o = listing_item(listing);
        json_put_text(o, "logDir", bytes_str(dirs[i]));
        json_put_text(o, "clusterId", bytes_str(read ? s->meta.cluster_id : NULL));
        json_put_known(o, "nodeId", read ? s->meta.node_id : -1);
        json_put_uuid(o, "directoryId", s->meta.directory_id);
        json_put_text(o, "problem", bytes_str(s->problem ? s->em.text : NULL));
    }
    listing_print(listing);
}

/* The directories, then whose they are, then what is wrong with them. */
static void show_text(const char **dirs, const struct shown *all, size_t n,
                      const struct format_meta *first)
{
    size_t found = 0, problems = 0;
    for (size_t i = 0; i < n; i++) {
        found += all[i].exists;
        problems += all[i].problem;
    }
    printf("%s", found > 1 ? "Found log directories:\n" : found ? "Found log directory:\n" : "");
    for (size_t i = 0; i < n; i++) {
        if (all[i].exists) {
            printf("  %s\n", dirs[i]);
        }
    }
    printf("%s", found ? "\n" : "");
    if (first) {
        print_meta(first);
    }
    printf("%s", problems > 1 ? "Found problems:\n" : problems ? "Found problem:\n" : "");
    for (size_t i = 0; i < n; i++) {
        if (all[i].problem) {
            printf("  %s\n", all[i].em.text);
        }
    }
    printf("%s", problems ? "\n" : "");
}

static int show(const struct args *a, struct io *io, const struct config *c)
{
    const char *dirs[STORAGE_DIRS_MAX];
    size_t n = storage_dirs(c, dirs);
    struct shown *all = mem_zalloc(n * sizeof *all);
    const struct format_meta *first = NULL;
    bool good = true;
    for (size_t i = 0; i < n; i++) {
        bool is_good = judge(io, c, dirs[i], first, &all[i]);
        first = is_good && first == NULL ? &all[i].meta : first;
        good &= is_good;
    }
    if (args_has(a, "json")) {
        show_json(dirs, all, n);
    } else {
        show_text(dirs, all, n, first);
    }
    mem_free(all);
    return good ? 0 : 1;
}

static int info(int argc, char **argv)
{
    struct args a;
    args_parse(&a, &info_spec, argc, argv);
    args_require(&a, "config");
    struct config *c = storage_load_config(&a);
    struct io *io = storage_open_io();
    int status = show(&a, io, c);
    io_destroy(io);
    config_free(c);
    args_free(&a);
    return status;
}

/* ---- random-uuid ---- */

static int random_uuid(int argc, char **argv)
{
    char text[UUID_TEXT];
    if (argc == 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
        fputs(usage, stdout);
        return 0;
    }
    if (argc > 1) {
        fprintf(stderr, "millrace storage: random-uuid takes no options\n");
        return 1;
    }
    struct io *io = storage_open_io();
    printf("%s\n", uuid_text(format_random_uuid(io), text));
    io_destroy(io);
    return 0;
}

/* ---- version-mapping, feature-dependencies ---- */

static int told(struct args *a, int err, const struct errmsg *em)
{
    if (err) {
        fprintf(stderr, "%s\n", em->text);
    }
    args_free(a);
    return err ? 1 : 0;
}

static int version_mapping(int argc, char **argv)
{
    struct args a;
    struct errmsg em = {{0}};
    args_parse(&a, &mapping_spec, argc, argv);
    return told(
        &a, feature_print_mapping(args_get(&a, "release-version", NULL), args_has(&a, "json"), &em),
        &em);
}

static int feature_dependencies(int argc, char **argv)
{
    struct args a;
    struct errmsg em = {{0}};
    args_parse(&a, &dependencies_spec, argc, argv);
    args_require(&a, "feature");
    return told(&a, feature_print_dependencies(args_list(&a, "feature"), args_has(&a, "json"), &em),
                &em);
}

int tool_storage(int argc, char **argv)
{
    static const struct {
        const char *name;
        int (*run)(int argc, char **argv);
    } commands[] = {
        {"format", format},
        {"info", info},
        {"random-uuid", random_uuid},
        {"version-mapping", version_mapping},
        {"feature-dependencies", feature_dependencies},
        {"admit-voter", tool_storage_admit},
    };
    const char *what = argc > 1 ? argv[1] : NULL;
    if (what && (strcmp(what, "--help") == 0 || strcmp(what, "-h") == 0)) {
        fputs(usage, stdout);
        return 0;
    }
    if (what && strcmp(what, "--version") == 0) {
        printf("millrace %s\n", MILLRACE_VERSION);
        return 0;
    }
    for (size_t i = 0; what && i < ARRAY_LEN(commands); i++) {
        if (strcmp(commands[i].name, what) == 0) {
            return commands[i].run(argc - 1, argv + 1);
        }
    }
    fprintf(stderr,
            "millrace storage: %s format, info, random-uuid, version-mapping, "
            "feature-dependencies or admit-voter\n",
            what ? "the command is one of" : "say what to do:");
    return 1;
}
