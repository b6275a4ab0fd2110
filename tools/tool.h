/* The command line: `millrace NAME arguments...`, or a link with one of Kafka's names
 * (kafka-topics.sh, kafka-topics). One line per tool in tool_table.c; a tool is one function in one
 * file tool_NAME.c, blocking, with its own output streams being stdout and stderr. */
#ifndef TOOLS_TOOL_H
#define TOOLS_TOOL_H

#include <stdbool.h>
#include <stddef.h>

struct tool {
    const char *name;       /* `millrace NAME` */
    const char *kafka_name; /* the link's name without .sh; NULL: none */
    const char *summary;    /* one line for `millrace help` */
    /* argv[0] is what the tool was called, for its messages. The result is the exit status. */
    int (*run)(int argc, char **argv);
};

/* Ends with a NULL name. */
extern const struct tool tool_table[];
/* By `millrace` name or by Kafka's (a path in front and .sh behind do not matter); NULL: none. */
const struct tool *tool_find(const char *name);
/* By Kafka's name alone: what a link was called. */
const struct tool *tool_find_kafka(const char *name);
/* Is it what Kafka calls a tool, one of ours or not? Then *out is the name without path and .sh. */
bool tool_is_kafka(const char *name, char *out, size_t n);

int tool_balance(int argc, char **argv);
int tool_broker(int argc, char **argv);
int tool_broker_api_versions(int argc, char **argv);
int tool_cluster(int argc, char **argv);
int tool_configs(int argc, char **argv);
int tool_console_consumer(int argc, char **argv);
int tool_console_producer(int argc, char **argv);
int tool_consumer_groups(int argc, char **argv);
int tool_container(int argc, char **argv);
int tool_consumer_perf_test(int argc, char **argv);
int tool_decode(int argc, char **argv);
int tool_delete_records(int argc, char **argv);
int tool_dump_log(int argc, char **argv);
int tool_e2e_latency(int argc, char **argv);
int tool_features(int argc, char **argv);
int tool_get_offsets(int argc, char **argv);
int tool_groups(int argc, char **argv);
int tool_health(int argc, char **argv);
int tool_leader_election(int argc, char **argv);
int tool_log_dirs(int argc, char **argv);
int tool_metadata_quorum(int argc, char **argv);
int tool_producer_perf_test(int argc, char **argv);
int tool_reassign_partitions(int argc, char **argv);
int tool_replica_verification(int argc, char **argv);
int tool_server(int argc, char **argv);
int tool_simulate(int argc, char **argv);
int tool_storage(int argc, char **argv);
int tool_topics(int argc, char **argv);
int tool_verifiable_consumer(int argc, char **argv);
int tool_verifiable_producer(int argc, char **argv);

#endif
