#include "tools/args.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"

static void print_help(const struct args_spec *s)
{
    printf("millrace %s: %s\n\n", s->tool, s->about);
    if (s->examples) {
        printf("Examples:\n%s\n", s->examples);
    }
    printf("Options:\n");
    for (size_t i = 0; i < s->n; i++) {
        char left[96];
        const char *v = s->defs[i].value;
        snprintf(left, sizeof left, "--%s%s%s%s%s", s->defs[i].name, v ? " " : "",
                 s->defs[i].kind == ARG_OPTIONAL ? "[" : "", v ? v : "",
                 s->defs[i].kind == ARG_OPTIONAL ? "]" : "");
        printf("  %-40s %s%s\n", left, s->defs[i].help,
               s->defs[i].kind == ARG_LIST   ? " May be given several times."
               : s->defs[i].kind == ARG_MANY ? " Several may follow."
                                             : "");
    }
    printf("  %-40s %s\n  %-40s %s\n", "--help", "This text.", "--version", "The version.");
}

_Noreturn void args_fail(const struct args *a, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fprintf(stderr, " (see `millrace %s --help`)\n", a->spec->tool);
    exit(1);
}

static size_t find(const struct args *a, const char *name, size_t len)
{
    size_t found = SIZE_MAX;
    for (size_t i = 0; i < a->spec->n; i++) {
        const char *d = a->spec->defs[i].name;
        if (strlen(d) == len && memcmp(d, name, len) == 0) {
            return i;
        }
        if (strlen(d) > len && memcmp(d, name, len) == 0) {
            found = found == SIZE_MAX ? i : SIZE_MAX - 1;
        }
    }
    return found;
}

static void add(struct args *a, size_t i, const char *value)
{
    size_t n = 0;
    while (a->values[i] && a->values[i][n]) {
        n++;
    }
    if (n && a->spec->defs[i].kind == ARG_VALUE) {
        args_fail(a, "Found multiple arguments for option %s, but you asked for only one",
                  a->spec->defs[i].name);
    }
    a->values[i] = mem_realloc(a->values[i], (n + 2) * sizeof **a->values);
    a->values[i][n] = value;
    a->values[i][n + 1] = NULL;
}

/* The values behind option i, which argv[*k] names without `=`. */
static void take_values(struct args *a, size_t i, int argc, char **argv, int *k)
{
    enum arg_kind kind = a->spec->defs[i].kind;
    bool another = *k + 1 < argc && strncmp(argv[*k + 1], "--", 2) != 0;
    if (kind == ARG_MANY && another) {
        while (*k + 1 < argc && strncmp(argv[*k + 1], "--", 2) != 0) {
            add(a, i, argv[++*k]);
        }
    } else if (kind != ARG_MANY && (another || (*k + 1 < argc && kind != ARG_OPTIONAL))) {
        add(a, i, argv[++*k]);
    } else if (kind == ARG_OPTIONAL) {
        add(a, i, "");
    } else {
        args_fail(a, "Option %s requires an argument", a->spec->defs[i].name);
    }
}

void args_parse(struct args *a, const struct args_spec *spec, int argc, char **argv)
{
    a->spec = spec;
    a->values = mem_zalloc((spec->n + 1) * sizeof *a->values);
    for (int k = 1; k < argc; k++) {
        const char *s = argv[k];
        if (strcmp(s, "--help") == 0 || strcmp(s, "-h") == 0) {
            print_help(spec);
            exit(0);
        }
        if (strcmp(s, "--version") == 0) {
            printf("%s\n", MILLRACE_VERSION);
            exit(0);
        }
        if (strncmp(s, "--", 2) != 0) {
            args_fail(a, "Unexpected argument '%s': options begin with --", s);
        }
        const char *eq = strchr(s, '=');
        size_t len = eq ? (size_t)(eq - s) - 2 : strlen(s) - 2;
        size_t i = find(a, s + 2, len);
        if (i == SIZE_MAX) {
            args_fail(a, "%.*s is not a recognized option", (int)len, s + 2);
        } else if (i == SIZE_MAX - 1) {
            args_fail(a, "%.*s is short for more than one option", (int)len, s + 2);
        }
        enum arg_kind kind = spec->defs[i].kind;
        if (kind == ARG_FLAG) {
            if (eq) {
                args_fail(a, "Option %s takes no value", spec->defs[i].name);
            }
            add(a, i, "");
        } else if (eq) {
            add(a, i, eq + 1);
        } else {
            take_values(a, i, argc, argv, &k);
        }
    }
}

void args_free(struct args *a)
{
    for (size_t i = 0; i < a->spec->n; i++) {
        mem_free(a->values[i]);
    }
    mem_free(a->values);
}

static const char **values_of(const struct args *a, const char *name)
{
    size_t i = find(a, name, strlen(name));
    ASSERT(i < a->spec->n && strcmp(a->spec->defs[i].name, name) == 0);
    return a->values[i];
}

bool args_has(const struct args *a, const char *name)
{
    return values_of(a, name) != NULL;
}

const char *args_get(const struct args *a, const char *name, const char *otherwise)
{
    const char **v = values_of(a, name);
    while (v && v[0] && v[1]) {
        v++;
    }
    return v ? v[0] : otherwise;
}

const char *const *args_list(const struct args *a, const char *name)
{
    static const char *const none[] = {NULL};
    const char **v = values_of(a, name);
    return v ? (const char *const *)v : none;
}

int64_t args_int(const struct args *a, const char *name, int64_t otherwise, int64_t min,
                 int64_t max)
{
    const char *s = args_get(a, name, NULL);
    if (s == NULL) {
        return otherwise;
    }
    char *end;
    errno = 0;
    long long v = strtoll(s, &end, 10);
    if (errno || *end || end == s || v < min || v > max) {
        args_fail(a, "Option %s is '%s'; it takes a whole number from %lld to %lld", name, s,
                  (long long)min, (long long)max);
    }
    return v;
}

void args_require(const struct args *a, const char *name)
{
    if (!args_has(a, name)) {
        args_fail(a, "Missing required argument \"[%s]\"", name);
    }
}
