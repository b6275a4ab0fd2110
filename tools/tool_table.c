/* The table of tools, and how a name finds its tool: see tool.h. */
#include <stdio.h>
#include <string.h>

#include "tools/tool.h"

const struct tool tool_table[] = {
    {"server", "kafka-server-start", "runs a node: a broker, a controller, or both", tool_server},
    {"container", NULL, "runs a node in a container, by its environment", tool_container},
    {"health", NULL, "says whether the node of this machine serves", tool_health},
    {"storage", "kafka-storage", "formats the log directories of a node, and shows what they are",
     tool_storage},
    {"topics", "kafka-topics", "creates, lists, describes, changes and deletes topics",
     tool_topics},
    {"configs", "kafka-configs", "shows and changes settings of topics and brokers", tool_configs},
    {"console-producer", "kafka-console-producer", "writes lines to a topic",
     tool_console_producer},
    {"console-consumer", "kafka-console-consumer", "prints the records of a topic",
     tool_console_consumer},
    {"consumer-groups", "kafka-consumer-groups",
     "lists, describes, explains, resets and deletes consumer groups", tool_consumer_groups},
    {"groups", "kafka-groups", "lists groups of every kind", tool_groups},
    {"dump-log", "kafka-dump-log", "prints what is in the files of a log directory", tool_dump_log},
    {"get-offsets", "kafka-get-offsets", "shows where partitions begin and end", tool_get_offsets},
    {"delete-records", "kafka-delete-records", "deletes records below an offset",
     tool_delete_records},
    {"broker-api-versions", "kafka-broker-api-versions", "shows which APIs a broker serves",
     tool_broker_api_versions},
    {"metadata-quorum", "kafka-metadata-quorum", "shows who keeps the cluster's metadata",
     tool_metadata_quorum},
    {"cluster", "kafka-cluster",
     "shows the cluster's id and nodes; unregisters a broker; doctor: what is wrong", tool_cluster},
    {"broker", NULL, "drain: empties a broker, so that it can be stopped for good", tool_broker},
    {"balance", NULL, "evens out disks, leaders and traffic, with few moves", tool_balance},
    {"log-dirs", "kafka-log-dirs", "shows what brokers keep in their log directories",
     tool_log_dirs},
    {"reassign-partitions", "kafka-reassign-partitions",
     "moves partitions between brokers and log directories", tool_reassign_partitions},
    {"leader-election", "kafka-leader-election", "elects preferred or unclean leaders",
     tool_leader_election},
    {"replica-verification", "kafka-replica-verification",
     "compares the replicas of partitions until it is stopped", tool_replica_verification},
    {"features", "kafka-features", "shows and changes feature levels", tool_features},
    {"verifiable-producer", "kafka-verifiable-producer",
     "writes numbers and says which were acknowledged", tool_verifiable_producer},
    {"verifiable-consumer", "kafka-verifiable-consumer", "reads in a group and says what happens",
     tool_verifiable_consumer},
    {"producer-perf-test", "kafka-producer-perf-test",
     "writes records and says how fast they were acknowledged", tool_producer_perf_test},
    {"consumer-perf-test", "kafka-consumer-perf-test", "reads records and says how fast they came",
     tool_consumer_perf_test},
    {"e2e-latency", "kafka-e2e-latency",
     "measures how long records take from a producer to a consumer", tool_e2e_latency},
    {"decode", NULL, "prints frames of the protocol, given as hex or from a capture, as JSON",
     tool_decode},
    {"simulate", NULL, "runs whole clusters by seed, on virtual time, network and disks",
     tool_simulate},
    {NULL, NULL, NULL, NULL},
};

/* Is b the name a, with .sh behind or without? */
static int same(const char *a, const char *b)
{
    size_t n = strlen(a);
    return strncmp(a, b, n) == 0 && (b[n] == '\0' || strcmp(b + n, ".sh") == 0);
}

static const char *base(const char *name)
{
    const char *slash = strrchr(name, '/');
    return slash ? slash + 1 : name;
}

const struct tool *tool_find_kafka(const char *name)
{
    for (const struct tool *t = tool_table; t->name; t++) {
        if (t->kafka_name && same(t->kafka_name, base(name))) {
            return t;
        }
    }
    return NULL;
}

bool tool_is_kafka(const char *name, char *out, size_t n)
{
    const char *word = base(name);
    size_t len = strlen(word);
    len -= len > 3 && strcmp(word + len - 3, ".sh") == 0 ? 3 : 0;
    snprintf(out, n, "%.*s", (int)len, word);
    return strncmp(word, "kafka-", 6) == 0 || strncmp(word, "connect-", 8) == 0;
}

const struct tool *tool_find(const char *name)
{
    for (const struct tool *t = tool_table; t->name; t++) {
        if (strcmp(t->name, base(name)) == 0) {
            return t;
        }
    }
    return tool_find_kafka(name);
}
