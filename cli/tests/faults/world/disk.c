/* A disk that becomes read-only while files on it are open, as after an error of the device: preloaded, it refuses to open
   for writing and to write what is below the folder DISK_OF_TEST, as long as there is a file of that name with ".ro". */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static int refuses(const char *path) {
    const char *disk = getenv("DISK_OF_TEST");
    char flag[PATH_MAX];
    if (!disk || strncmp(path, disk, strlen(disk)) != 0)
        return 0;
    snprintf(flag, sizeof flag, "%s.ro", disk);
    int saved = errno, there = syscall(SYS_faccessat, AT_FDCWD, flag, F_OK) == 0;
    errno = there ? EROFS : saved;
    return there;
}

ssize_t write(int file, const void *bytes, size_t length) {
    char name[64], path[PATH_MAX];
    snprintf(name, sizeof name, "/proc/self/fd/%d", file);
    int saved = errno;
    ssize_t end = readlink(name, path, sizeof path - 1);
    errno = saved;
    path[end > 0 ? end : 0] = 0;
    if (refuses(path))
        return -1;
    return syscall(SYS_write, file, bytes, length);
}

static int opened(const char *path, int flags, mode_t mode) {
    if ((flags & (O_WRONLY | O_RDWR | O_CREAT)) && refuses(path))
        return -1;
    return syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

int open(const char *path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    mode_t mode = va_arg(rest, mode_t);
    va_end(rest);
    return opened(path, flags, mode);
}

int open64(const char *path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    mode_t mode = va_arg(rest, mode_t);
    va_end(rest);
    return opened(path, flags | O_LARGEFILE, mode);
}
