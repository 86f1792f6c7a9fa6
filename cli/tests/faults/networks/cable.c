/* A cable between two network namespaces that delays and loses frames: cable NAMESPACE DEVICE NAMESPACE DEVICE MILLIS
   LOST_OF_1000. It makes both devices (taps) and says "ready"; they go when it ends. Each lost frame is a line "lost".
   Which are lost is the same in every run. A frame that finds no room is lost, too, as in a switch. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define FRAME 2048
/* Frames under way in one direction. */
#define ROOM 4096

struct frame {
    int64_t due;
    ssize_t length;
    char bytes[FRAME];
};

/* What goes one way: a ring. */
struct way {
    int from, to;
    unsigned first, count;
    struct frame frames[ROOM];
};

static struct way ways[2];

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static int64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * INT64_C(1000000) + time.tv_nsec / 1000;
}

static int tap(const char *namespace, const char *device) {
    char path[256];
    snprintf(path, sizeof path, "/var/run/netns/%s", namespace);
    int inside = open(path, O_RDONLY | O_CLOEXEC);
    if (inside < 0 || setns(inside, CLONE_NEWNET))
        fail(path);
    close(inside);
    int file = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (file < 0)
        fail("/dev/net/tun");
    struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI};
    snprintf(request.ifr_name, sizeof request.ifr_name, "%s", device);
    if (ioctl(file, TUNSETIFF, &request))
        fail(device);
    return file;
}

static int is_lost(unsigned of_1000) {
    static uint64_t state = 1;
    state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (state >> 33) % 1000 < of_1000;
}

static void take(struct way *way, int64_t delay, unsigned lost) {
    for (;;) {
        struct frame *frame = &way->frames[(way->first + way->count) % ROOM];
        char beyond[FRAME];
        int full = way->count == ROOM;
        ssize_t length = read(way->from, full ? beyond : frame->bytes, FRAME);
        if (length <= 0)
            return;
        if (full || is_lost(lost)) {
            puts("lost");
            continue;
        }
        frame->length = length;
        frame->due = now() + delay;
        way->count++;
    }
}

/* Microseconds until the next frame is due, -1 when there is none. */
static int64_t give(struct way *way) {
    while (way->count) {
        struct frame *frame = &way->frames[way->first];
        int64_t left = frame->due - now();
        if (left > 0)
            return left;
        /* A device that is down takes nothing: lost like on a cable that hangs loose. */
        if (write(way->to, frame->bytes, frame->length) < 0)
            puts("lost");
        way->first = (way->first + 1) % ROOM;
        way->count--;
    }
    return -1;
}

int main(int count, char **args) {
    if (count != 7)
        return 2;
    int64_t delay = atoi(args[5]) * INT64_C(1000);
    unsigned lost = atoi(args[6]);
    setvbuf(stdout, NULL, _IOLBF, 0);
    ways[0].from = ways[1].to = tap(args[1], args[2]);
    ways[1].from = ways[0].to = tap(args[3], args[4]);
    puts("ready");
    for (;;) {
        int64_t next = -1;
        for (int i = 0; i < 2; i++) {
            take(&ways[i], delay, lost);
            int64_t left = give(&ways[i]);
            if (left >= 0 && (next < 0 || left < next))
                next = left;
        }
        struct pollfd wait[2] = {{.fd = ways[0].from, .events = POLLIN}, {.fd = ways[1].from, .events = POLLIN}};
        struct timespec pause = {.tv_sec = next / 1000000, .tv_nsec = next % 1000000 * 1000};
        if (ppoll(wait, 2, next < 0 ? NULL : &pause, NULL) < 0)
            fail("poll");
        /* The namespaces have gone. */
        if ((wait[0].revents | wait[1].revents) & (POLLERR | POLLHUP | POLLNVAL))
            return 0;
    }
}
