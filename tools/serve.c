/* The main thread only waits for signals; the node's shards have threads of their own and tell
 * their state by SIGUSR1. The log goes to stderr, what a newcomer wants to read to stdout, and how
 * the node is to the service manager.
 *
 * As process 1 of a container the node is also the parent of whatever lost its own there (what
 * `docker exec` left behind): those are reaped by the kernel, as this process has no use for the
 * exit status of any child. */
#include "tools/serve.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "broker/config.h"
#include "broker/node.h"
#include "runtime/http.h"
#include "runtime/limits.h"
#include "runtime/log_sink.h"
#include "tools/notify.h"

/* What on_state, on a shard's thread, tells the main thread. */
struct server {
    pthread_t main;
    pthread_mutex_t lock;
    enum node_state state;
};

enum log_level serve_log_level(const struct config *c)
{
    const char *name = c->v.log_level;
    return strcmp(name, "debug") == 0   ? LOG_DEBUG
           : strcmp(name, "warn") == 0  ? LOG_WARN
           : strcmp(name, "error") == 0 ? LOG_ERROR
                                        : LOG_INFO;
}

void serve_complain(const char *who, const char *why)
{
    fprintf(stderr, "%s%s: %s\n", log_sink_prefix(STDERR_FILENO, LOG_ERROR), who, why);
    notify_status("%s", why);
}

static void on_state(void *user, struct node *n, enum node_state state)
{
    (void)n;
    struct server *s = user;
    pthread_mutex_lock(&s->lock);
    s->state = state;
    pthread_mutex_unlock(&s->lock);
    pthread_kill(s->main, SIGUSR1);
}

static enum node_state state_now(struct server *s)
{
    pthread_mutex_lock(&s->lock);
    enum node_state state = s->state;
    pthread_mutex_unlock(&s->lock);
    return state;
}

static void say_ready(const struct node *n)
{
    const struct config *c = n->config;
    struct buf text = {0};
    buf_printf(&text, "node %d is ready.", (int)n->id);
    for (size_t i = 0; i < c->listeners.n; i++) {
        const struct listener_config *l = &c->listeners.v[i];
        if (!l->controller) {
            buf_printf(&text, " %s on %s:%u.", l->name, l->host[0] ? l->host : "*",
                       node_port(n, l->name));
        }
    }
    for (size_t i = 0; i < c->log_dirs_n; i++) {
        buf_printf(&text, "%s%s", i ? ", " : " Data in ", c->log_dirs[i]);
    }
    /* Not by stdio: a node has not failed when nobody takes this line. */
    if (dprintf(STDOUT_FILENO, "Millrace %s: %s.\n", MILLRACE_VERSION, buf_cstr(&text)) < 0) {
        fprintf(stderr, "cannot write the output: %s\n", strerror(errno));
    }
    notify_status("%s.", buf_cstr(&text));
    buf_free(&text);
}

/* Waits for signals until the node has stopped. */
static int run(struct node *n, struct server *s, const sigset_t *set, const char *who)
{
    bool said = false;
    for (;;) {
        int sig;
        if (sigwait(set, &sig) != 0) {
            continue;
        }
        if (sig == SIGTERM || sig == SIGINT) {
            notify_status("node %d is stopping.", (int)n->id);
            node_stop(n);
            continue;
        }
        enum node_state state = state_now(s);
        if (state == NODE_RUNNING && !said) {
            said = true;
            say_ready(n);
        } else if (state == NODE_STOPPED) {
            return 0;
        } else if (state == NODE_FAILED) {
            serve_complain(who, node_failure(n));
            return 1;
        }
    }
}

int serve_node(struct config *c, const struct logger *lg, const char *who)
{
    struct errmsg em = {{0}};
    struct server s = {.main = pthread_self(), .lock = PTHREAD_MUTEX_INITIALIZER};
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGCHLD, SIG_IGN);
    limits_raise_nofile(); /* descriptors are a budget: take what the system allows */
    limits_keep_memory();
    struct node_options o = {
        .config = c, .log = lg, .on_state = on_state, .user = &s, .http = &http_mhd_ops};
    struct node *n = node_new(&o, &em);
    if (n == NULL) {
        serve_complain(who, em.text);
        config_free(c);
        return 1;
    }
    int status = 1;
    notify_status("node %d is starting.", (int)n->id);
    if (node_start(n, &em)) {
        serve_complain(who, em.text);
    } else {
        status = run(n, &s, &set, who);
    }
    node_free(n);
    return status;
}
