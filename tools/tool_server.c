/* `millrace server [FILE]`: runs one node until SIGTERM or SIGINT (serve.h), by a configuration
 * file or by none. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "broker/config.h"
#include "runtime/log_sink.h"
#include "tools/serve.h"
#include "tools/server_config.h"
#include "tools/tool.h"

enum { DEFAULT_PORT = 9092, OVERRIDES_MAX = 256 };

static const char help[] =
    "Usage: millrace server [FILE] [--override KEY=VALUE]...\n"
    "                       [--data DIR] [--port N]\n"
    "\n"
    "Runs a node: a broker, a controller, or both. Without FILE it is a complete\n"
    "single node on localhost:9092 that keeps its data in ./millrace-data and makes\n"
    "that folder if need be. FILE is a Kafka server.properties.\n"
    "\n"
    "Examples:\n"
    "  millrace server\n"
    "  millrace server --data /var/lib/millrace --override num.partitions=3\n"
    "  millrace server /etc/millrace/server.properties --override log.level=debug\n"
    "\n"
    "Options:\n"
    "  --override KEY=VALUE   sets one setting, over the file. May be given several times.\n"
    "  --data DIR             where a node without FILE keeps its data\n"
    "  --port N               where a node without FILE listens (its controller: N + 1); 0: where\n"
    "                         the system chooses\n"
    "  --help                 this text\n"
    "  --version              the version\n"
    "\n"
    "SIGTERM or Ctrl-C stops the node in order; the exit status is then 0.\n";

struct options {
    const char *file;
    const char *data;
    uint16_t port;
    bool port_given;
    const char *overrides[OVERRIDES_MAX];
    size_t overrides_n;
};

/* ---- command line ---- */

static int usage_error(const char *fmt, const char *what)
{
    fprintf(stderr, "millrace server: ");
    fprintf(stderr, fmt, what);
    fprintf(stderr, "\nSee `millrace server --help`.\n");
    return 1;
}

/* The value of an option that is given as --name VALUE or --name=VALUE; NULL: another option. */
static const char *value_of(const char *name, int argc, char **argv, int *i)
{
    size_t n = strlen(name);
    if (strncmp(argv[*i], name, n) != 0) {
        return NULL;
    }
    if (argv[*i][n] == '=') {
        return argv[*i] + n + 1;
    }
    if (argv[*i][n] == '\0' && *i + 1 < argc) {
        return argv[++*i];
    }
    return NULL;
}

static int parse_port(const char *text, uint16_t *port)
{
    char *end;
    long v = strtol(text, &end, 10);
    if (end == text || *end || v < 0 || v > 65534) {
        return ERR_INVALID;
    }
    *port = (uint16_t)v;
    return 0;
}

static int parse(int argc, char **argv, struct options *o)
{
    for (int i = 1; i < argc; i++) {
        const char *v;
        if ((v = value_of("--override", argc, argv, &i)) != NULL) {
            if (o->overrides_n == OVERRIDES_MAX) {
                return usage_error("too many overrides at %s", v);
            }
            o->overrides[o->overrides_n++] = v;
        } else if ((v = value_of("--data", argc, argv, &i)) != NULL) {
            o->data = v;
        } else if ((v = value_of("--port", argc, argv, &i)) != NULL) {
            if (parse_port(v, &o->port)) {
                return usage_error("--port %s: it is a number from 0 to 65534", v);
            }
            o->port_given = true;
        } else if (argv[i][0] == '-') {
            return usage_error("unknown or incomplete option %s", argv[i]);
        } else if (o->file) {
            return usage_error("one configuration file is enough: %s", argv[i]);
        } else {
            o->file = argv[i];
        }
    }
    if (o->file && o->data) {
        return usage_error("--data is for a node without a file: set log.dirs in %s", o->file);
    }
    if (o->file && o->port_given) {
        return usage_error("--port is for a node without a file: set listeners in %s", o->file);
    }
    return 0;
}

/* ---- configuration ---- */

static struct config *configure(const struct options *o, struct logger *lg, struct errmsg *em)
{
    struct server_options so = {
        .file = o->file,
        .data = o->data ? o->data : "millrace-data",
        .port = o->port,
        .overrides = o->overrides,
        .overrides_n = o->overrides_n,
    };
    struct config *c = server_config_load(&so, lg, em);
    if (c) {
        lg->level = serve_log_level(c);
    }
    return c;
}

int tool_server(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            fputs(help, stdout);
            return 0;
        }
        if (strcmp(argv[i], "--version") == 0) {
            printf("millrace %s\n", MILLRACE_VERSION);
            return 0;
        }
    }
    struct options o = {.port = DEFAULT_PORT};
    if (parse(argc, argv, &o)) {
        return 1;
    }
    struct logger lg;
    log_sink_init(&lg, LOG_INFO, STDERR_FILENO);
    struct errmsg em = {{0}};
    struct config *c = configure(&o, &lg, &em);
    if (c == NULL) {
        serve_complain("millrace server", em.text);
        return 1;
    }
    return serve_node(c, &lg, "millrace server");
}
