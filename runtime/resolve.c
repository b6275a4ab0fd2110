#include "runtime/resolve.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

bool resolve_now(const char *host, char ip[RESOLVE_IP_MAX])
{
    uint8_t address[16];
    bool numeric =
        inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1;
    if (numeric) {
        snprintf(ip, RESOLVE_IP_MAX, "%s", host);
    } else if (strcmp(host, "localhost") == 0) {
        snprintf(ip, RESOLVE_IP_MAX, "127.0.0.1");
        numeric = true;
    }
    return numeric;
}

/* On a worker. */
static void ask(struct io_op *op)
{
    struct resolve *r = op->user;
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *all;
    r->err = ERR_NOTFOUND;
    if (resolve_now(r->host, r->ip)) {
        r->err = 0;
        return;
    }
    if (getaddrinfo(r->host, NULL, &hints, &all) != 0) {
        return;
    }
    if (getnameinfo(all->ai_addr, all->ai_addrlen, r->ip, sizeof r->ip, NULL, 0, NI_NUMERICHOST) ==
        0) {
        r->err = 0;
    }
    freeaddrinfo(all);
}

static void answered(struct io_op *op, int64_t result)
{
    struct resolve *r = op->user;
    r->cb(r, result < 0 ? (int)result : r->err);
}

void resolve_start(struct io *io, struct resolve *r, const char *host, resolve_cb *cb, void *user)
{
    *r = (struct resolve){.cb = cb, .user = user};
    snprintf(r->host, sizeof r->host, "%s", host);
    r->op.cb = answered;
    r->op.user = r;
    io_work(io, &r->op, ask);
}
