#include "broker/peer_address.h"

#include <arpa/inet.h>

size_t peer_address(const char *peer, uint8_t out[16])
{
    if (inet_pton(AF_INET, peer, out) == 1) {
        return 4;
    }
    return inet_pton(AF_INET6, peer, out) == 1 ? 16 : 0;
}

struct bytes peer_java_text(const char *peer, struct arena *a)
{
    uint8_t b[16];
    const char *text;
    if (peer_address(peer, b) == sizeof b) {
        text = arena_printf(a, "/%x:%x:%x:%x:%x:%x:%x:%x", load_be16(b), load_be16(b + 2),
                            load_be16(b + 4), load_be16(b + 6), load_be16(b + 8), load_be16(b + 10),
                            load_be16(b + 12), load_be16(b + 14));
    } else {
        text = arena_printf(a, "/%s", peer);
    }
    return bytes_str(text);
}
