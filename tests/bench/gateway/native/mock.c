// A model server that costs next to nothing, so that what is measured is the gateway in front of it.
//
//   mock [--tokens N] [--interval-ms N] PORT...
//
// One thread, HTTP/1.1 with keep-alive on 127.0.0.1. A POST to /v1/chat/completions is answered at once and whole, or,
// when its body has "stream":true, as N server-sent events, one every interval, from a random phase on. Every event
// tells when it was sent ("sent": nanoseconds of CLOCK_MONOTONIC), which is what streams.c reads. POSTs to other paths
// are answered 404, any GET 200. It checks nothing else, knows no pipelining, and waits for readers that are slow.
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

enum { SLOTS = 8192, ROOM = 16384 };  // slots of a millisecond: the longest interval

struct connection {
    int fd;
    bool listens, gone, timed;
    char *in;
    size_t have, room;
    int left;  // events still to send
    struct connection *next;
};

static int epoll, tokens = 20, interval_ms = 20;
static struct connection *wheel[SLOTS];

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void watch(struct connection *c) {
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &event)) { perror("epoll_ctl"); exit(1); }
}

static void drop(struct connection *c) {
    if (c->gone) return;
    close(c->fd);
    c->gone = true;
}

static void release(struct connection *c) {
    free(c->in);
    free(c);
}

static void send_all(struct connection *c, const char *data, size_t size) {
    while (size && !c->gone) {
        ssize_t n = send(c->fd, data, size, MSG_NOSIGNAL);
        if (n > 0) {
            data += n;
            size -= (size_t)n;
        } else if (errno == EAGAIN) {
            poll(&(struct pollfd){.fd = c->fd, .events = POLLOUT}, 1, 1000);
        } else {
            drop(c);
        }
    }
}

static void answer(struct connection *c, const char *body) {
    char out[1024];
    int n = snprintf(out, sizeof out,
                     "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %zu\r\n\r\n%s",
                     strlen(body), body);
    send_all(c, out, (size_t)n);
}

static void schedule(struct connection *c, uint64_t at_ms) {
    c->next = wheel[at_ms % SLOTS];
    wheel[at_ms % SLOTS] = c;
    c->timed = true;
}

static void begin_stream(struct connection *c) {
    const char *head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
    send_all(c, head, strlen(head));
    c->left = tokens;
    schedule(c, now_ns() / 1000000 + 1 + (uint64_t)(rand() % interval_ms));
}

static void event(struct connection *c) {
    char data[512], out[640];
    int n;
    if (c->left-- > 0)
        n = snprintf(data, sizeof data,
                     "data: {\"id\":\"chatcmpl-0\",\"object\":\"chat.completion.chunk\",\"created\":0,\"model\":\"chat\","
                     "\"choices\":[{\"index\":0,\"delta\":{\"content\":\" token\"},\"finish_reason\":null}],"
                     "\"sent\":%020llu}\n\n",
                     (unsigned long long)now_ns());
    else
        n = snprintf(data, sizeof data,
                     "data: {\"id\":\"chatcmpl-0\",\"object\":\"chat.completion.chunk\",\"created\":0,\"model\":\"chat\","
                     "\"choices\":[],\"usage\":{\"prompt_tokens\":300,\"completion_tokens\":%d,\"total_tokens\":%d}}\n\n"
                     "data: [DONE]\n\n",
                     tokens, 300 + tokens);
    int size = snprintf(out, sizeof out, "%x\r\n%s\r\n%s", n, data, c->left < 0 ? "0\r\n\r\n" : "");
    send_all(c, out, (size_t)size);
}

static void turn(uint64_t ms) {
    struct connection *due = wheel[ms % SLOTS];
    wheel[ms % SLOTS] = NULL;
    while (due) {
        struct connection *c = due;
        due = c->next;
        c->timed = false;
        if (!c->gone) event(c);
        if (c->gone)
            release(c);
        else if (c->left >= 0)
            schedule(c, ms + (uint64_t)interval_ms);
    }
}

static size_t content_length(const char *head, const char *end) {
    for (const char *line = head; line < end; line = (const char *)memchr(line, '\n', (size_t)(end - line)) + 1)
        if (!strncasecmp(line, "content-length:", 15)) return strtoul(line + 15, NULL, 10);
    return 0;
}

// Answers every request that has come whole.
static void requests(struct connection *c) {
    for (;;) {
        char *end = memmem(c->in, c->have, "\r\n\r\n", 4);
        if (!end || c->gone) return;
        char *body = end + 4;
        size_t length = content_length(c->in, body), whole = (size_t)(body - c->in) + length;
        if (whole > c->have) return;
        static const char not_found[] = "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n";
        static const char chat[] = "POST /v1/chat/completions ";
        if (!memcmp(c->in, "POST", 4) && memcmp(c->in, chat, sizeof chat - 1))
            send_all(c, not_found, sizeof not_found - 1);
        else if (memcmp(c->in, "POST", 4))
            answer(c, "{\"status\":\"ok\",\"object\":\"list\",\"data\":[{\"id\":\"chat\",\"object\":\"model\"}]}");
        else if (memmem(body, length, "\"stream\":true", 13))
            begin_stream(c);
        else
            answer(c,
                   "{\"id\":\"chatcmpl-0\",\"object\":\"chat.completion\",\"created\":0,\"model\":\"chat\",\"choices\":"
                   "[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"An answer of some twenty tokens, as "
                   "short as the answers of a chat often are.\"},\"finish_reason\":\"stop\"}],"
                   "\"usage\":{\"prompt_tokens\":300,\"completion_tokens\":20,\"total_tokens\":320}}");
        memmove(c->in, c->in + whole, c->have - whole);
        c->have -= whole;
    }
}

static void readable(struct connection *c) {
    for (;;) {
        if (c->room - c->have < ROOM) c->in = realloc(c->in, c->room = c->room * 2 + 2 * ROOM);
        ssize_t n = recv(c->fd, c->in + c->have, c->room - c->have, MSG_DONTWAIT);
        if (n > 0) {
            c->have += (size_t)n;
            if ((size_t)n < ROOM) break;
        } else if (n < 0 && errno == EAGAIN) {
            break;
        } else {
            drop(c);
            if (!c->timed) release(c);
            return;
        }
    }
    requests(c);
    if (c->gone && !c->timed) release(c);
}

static void enter(int listener) {
    int fd;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
        struct connection *c = calloc(1, sizeof *c);
        c->fd = fd;
        watch(c);
    }
}

static void listen_on(int port) {
    struct connection *c = calloc(1, sizeof *c);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    c->listens = true;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    setsockopt(c->fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
    if (bind(c->fd, (struct sockaddr *)&address, sizeof address) || listen(c->fd, 4096)) {
        fprintf(stderr, "mock: port %d: %s\n", port, strerror(errno));
        exit(1);
    }
    watch(c);
}

int main(int argc, char **argv) {
    signal(SIGPIPE, SIG_IGN);
    epoll = epoll_create1(0);
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--tokens"))
            tokens = atoi(argv[++i]);
        else if (!strcmp(argv[i], "--interval-ms"))
            interval_ms = atoi(argv[++i]);
        else
            listen_on(atoi(argv[i]));
    }
    if (interval_ms < 1 || interval_ms >= SLOTS) {
        fprintf(stderr, "mock: --interval-ms must be 1 to %d\n", SLOTS - 1);
        return 2;
    }
    uint64_t turned = now_ns() / 1000000;
    for (;;) {
        struct epoll_event events[256];
        int n = epoll_wait(epoll, events, 256, 1);
        for (int i = 0; i < n; i++) {
            struct connection *c = events[i].data.ptr;
            if (c->listens)
                enter(c->fd);
            else
                readable(c);
        }
        for (uint64_t ms = now_ns() / 1000000; turned < ms;) turn(++turned);
    }
}
