// Opens many streams at once and tells how long each event took from the mock's write to this program's read.
//
//   streams --count N --ramp-ms N --body FILE --header LINE --path PATH PORT...
//
// One thread, one connection a stream, spread over the ports of 127.0.0.1. The body is sent as it is, but for the first
// eight bytes "00000000" in it, which become the stream's number. Latencies are taken while all streams are open: from
// the last one's first event to the first one's end. Prints one JSON object; latencies in microseconds.
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

enum { CARRY = 64, READ = 65536, IDLE_SECONDS = 30 };

struct stream {
    int fd;
    bool open, answered, done;
    int status;
    char carry[CARRY];  // the end of the last read, where a mark may have been cut in two
    size_t carried;
};

static struct stream *streams;
static uint32_t *samples;
static size_t sampled, room;
static int count = 100, answered, ended, done, refused, chunks;

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void sample(uint64_t sent) {
    uint64_t now = now_ns();
    chunks++;
    if (answered < count || ended) return;
    if (sampled == room) samples = realloc(samples, (room = room * 2 + 65536) * sizeof *samples);
    samples[sampled++] = (uint32_t)((now - sent) / 1000);
}

static void finish(struct stream *s) {
    if (!s->open) return;
    close(s->fd);
    s->open = false;
    ended++;
    if (s->done) done++;
    if (s->status != 200) refused++;
}

static void parse(struct stream *s, const char *data, size_t size) {
    static const char mark[] = "\"sent\":";
    if (!s->status && size > 12 && !memcmp(data, "HTTP/1.1 ", 9)) s->status = atoi(data + 9);
    const char *at = data, *end = data + size;
    while ((at = memmem(at, (size_t)(end - at), mark, sizeof mark - 1)) && at + 27 <= end) {
        at += sizeof mark - 1;
        if (!s->answered) answered++;
        s->answered = true;
        sample(strtoull(at, NULL, 10));
    }
    if (memmem(data, size, "data: [DONE]", 12)) s->done = true;
}

static void readable(struct stream *s) {
    static char buffer[CARRY + READ + 1];
    memcpy(buffer, s->carry, s->carried);
    ssize_t n = recv(s->fd, buffer + s->carried, READ, 0);
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0) {
        finish(s);
        return;
    }
    size_t size = s->carried + (size_t)n;
    buffer[size] = 0;
    parse(s, buffer, size);
    if (s->done || (s->status && s->status != 200)) {
        finish(s);
        return;
    }
    // What is left after the last whole event; events are longer than CARRY only in front of their mark.
    const char *newline = memrchr(buffer, '\n', size);
    size_t rest = newline ? (size_t)(buffer + size - newline - 1) : size;
    s->carried = rest < CARRY ? rest : CARRY;
    memcpy(s->carry, buffer + size - s->carried, s->carried);
    // A mark that was read whole must not be read again.
    char *read_already = memmem(s->carry, s->carried, "\"sent\":", 7);
    if (read_already && read_already + 27 <= s->carry + s->carried) s->carried = 0;
}

static void send_whole(int fd, const char *data, size_t size) {
    while (size) {
        ssize_t n = send(fd, data, size, MSG_NOSIGNAL);
        if (n <= 0) return;
        data += n;
        size -= (size_t)n;
    }
}

static int compare(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static double quantile(double q) { return sampled ? (double)samples[(size_t)(q * (double)(sampled - 1))] : -1; }

int main(int argc, char **argv) {
    const char *path = "/v1/chat/completions", *header = "x: y", *file = NULL;
    int ports[64], n_ports = 0, ramp_ms = 1000;
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--count")) count = atoi(argv[++i]);
        else if (!strcmp(argv[i], "--ramp-ms")) ramp_ms = atoi(argv[++i]);
        else if (!strcmp(argv[i], "--body")) file = argv[++i];
        else if (!strcmp(argv[i], "--header")) header = argv[++i];
        else if (!strcmp(argv[i], "--path")) path = argv[++i];
        else if (n_ports < 64) ports[n_ports++] = atoi(argv[i]);
    }
    FILE *f = file ? fopen(file, "rb") : NULL;
    if (!f || !n_ports) {
        fprintf(stderr, "streams: needs --body FILE and a port\n");
        return 2;
    }
    static char body[1 << 20], request[(1 << 20) + 4096];
    size_t size = fread(body, 1, sizeof body, f);
    char *number = memmem(body, size, "00000000", 8);
    streams = calloc((size_t)count, sizeof *streams);
    int epoll = epoll_create1(0), opened = 0;
    uint64_t start = now_ns(), heard = start;
    while (ended < count && now_ns() - heard < IDLE_SECONDS * 1000000000ull) {
        while (opened < count && now_ns() >= start + (uint64_t)opened * (uint64_t)ramp_ms * 1000000u / (uint64_t)count) {
            struct stream *s = &streams[opened];
            struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)ports[opened % n_ports])};
            to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
            s->fd = socket(AF_INET, SOCK_STREAM, 0);
            s->open = true;
            opened++;
            if (connect(s->fd, (struct sockaddr *)&to, sizeof to)) {
                finish(s);
                continue;
            }
            setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
            char digits[16];
            snprintf(digits, sizeof digits, "%08u", (unsigned)opened);
            if (number) memcpy(number, digits, 8);
            int head = snprintf(request, 4096,
                                "POST %s HTTP/1.1\r\nhost: bench\r\n%s\r\ncontent-type: application/json\r\n"
                                "content-length: %zu\r\n\r\n",
                                path, header, size);
            memcpy(request + head, body, size);
            send_whole(s->fd, request, (size_t)head + size);
            fcntl(s->fd, F_SETFL, O_NONBLOCK);
            struct epoll_event event = {.events = EPOLLIN, .data.ptr = s};
            epoll_ctl(epoll, EPOLL_CTL_ADD, s->fd, &event);
        }
        struct epoll_event events[256];
        int n = epoll_wait(epoll, events, 256, opened < count ? 1 : 1000);
        if (n > 0) heard = now_ns();
        for (int i = 0; i < n; i++) readable(events[i].data.ptr);
    }
    double seconds = (double)(now_ns() - start) / 1e9;
    qsort(samples, sampled, sizeof *samples, compare);
    double sum = 0;
    for (size_t i = 0; i < sampled; i++) sum += samples[i];
    printf("{\"streams\":%d,\"completed\":%d,\"refused\":%d,\"chunks\":%d,\"samples\":%zu,\"seconds\":%.2f,"
           "\"mean\":%.1f,\"p50\":%.0f,\"p90\":%.0f,\"p99\":%.0f,\"max\":%.0f}\n",
           count, done, refused, chunks, sampled, seconds, sampled ? sum / (double)sampled : -1.0, quantile(.5),
           quantile(.9), quantile(.99), quantile(1));
    return 0;
}
