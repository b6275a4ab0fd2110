/* A small blocking client for the admin tools: connections to brokers or to controllers, versions
 * by ApiVersions, one request at a time. The client data path of the console and perf tools is
 * librdkafka's, not this.
 *
 * With controllers (--bootstrap-controller) the nodes are the controllers, and what any broker
 * could answer is asked of the active one (KIP-919).
 *
 * Errors are sentences in client->error (the tool prints them and ends with 1): which address was
 * tried, what it said. */
#ifndef TOOLS_CLIENT_H
#define TOOLS_CLIENT_H

#include "base/arena.h"
#include "base/err.h"
#include "proto/message.h"
#include "proto_messages.h"

struct args;
struct client_conn;

struct client {
    struct client_conn *conns; /* open connections, a list */
    char **bootstrap;          /* "host:port", NULL-terminated */
    bool controllers;          /* the bootstrap list is one of controllers */
    int64_t timeout_ms;        /* for connecting and for each answer */
    struct errmsg error;
    bool unanswered;    /* the node tried last took the connection, and answered nothing in time */
    int16_t refused;    /* wire code of the answer that the sentence is of; 0: none */
    struct arena arena; /* decoded answers live here until client_close */
    bool have_metadata;
    struct metadata_response *metadata; /* of client_metadata */
    int16_t metadata_version;
    struct describe_cluster_response *cluster; /* of client_cluster */
};

/* Any broker of the bootstrap list, or the active controller. */
enum { CLIENT_ANY = -1 };

/* servers: "host:port,host:port". ERR_INVALID for a malformed one. config_file: --command-config or
 * NULL; only request.timeout.ms and bootstrap-free settings of clients are read, a
 * security.protocol other than PLAINTEXT is refused. */
int client_init(struct client *c, const char *servers, const char *config_file);
/* The same by --bootstrap-server, --bootstrap-controller and --command-config, all of which the
 * tool must know; one of the first two must be there, not both. */
int client_open(struct client *c, const struct args *a);
/* The client settings of one more file. */
int client_read_config(struct client *c, const char *path);
void client_close(struct client *c);

/* Sends req (the struct of the API's request message) to broker node (an id from the metadata, or
 * CLIENT_ANY) in the highest version that both sides know, and decodes the answer into *resp.
 * version (may be NULL) gets the version used, so that the caller knows which fields are there.
 * Returns 0 or ERR_x with a sentence in c->error. */
int client_call(struct client *c, int32_t node, int16_t api_key, const void *req, void **resp,
                int16_t *version);
/* The same with an upper bound on the version. */
int client_call_max(struct client *c, int32_t node, int16_t api_key, int16_t version_max,
                    const void *req, void **resp, int16_t *version);
/* The version that client_call would use. ERR_UNSUPPORTED: the broker does not have the API. */
int client_version(struct client *c, int32_t node, int16_t api_key, int16_t *version);
/* All topics and brokers; once, later calls return what is there. client_metadata_refresh asks
 * again. */
int client_metadata(struct client *c);
int client_metadata_refresh(struct client *c);
/* The nodes (brokers, or controllers) and the cluster's id: DescribeCluster, once. */
int client_cluster(struct client *c);
int client_cluster_refresh(struct client *c, bool fenced_too);
/* DescribeQuorum: an answer without an error, in which the metadata log's part is topics[0]
 * .partitions[0]. Asked each time. */
int client_quorum(struct client *c, struct describe_quorum_response **resp);
/* Frees all answers, for a tool that asks without end; nodes are asked for again when one is wanted
 * that has no connection. */
void client_forget(struct client *c);
/* Closes all connections, for a tool that is quiet for so long that brokers may close them; what is
 * asked next opens what it needs. */
void client_hang_up(struct client *c);
/* What the broker answers to ApiVersions (the newest version both know). */
int client_api_versions(struct client *c, int32_t node, struct api_versions_response **resp);

/* Sends a whole request frame (without its length) of an API that is none of Kafka's to one of the
 * bootstrap list; the answer's frame lives in c->arena. */
int client_call_frame(struct client *c, struct bytes frame, struct bytes *answer);

/* Sets c->error to what client_error_text says of a code in an answer; returns ERR_UNSUPPORTED. */
int client_refused(struct client *c, int16_t code, struct bytes message);
/* For people: Kafka's error name with the broker's own sentence where there is one. */
const char *client_error_text(int16_t code, struct bytes message, char *out, size_t n);
/* A line for standard error: who says more about it. Empty for most. */
const char *client_hint(int16_t code);

#endif
