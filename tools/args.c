#include "tools/args.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "tools/output.h"

/* Is the word among those of list, which are parted by spaces? */
static bool is_listed(const char *list, const char *word)
{
    size_t n = strlen(word);
    for (const char *at = list; (at = strstr(at, word)) != NULL; at += n) {
        if ((at == list || at[-1] == ' ') && (at[n] == ' ' || at[n] == 0)) {
            return true;
        }
    }
    return false;
}

/* The option that `-letter` stands for; NULL: there is none. */
static const char *letter_named(const struct args_spec *s, char letter, size_t *len)
{
    for (const char *at = s->letters; at && *at; at += strcspn(at, " "), at += *at == ' ') {
        if (at[0] == letter) {
            *len = strcspn(at + 2, " ");
            return at + 2;
        }
    }
    return NULL;
}

/* " (-b)" for an option that has a letter. */
static void put_letter(const struct args_spec *s, const char *name, char *out, size_t n)
{
    for (const char *at = s->letters; at && *at; at += strcspn(at, " "), at += *at == ' ') {
        if (strcspn(at + 2, " ") == strlen(name) && strncmp(at + 2, name, strlen(name)) == 0) {
            snprintf(out, n, " (-%c)", at[0]);
        }
    }
}

static void print_help(const struct args_spec *s)
{
    printf("millrace %s: %s\n\n", s->tool, s->about);
    if (s->examples) {
        printf("Examples:\n%s\n", s->examples);
    }
    for (size_t i = 0; i < s->commands_n; i++) {
        char left[96];
        snprintf(left, sizeof left, "%s%s%s", s->commands[i].name, s->operand ? " " : "",
                 s->operand ? s->operand : "");
        printf("%s  %-40s %s\n", i ? "" : "Commands:\n", left, s->commands[i].about);
    }
    printf("%sOptions:\n", s->commands_n ? "\n" : "");
    for (size_t i = 0; i < s->n; i++) {
        char left[96], letter[16] = "";
        const char *v = s->defs[i].value;
        put_letter(s, s->defs[i].name, letter, sizeof letter);
        snprintf(left, sizeof left, "--%s%s%s%s%s", s->defs[i].name, v ? " " : "",
                 s->defs[i].kind == ARG_OPTIONAL ? "[" : "", v ? v : "",
                 s->defs[i].kind == ARG_OPTIONAL ? "]" : "");
        printf("  %-40s %s%s%s\n", left, s->defs[i].help,
               s->defs[i].kind == ARG_LIST   ? " May be given several times."
               : s->defs[i].kind == ARG_MANY ? " Several may follow."
                                             : "",
               letter);
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

/* "describe, upgrade or downgrade": the commands, or those that an option goes with. */
static const char *command_names(const struct args_spec *s, const char *option, char *out, size_t n)
{
    const char *names[16];
    size_t found = 0, at = 0;
    for (size_t i = 0; i < s->commands_n && found < ARRAY_LEN(names); i++) {
        if (option == NULL || is_listed(s->commands[i].options, option)) {
            names[found++] = s->commands[i].name;
        }
    }
    *out = 0;
    for (size_t i = 0; i < found && at < n; i++) {
        const char *joint = i == 0 ? "" : i + 1 < found ? ", " : " or ";
        at += (size_t)snprintf(out + at, n - at, "%s%s", joint, names[i]);
    }
    return out;
}

static void take_command(struct args *a, const char *word)
{
    const struct args_spec *s = a->spec;
    char names[200];
    if (s->operand && a->command && a->operand == NULL) {
        a->operand = word;
        return;
    }
    for (size_t i = 0; i < s->commands_n; i++) {
        if (strcmp(s->commands[i].name, word) == 0) {
            if (a->command) {
                args_fail(a, "Two commands, %s and %s: give one", a->command, word);
            }
            a->command = s->commands[i].name;
            return;
        }
    }
    args_fail(a, "'%s' is no command; it is one of %s", word,
              command_names(s, NULL, names, sizeof names));
}

/* One command is there, and every option goes with it. */
static void check_commands(const struct args *a)
{
    const struct args_spec *s = a->spec;
    char names[200];
    if (s->commands_n && a->command == NULL) {
        args_fail(a, "A command is missing: %s", command_names(s, NULL, names, sizeof names));
    }
    if (s->operand && a->operand == NULL) {
        args_fail(a, "%s wants %s behind it", a->command, s->operand);
    }
    for (size_t i = 0; i < s->n; i++) {
        bool named = false, fits = false;
        for (size_t k = 0; k < s->commands_n; k++) {
            bool listed = is_listed(s->commands[k].options, s->defs[i].name);
            named |= listed;
            fits |= listed && strcmp(s->commands[k].name, a->command) == 0;
        }
        if (a->values[i] && named && !fits) {
            args_fail(a, "Option %s goes with %s, not with %s", s->defs[i].name,
                      command_names(s, s->defs[i].name, names, sizeof names), a->command);
        }
    }
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

/* The definition that `--name`, `--name=value` or `-letter` means; ends the process if none. */
static size_t find_option(const struct args *a, const char *word)
{
    const char *name = word + 2;
    size_t len = strcspn(name, "=");
    if (word[1] != '-') {
        name = word[1] && word[2] == 0 ? letter_named(a->spec, word[1], &len) : NULL;
        if (name == NULL) {
            args_fail(a, "%s is not a recognized option", word);
        }
    }
    size_t i = find(a, name, len);
    if (i == SIZE_MAX) {
        args_fail(a, "%.*s is not a recognized option", (int)len, name);
    } else if (i == SIZE_MAX - 1) {
        args_fail(a, "%.*s is short for more than one option", (int)len, name);
    }
    return i;
}

void args_parse(struct args *a, const struct args_spec *spec, int argc, char **argv)
{
    *a = (struct args){.spec = spec};
    a->values = mem_zalloc((spec->n + 1) * sizeof *a->values);
    for (int k = 1; k < argc; k++) {
        const char *s = argv[k];
        if (strcmp(s, "--help") == 0 || strcmp(s, "-h") == 0) {
            print_help(spec);
            exit(output_end(spec->tool, 0));
        }
        if (strcmp(s, "--version") == 0) {
            printf("%s\n", MILLRACE_VERSION);
            exit(output_end(spec->tool, 0));
        }
        if (s[0] != '-' && spec->commands) {
            take_command(a, s);
            continue;
        }
        if (s[0] != '-' || (s[1] != '-' && spec->letters == NULL)) {
            args_fail(a, "Unexpected argument '%s': options begin with --", s);
        }
        size_t i = find_option(a, s);
        const char *eq = s[1] == '-' ? strchr(s, '=') : NULL;
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
    check_commands(a);
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
        char range[64] = "";
        if (max < INT64_MAX) {
            snprintf(range, sizeof range, " from %lld to %lld", (long long)min, (long long)max);
        } else if (min > INT64_MIN) {
            snprintf(range, sizeof range, ", %lld or more", (long long)min);
        }
        args_fail(a, "Option %s is '%s'; it takes a whole number%s", name, s, range);
    }
    return v;
}

void args_require(const struct args *a, const char *name)
{
    if (!args_has(a, name)) {
        args_fail(a, "Missing required argument \"[%s]\"", name);
    }
}
