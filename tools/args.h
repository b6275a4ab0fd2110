/* The options of a tool, as one table: parsing, `--help`, `--version`, and the complaints of
 * Kafka's tools about a wrong command line. Options are `--name value` or `--name=value`, in any
 * order; a name may be cut short as long as it is unique, as Kafka's parser allows. Some have a
 * letter, `-c value`. A tool with commands takes one of them as a word, anywhere among the options:
 * `millrace features describe --bootstrap-server localhost:9092`; and, where the commands are about
 * something that has a name, that as the next word: `millrace broker drain 3`. */
#ifndef TOOLS_ARGS_H
#define TOOLS_ARGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum arg_kind {
    ARG_FLAG,     /* takes no value */
    ARG_VALUE,    /* one value */
    ARG_LIST,     /* may be given several times */
    ARG_MANY,     /* the same, and each time with one or more values behind it */
    ARG_OPTIONAL, /* a value that may be left out */
};

struct arg_def {
    const char *name; /* without the dashes */
    enum arg_kind kind;
    const char *value; /* what the value is called in --help; NULL for flags */
    const char *help;  /* a sentence */
};

/* What a tool with several commands is told to do. */
struct arg_command {
    const char *name;
    const char *about;   /* for --help */
    const char *options; /* those that go with it, with spaces between: an option that no command
                            names goes with all */
};

struct args_spec {
    const char *tool;     /* "topics" */
    const char *about;    /* a sentence or two */
    const char *examples; /* lines of commands, `%s` is not used */
    const struct arg_def *defs;
    size_t n;
    const struct arg_command *commands; /* NULL: the tool has none */
    size_t commands_n;
    const char
        *operand; /* what the word behind a command is called in --help; NULL: there is none */
    const char *letters; /* "b=bootstrap-server C=bootstrap-controller"; NULL: none */
};

struct args {
    const struct args_spec *spec;
    const char ***values; /* per definition: NULL-terminated list, or NULL if not given; a flag has
                             {"" , NULL} */
    const char *command;  /* the one that was given; NULL: the tool has none */
    const char *operand;  /* the word behind it; NULL: the tool has none */
};

/* Parses, or ends the process: --help and --version with 0, a wrong command line with a sentence
 * and 1. */
void args_parse(struct args *a, const struct args_spec *spec, int argc, char **argv);
void args_free(struct args *a);
bool args_has(const struct args *a, const char *name);
const char *args_get(const struct args *a, const char *name,
                     const char *otherwise); /* the last value given */
const char *const *args_list(const struct args *a,
                             const char *name); /* never NULL, ends with NULL */
/* A whole number in [min, max]; a sentence and exit 1 otherwise. */
int64_t args_int(const struct args *a, const char *name, int64_t otherwise, int64_t min,
                 int64_t max);
/* A sentence on stderr and exit 1, as for a wrong command line. */
_Noreturn void args_fail(const struct args *a, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* Ends like args_fail if a required option is missing. */
void args_require(const struct args *a, const char *name);

#endif
