/* A raw sink: takes whatever comes on each connection and, when asked, keeps it in one file per connection, and sends
 * one byte back when it is safe. The limit that the receiver is measured against: it parses nothing, checks nothing,
 * hashes nothing, knows no device and no database.
 *
 * sink PORT - 0       take and forget
 * sink PORT - 1       the same, and answer all that comes with a metadata request: the soonest first answer
 * sink PORT FOLDER 1  write, fsync the file
 * sink PORT FOLDER 4  as often as the receiver's promise needs: the file, a sidecar of 600 bytes, and both folders
 *                     after the rename
 * One process, one thread, epoll. Listens on loopback. Ends on SIGTERM.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static char buffer[1 << 18];
static int files[1 << 16];
static unsigned long serials[1 << 16];

/* Make a file safe: itself, then a sidecar, its place and both folders. */
static int keep(const char *folder, int line, int fsyncs) {
    char path[4096], target[4096];
    if (fsync(files[line])) return perror("fsync"), 1;
    close(files[line]);
    if (fsyncs < 4) return 0;
    snprintf(path, sizeof path, "%s/pending/%lu.json", folder, serials[line]);
    int sidecar = open(path, O_WRONLY | O_CREAT | O_EXCL, 0644);
    if (write(sidecar, buffer, 600) != 600 || fsync(sidecar)) return perror("sidecar"), 1;
    close(sidecar);
    snprintf(path, sizeof path, "%s/%lu", folder, serials[line]);
    snprintf(target, sizeof target, "%s/done/%lu", folder, serials[line]);
    if (rename(path, target)) return perror("rename"), 1;
    const char *names[] = {"pending", "done"};
    for (int n = 0; n < 2; n++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[n]);
        int directory = open(path, O_RDONLY | O_DIRECTORY);
        if (fsync(directory)) return perror("folder"), 1;
        close(directory);
    }
    return 0;
}

int main(int argc, char **argv) {
    if (argc != 4) return 2;
    const char *folder = strcmp(argv[2], "-") ? argv[2] : NULL;
    int fsyncs = atoi(argv[3]);
    unsigned long serial = 0;
    if (folder) {
        char path[4096];
        snprintf(path, sizeof path, "%s/pending", folder);
        mkdir(path, 0755);
        snprintf(path, sizeof path, "%s/done", folder);
        mkdir(path, 0755);
    }
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[1]))};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 4096)) return perror("listen"), 1;
    int poll = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listener}, ready[256];
    epoll_ctl(poll, EPOLL_CTL_ADD, listener, &event);
    for (;;) {
        int count = epoll_wait(poll, ready, 256, -1);
        for (int i = 0; i < count; i++) {
            int line = ready[i].data.fd;
            if (line == listener) {
                int fresh;
                while ((fresh = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
                    event.events = EPOLLIN;
                    event.data.fd = fresh;
                    epoll_ctl(poll, EPOLL_CTL_ADD, fresh, &event);
                    files[fresh] = -1;
                    if (folder) {
                        char path[4096];
                        serials[fresh] = serial++;
                        snprintf(path, sizeof path, "%s/%lu", folder, serials[fresh]);
                        files[fresh] = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
                    }
                }
                continue;
            }
            ssize_t size = recv(line, buffer, sizeof buffer, 0);
            if (size > 0) {
                if (files[line] >= 0 && write(files[line], buffer, size) != size) return perror("write"), 1;
                if (!folder && fsyncs) send(line, "\0\12\0\7%videof", 11, MSG_NOSIGNAL);
                continue;
            }
            if (size < 0 && (errno == EAGAIN || errno == EINTR)) continue;
            if (files[line] >= 0 && keep(folder, line, fsyncs)) return 1;
            send(line, "!", 1, MSG_NOSIGNAL);
            close(line);
        }
    }
}
