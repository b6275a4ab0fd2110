#include "tools/env_config.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/buf.h"
#include "broker/config.h"

#define PREFIX   "KAFKA_"
#define BUILT_IN "built-in"

/* ---- names ---- */

/* Runs of dots (an underscore is one): three are a dash, two an underscore, from the left. */
bool env_setting_of(const char *variable, char out[ENV_NAME_MAX])
{
    size_t n = 0;
    for (const char *s = variable; *s; n++) {
        size_t run = strspn(s, "_.");
        size_t taken = run > 3 ? 3 : run ? run : 1;
        if (n + 1 == ENV_NAME_MAX) {
            return false;
        }
        out[n] = run == 0 ? (char)tolower((unsigned char)*s) : ".._-"[taken];
        s += taken;
    }
    out[n] = '\0';
    return n > 0;
}

void env_variable_of(const char *setting, char out[ENV_NAME_MAX])
{
    size_t n = (size_t)snprintf(out, ENV_NAME_MAX, PREFIX);
    for (const char *s = setting; *s && n + 4 < ENV_NAME_MAX; s++) {
        const char *part = *s == '.' ? "_" : *s == '_' ? "__" : *s == '-' ? "___" : NULL;
        if (part) {
            n += (size_t)snprintf(out + n, ENV_NAME_MAX - n, "%s", part);
        } else {
            out[n++] = (char)toupper((unsigned char)*s);
            out[n] = '\0';
        }
    }
}

const char *env_get(char *const *env, const char *variable)
{
    size_t n = strlen(variable);
    for (; *env; env++) {
        if (strncmp(*env, variable, n) == 0 && (*env)[n] == '=') {
            return (*env)[n + 1] ? *env + n + 1 : NULL;
        }
    }
    return NULL;
}

/* ---- variables of the image that are no settings ---- */

static bool is_for_the_jvm(const char *variable)
{
    static const char *const names[] = {
        "KAFKA_HEAP_OPTS",     "KAFKA_OPTS",
        "KAFKA_JMX_OPTS",      "KAFKA_JVM_PERFORMANCE_OPTS",
        "KAFKA_GC_LOG_OPTS",   "KAFKA_LOG4J_OPTS",
        "KAFKA_LOG4J_LOGGERS", "KAFKA_TOOLS_LOG4J_LOGLEVEL",
        "KAFKA_JMX_HOSTNAME",  "KAFKA_JMX_PORT",
        "KAFKA_VERSION",
    };
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (strcmp(variable, names[i]) == 0) {
            return true;
        }
    }
    return false;
}

static const char *level_of_log4j(const char *level)
{
    static const char *const levels[][2] = {
        {"ALL", "debug"}, {"TRACE", "debug"}, {"DEBUG", "debug"}, {"INFO", "info"},
        {"WARN", "warn"}, {"ERROR", "error"}, {"FATAL", "error"}, {"OFF", "error"},
    };
    for (size_t i = 0; i < ARRAY_LEN(levels); i++) {
        if (strcasecmp(level, levels[i][0]) == 0) {
            return levels[i][1];
        }
    }
    return level; /* refused as log.level, with its variable */
}

/* ---- names that are none ---- */

enum { TYPOS = 3 };

/* How many letters to change, add or leave out make b of a; more than TYPOS need not be exact. */
static size_t distance(const char *a, const char *b)
{
    size_t row[ENV_NAME_MAX];
    size_t n = strlen(b);
    if (n >= ENV_NAME_MAX || strlen(a) > n + TYPOS || n > strlen(a) + TYPOS) {
        return TYPOS + 1;
    }
    for (size_t j = 0; j <= n; j++) {
        row[j] = j;
    }
    for (size_t i = 1; a[i - 1]; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= n; j++) {
            size_t above = row[j];
            size_t best = diagonal + (a[i - 1] != b[j - 1]);
            best = above + 1 < best ? above + 1 : best;
            row[j] = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
            diagonal = above;
        }
    }
    return row[n];
}

static const char *nearest(const char *name)
{
    const struct config_table *t = &config_broker_table;
    const char *best = NULL;
    size_t best_distance = TYPOS + 1;
    for (size_t i = 0; i < t->n; i++) {
        size_t d = distance(name, t->defs[i].name);
        if (d < best_distance && d * 4 <= strlen(name)) {
            best_distance = d;
            best = t->defs[i].name;
        }
    }
    return best;
}

static void warn_unknown(const char *variable, const char *name, const struct logger *lg)
{
    char meant[ENV_NAME_MAX] = "";
    const char *near = nearest(name);
    if (near) {
        env_variable_of(near, meant);
    }
    log_warn(lg, "config", "a variable that is no setting, ignored variable=%s name=%s%s%s",
             variable, name, near ? " meant=" : "", meant);
}

/* ---- into the configuration ---- */

/* One NAME=VALUE. True if it was a setting. */
static bool add_variable(struct config *c, const char *entry, const struct logger *lg)
{
    char variable[ENV_NAME_MAX], name[ENV_NAME_MAX];
    const char *eq = strchr(entry, '=');
    if (eq == NULL || strncmp(entry, PREFIX, strlen(PREFIX)) != 0 ||
        (size_t)(eq - entry) >= sizeof variable) {
        return false;
    }
    snprintf(variable, sizeof variable, "%.*s", (int)(eq - entry), entry);
    const char *value = eq + 1;
    if (strcmp(variable, "KAFKA_LOG4J_ROOT_LOGLEVEL") == 0) {
        if (*value) {
            config_set(c, "log.level", level_of_log4j(value), variable);
        }
        return false;
    }
    if (is_for_the_jvm(variable)) {
        log_info(lg, "config", "a variable without meaning here variable=%s", variable);
        return false;
    }
    bool ok = env_setting_of(variable + strlen(PREFIX), name);
    if (!ok || !config_is_known(name)) {
        warn_unknown(variable, ok ? name : "", lg);
        return false;
    }
    /* as in Kafka's image: compose files hand on variables that are not set as empty ones */
    if (*value == '\0' &&
        (strcmp(name, "listeners") == 0 || strcmp(name, "advertised.listeners") == 0)) {
        return false;
    }
    config_set(c, name, value, variable);
    return true;
}

/* NAME://HOST:PORT,... without the hosts: every address. */
static void listen_everywhere(struct config *c, const char *advertised)
{
    struct buf b = {0};
    struct config_list l = config_list_start(bytes_str(advertised));
    struct bytes e;
    while (config_list_next(&l, &e)) {
        const uint8_t *colon = e.len ? memrchr(e.data, ':', e.len) : NULL;
        const uint8_t *slashes = e.len ? memmem(e.data, e.len, "://", 3) : NULL;
        if (slashes == NULL || colon == slashes) {
            buf_free(&b);
            return; /* advertised.listeners is refused, with its variable */
        }
        buf_printf(&b, "%s%.*s://%.*s", b.len ? "," : "", (int)(slashes - e.data),
                   (const char *)e.data, (int)(e.data + e.len - colon), (const char *)colon);
    }
    config_set(c, "listeners", buf_cstr(&b), "KAFKA_ADVERTISED_LISTENERS");
    buf_free(&b);
}

/* What a container that is told nothing runs: clients of this machine reach it by a published port.
 */
static void be_single(struct config *c)
{
    config_zero(c, ENV_DATA_DIR, 9092);
    c->zero = false; /* formatted by CLUSTER_ID */
    config_set(c, "listeners", "PLAINTEXT://:9092,CONTROLLER://:9093", BUILT_IN);
    config_set(c, "advertised.listeners", "PLAINTEXT://localhost:9092,CONTROLLER://localhost:9093",
               BUILT_IN);
}

void env_config_add(struct config *c, char *const *env, bool has_file, const struct logger *lg)
{
    bool any = has_file && config_given(c, 0);
    for (char *const *e = env; *e; e++) {
        any = add_variable(c, *e, lg) || any;
    }
    if (!any) {
        be_single(c);
        return;
    }
    const char *roles = config_given_text(c, "process.roles");
    const char *advertised = env_get(env, "KAFKA_ADVERTISED_LISTENERS");
    if (!config_is_set(c, "listeners") && advertised &&
        (roles == NULL || strcmp(roles, "controller") != 0)) {
        listen_everywhere(c, advertised);
    }
    if (!config_is_set(c, "log.dirs") && !config_is_set(c, "log.dir")) {
        config_set(c, "log.dirs", ENV_DATA_DIR, BUILT_IN);
    }
}

void env_config_explain(struct errmsg *em)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789.";
    char name[ENV_NAME_MAX], variable[ENV_NAME_MAX];
    if (strstr(em->text, PREFIX)) {
        return;
    }
    for (const char *s = em->text; *s; s += strcspn(s, letters)) {
        size_t n = strspn(s, letters);
        size_t whole = n;
        while (n > 0 && s[n - 1] == '.') { /* the end of a sentence */
            n--;
        }
        if (n > 0 && n < sizeof name) {
            snprintf(name, sizeof name, "%.*s", (int)n, s);
            if (config_find(&config_broker_table, bytes_str(name))) {
                size_t len = strlen(em->text);
                env_variable_of(name, variable);
                snprintf(em->text + len, sizeof em->text - len, " (%s is the variable %s)", name,
                         variable);
                return;
            }
        }
        s += whole;
    }
}
