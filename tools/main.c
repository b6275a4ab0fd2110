/* `millrace TOOL arguments...`, or a link named like one of Kafka's tools: finds the tool and runs
 * it. */
#include <stdio.h>
#include <string.h>

#include "tools/output.h"
#include "tools/tool.h"

static void usage(FILE *out)
{
    fprintf(out, "Usage: millrace TOOL [OPTION]...\n"
                 "\n"
                 "A Kafka broker, and its tools. `millrace server` starts a complete node on\n"
                 "localhost:9092; `millrace TOOL --help` explains one tool.\n"
                 "\n");
    for (const struct tool *t = tool_table; t->name; t++) {
        fprintf(out, "  %-20s %s\n", t->name, t->summary);
    }
    fprintf(out, "  %-20s %s\n", "version", "says which version this is");
}

static int no_tool(const char *name)
{
    fprintf(stderr, "millrace: there is no tool \"%s\"; `millrace help` lists them.\n", name);
    return 1;
}

static int run(const struct tool *t, int argc, char **argv)
{
    return output_end(t->name, t->run(argc, argv));
}

int main(int argc, char **argv)
{
    output_init();
    const struct tool *t = argc > 0 ? tool_find_kafka(argv[0]) : NULL;
    if (t) {
        return run(t, argc, argv);
    }
    char link[64];
    if (argc > 0 && tool_is_kafka(argv[0], link, sizeof link)) {
        return no_tool(link);
    }
    if (argc < 2) {
        usage(stderr);
        return 1;
    }
    const char *name = argv[1];
    if (strcmp(name, "--version") == 0 || strcmp(name, "version") == 0) {
        printf("millrace %s\n", MILLRACE_VERSION);
        return output_end(name, 0);
    }
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0) {
        if (argc < 3) {
            usage(stdout);
            return output_end(name, 0);
        }
        t = tool_find(argv[2]);
        char *help[] = {argv[2], "--help", NULL};
        return t ? run(t, 2, help) : no_tool(argv[2]);
    }
    t = tool_find(name);
    return t ? run(t, argc - 1, argv + 1) : no_tool(name);
}
