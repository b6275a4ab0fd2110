/* millrace: one binary. Called by one of Kafka's tool names (a link) it is that tool; else the
 * first argument names it. */
#include <stdio.h>
#include <string.h>

#include "tools/tool.h"

static int help(FILE *out)
{
    fprintf(out, "millrace: a Kafka broker and its tools\n\nusage: millrace TOOL [options]   (each "
                 "answers --help)\n\n");
    for (const struct tool *t = tool_table; t->name; t++) {
        fprintf(out, "  %-22s %s\n", t->name, t->summary);
    }
    fprintf(out, "\n  help, --help           this text\n  --version              the version\n");
    return out == stdout ? 0 : 2;
}

int main(int argc, char **argv)
{
    const struct tool *t = tool_find(argv[0]);
    if (t) {
        return t->run(argc, argv);
    }
    if (argc < 2) {
        return help(stderr);
    }
    if (strcmp(argv[1], "help") == 0 || strcmp(argv[1], "--help") == 0 ||
        strcmp(argv[1], "-h") == 0) {
        return help(stdout);
    }
    if (strcmp(argv[1], "--version") == 0) {
        printf("millrace %s\n", MILLRACE_VERSION);
        return 0;
    }
    t = tool_find(argv[1]);
    if (t == NULL) {
        fprintf(stderr, "millrace: there is no tool '%s'; `millrace help` lists them\n", argv[1]);
        return 2;
    }
    return t->run(argc - 1, argv + 1);
}
