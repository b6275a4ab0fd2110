/* millrace dump-log: the files of a log directory in words, as kafka-dump-log.sh prints them: log
 * segments, their indexes, snapshots. It reads files only; no node needs to run, and a running one
 * is not disturbed. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "tools/args.h"
#include "tools/dump.h"
#include "tools/output.h"
#include "tools/tool.h"

static const struct arg_def defs[] = {
    {"files", ARG_VALUE, "FILE,FILE,...", "The files, by their suffix: see above. Required."},
    {"deep-iteration", ARG_FLAG, NULL, "A line for every record, not only for every batch."},
    {"print-data-log", ARG_FLAG, NULL, "Keys and values too; includes --deep-iteration."},
    {"key-decoder-class", ARG_OPTIONAL, "CLASS",
     "Keys are StringDecoder (default), IntegerDecoder, LongDecoder, or DefaultDecoder (hex)."},
    {"value-decoder-class", ARG_OPTIONAL, "CLASS", "The same for values."},
    {"offsets-decoder", ARG_FLAG, NULL, "The records are those of __consumer_offsets."},
    {"transaction-log-decoder", ARG_FLAG, NULL, "The records are those of __transaction_state."},
    {"cluster-metadata-decoder", ARG_FLAG, NULL, "The records are those of __cluster_metadata."},
    {"remote-log-metadata-decoder", ARG_FLAG, NULL,
     "The records are those of __remote_log_metadata."},
    {"share-group-state-decoder", ARG_FLAG, NULL, "The records are those of __share_group_state."},
    {"skip-record-metadata", ARG_FLAG, NULL, "Of records, print keys and values alone."},
    {"max-bytes", ARG_VALUE, "N", "Read at most this many bytes of each log."},
    {"max-message-size", ARG_VALUE, "N", "The largest batch an index may point to (5242880)."},
    {"verify-index-only", ARG_FLAG, NULL, "Hold indexes against their log, print no entries."},
    {"index-sanity-check", ARG_FLAG, NULL, "Check indexes only as a node does at its start."},
};

static const struct args_spec spec = {
    .tool = "dump-log",
    .about = "print what is in the files of a log directory: segments (.log), their indexes\n"
             "(.index, .timeindex, .txnindex), snapshots of producers (.snapshot) and of the\n"
             "metadata (.checkpoint)",
    .examples = "  millrace dump-log --files data/orders-0/00000000000000000000.log\n"
                "  millrace dump-log --print-data-log --files "
                "data/orders-0/00000000000000000000.log\n"
                "  millrace dump-log --cluster-metadata-decoder --files "
                "data/__cluster_metadata-0/00000000000000000000.log\n"
                "  millrace dump-log --verify-index-only --files "
                "data/orders-0/00000000000000000000.index\n",
    .defs = defs,
    .n = sizeof defs / sizeof defs[0],
};

static enum dump_class class_of(const struct args *a, const char *option)
{
    static const struct {
        const char *name;
        enum dump_class class;
    } classes[] = {{"StringDecoder", DUMP_STRING},
                   {"IntegerDecoder", DUMP_INTEGER},
                   {"LongDecoder", DUMP_LONG},
                   {"DefaultDecoder", DUMP_HEX}};
    const char *name = args_get(a, option, "");
    const char *dot = strrchr(name, '.');
    const char *last = dot ? dot + 1 : name;
    if (*name == '\0') {
        return DUMP_STRING;
    }
    for (size_t i = 0; i < sizeof classes / sizeof classes[0]; i++) {
        if (strcmp(last, classes[i].name) == 0) {
            return classes[i].class;
        }
    }
    args_fail(a,
              "Option %s is '%s'; there are StringDecoder, IntegerDecoder, LongDecoder and "
              "DefaultDecoder",
              option, name);
}

static void read_options(struct dump *d, const struct args *a)
{
    static const struct {
        const char *option;
        enum dump_decoder decoder;
    } decoders[] = {{"offsets-decoder", DUMP_OFFSETS},
                    {"transaction-log-decoder", DUMP_TRANSACTIONS},
                    {"cluster-metadata-decoder", DUMP_METADATA},
                    {"remote-log-metadata-decoder", DUMP_REMOTE_LOG},
                    {"share-group-state-decoder", DUMP_SHARE_STATE}};
    for (size_t i = 0; i < sizeof decoders / sizeof decoders[0]; i++) {
        if (args_has(a, decoders[i].option) && d->decoder == DUMP_CLASSES) {
            d->decoder = decoders[i].decoder;
        }
    }
    d->key_class = class_of(a, "key-decoder-class");
    d->value_class = class_of(a, "value-decoder-class");
    d->print = args_has(a, "print-data-log") || d->decoder != DUMP_CLASSES ||
               args_has(a, "key-decoder-class") || args_has(a, "value-decoder-class");
    d->deep = d->print || args_has(a, "deep-iteration");
    d->skip_metadata = args_has(a, "skip-record-metadata");
    d->verify_only = args_has(a, "verify-index-only");
    d->sanity_only = args_has(a, "index-sanity-check");
    d->max_bytes = args_int(a, "max-bytes", INT32_MAX, 0, INT32_MAX);
    d->max_message_size = args_int(a, "max-message-size", 5242880, 1, INT32_MAX);
}

static void dump_one(struct dump *d, const char *path)
{
    static const struct {
        const char *suffix;
        void (*dump)(struct dump *d, const char *path);
    } kinds[] = {{".log", dump_log},
                 {".checkpoint", dump_log},
                 {".index", dump_index},
                 {".timeindex", dump_time_index},
                 {".txnindex", dump_txn_index},
                 {".snapshot", dump_producer_snapshot}};
    const char *slash = strrchr(path, '/');
    const char *suffix = strrchr(slash ? slash : path, '.');
    printf("Dumping %s\n", path);
    for (size_t i = 0; suffix && i < sizeof kinds / sizeof kinds[0]; i++) {
        if (strcmp(suffix, kinds[i].suffix) == 0) {
            kinds[i].dump(d, path);
            return;
        }
    }
    output_flush();
    fprintf(stderr, "Ignoring unknown file %s\n", path);
}

int tool_dump_log(int argc, char **argv)
{
    struct args a;
    struct dump d = {0};
    args_parse(&a, &spec, argc, argv);
    args_require(&a, "files");
    read_options(&d, &a);
    char *files = mem_strdup(args_get(&a, "files", ""));
    char *rest = files;
    char *path;
    while ((path = strsep(&rest, ",")) != NULL) {
        if (*path) {
            dump_one(&d, path);
        }
    }
    output_flush();
    for (int i = 0; i < DUMP_FINDINGS; i++) {
        fwrite(buf_bytes(&d.found[i]).data, 1, d.found[i].len, stderr);
        buf_free(&d.found[i]);
    }
    mem_free(files);
    args_free(&a);
    return d.failed;
}
