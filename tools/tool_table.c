/* The table of tools: see tool.h. One line each, sorted as `millrace help` prints them. */
#include <string.h>

#include "tools/tool.h"

int tool_topics(int argc, char **argv);
int tool_configs(int argc, char **argv);
int tool_console_producer(int argc, char **argv);
int tool_console_consumer(int argc, char **argv);
int tool_get_offsets(int argc, char **argv);
int tool_delete_records(int argc, char **argv);
int tool_broker_api_versions(int argc, char **argv);

const struct tool tool_table[] = {
    {"topics", "kafka-topics", "create, list, describe, alter and delete topics", tool_topics},
    {"configs", "kafka-configs", "show and change settings", tool_configs},
    {"console-producer", "kafka-console-producer", "write lines into a topic",
     tool_console_producer},
    {"console-consumer", "kafka-console-consumer", "print the records of a topic",
     tool_console_consumer},
    {"get-offsets", "kafka-get-offsets", "offsets of partitions, by time", tool_get_offsets},
    {"delete-records", "kafka-delete-records", "delete records below given offsets",
     tool_delete_records},
    {"broker-api-versions", "kafka-broker-api-versions", "list what brokers serve",
     tool_broker_api_versions},
    {"decode", NULL, "print Kafka frames and captures as JSON", tool_decode},
    {NULL, NULL, NULL, NULL},
};

const struct tool *tool_find(const char *name)
{
    const char *slash = strrchr(name, '/');
    const char *base = slash ? slash + 1 : name;
    size_t n = strlen(base);
    if (n > 3 && strcmp(base + n - 3, ".sh") == 0) {
        n -= 3;
    }
    for (const struct tool *t = tool_table; t->name; t++) {
        const char *names[] = {t->name, t->kafka_name};
        for (size_t i = 0; i < 2; i++) {
            if (names[i] && strlen(names[i]) == n && memcmp(names[i], base, n) == 0) {
                return t;
            }
        }
    }
    return NULL;
}
